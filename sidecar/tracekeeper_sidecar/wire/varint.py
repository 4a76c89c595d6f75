"""Protobuf's varints and fields, for code off the hot path; `scan` has its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class FieldSpan(NamedTuple):
    """Where one field lies: its tag starts at `start`, its value is [value, end)."""

    number: int
    wire: int
    start: int
    value: int
    end: int


def encode(value: int) -> bytes:
    """The varint of `value`, which must not be negative."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited field: tag, length, payload."""
    return encode(number << 3 | 2) + encode(len(payload)) + payload


def decode(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """The varint at `pos` and the offset after it; raises ValueError when it is cut off or too long."""
    value = 0
    for taken in range(10):
        if pos + taken >= end:
            raise ValueError(f"varint cut off at byte {pos + taken}")
        byte = data[pos + taken]
        value |= (byte & 127) << (7 * taken)
        if byte < 128:
            return value, pos + taken + 1
    raise ValueError(f"varint longer than ten bytes at byte {pos}")


def fields(data: bytes, pos: int, end: int) -> Iterator[FieldSpan]:
    """The fields of the message at [pos, end), in order; raises ValueError where they stop making sense."""
    while pos < end:
        tag, value = decode(data, pos, end)
        wire = tag & 7
        if wire == 2:
            length, value = decode(data, value, end)
            stop = value + length
        elif wire == 0:
            _, stop = decode(data, value, end)
        elif wire in (1, 5):
            stop = value + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"wire type {wire} at byte {pos}")
        if stop > end or tag >> 3 == 0:
            raise ValueError(f"field cut off at byte {pos}")
        yield FieldSpan(tag >> 3, wire, pos, value, stop)
        pos = stop
