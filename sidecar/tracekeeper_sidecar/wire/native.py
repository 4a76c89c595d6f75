"""What compiled code does by pointer, for where these modules run uncompiled; the compiled half is in native.pxd.

This module itself is never compiled: the .pxd files take the same names from native.pxd instead.
"""

from __future__ import annotations

import struct


def words(buffer: bytearray) -> memoryview[int]:
    """`buffer` as unsigned integers of 64 bits, from its first multiple of 64 bytes on: it has 64 to spare."""
    return memoryview(buffer)[: len(buffer) - 64].cast("Q")


def halves(buffer: bytearray) -> memoryview[int]:
    """The same as unsigned integers of 32 bits."""
    return memoryview(buffer)[: len(buffer) - 64].cast("I")


def pointers(buffer: bytearray) -> list[memoryview[int]]:
    """Room for as many of what `words` gives as `buffer` has eight bytes."""
    return [memoryview(b"")] * (len(buffer) // 8)


def half_pointers(buffer: bytearray) -> list[memoryview[int]]:
    """The same for what `halves` gives."""
    return pointers(buffer)


def word(data: bytes, at: int) -> int:
    """The eight bytes at `at`, big-endian, as ids are."""
    return int.from_bytes(data[at : at + 8])


def fixed(data: bytes, at: int) -> int:
    """The eight bytes at `at`, little-endian, as fixed64 has them."""
    return int.from_bytes(data[at : at + 8], "little")


def fold(left: int, right: int) -> int:
    """Both halves of the product of two words, as one word by `^`."""
    product = left * right
    return product & 0xFFFFFFFFFFFFFFFF ^ product >> 64


def fetch(buffer: memoryview[int], at: int) -> None:
    """The word at `at` is wanted soon: has the processor bring it nearer, and waits for nothing."""


def where(buffer: bytearray, byte: int, size: int) -> int:
    """Where that byte is found first among the first `size`, or -1."""
    return buffer.find(byte, 0, size)


def copy(to: bytearray, at: int, data: bytes | bytearray, begin: int, end: int) -> int:
    """Copies [begin, end) of `data` to `at`, and returns where it ends there."""
    to[at : at + end - begin] = data[begin:end]
    return at + end - begin


def move(data: bytearray, to: int, begin: int, end: int) -> int:
    """Moves [begin, end) to `to` within `data`, and returns where it ends there."""
    data[to : to + end - begin] = data[begin:end]
    return to + end - begin


def index(data: bytes, byte: int, begin: int, end: int) -> int:
    """Where the first such byte in [begin, end) is; -1 if none is."""
    return data.find(byte, begin, end)


def same(left: bytes, at: int, right: bytes, size: int) -> int:
    """Whether the `size` bytes at `at` are those that `right` begins with."""
    return left[at : at + size] == right[:size]


def varint_size(value: int) -> int:
    """Bytes that it takes as a varint; it is not negative."""
    size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size


def put_head(to: bytearray, at: int, tag: int, size: int) -> int:
    """Writes the tag, of one byte, and the length of a field at `at`, and returns where its value begins."""
    to[at] = tag
    at += 1
    while size > 127:
        to[at] = size & 127 | 128
        at += 1
        size >>= 7
    to[at] = size
    return at + 1


def real(data: bytes, at: int) -> float:
    """The eight bytes at `at` as a double, little-endian, as protobuf has it."""
    found: float = struct.unpack_from("<d", data, at)[0]
    return found


def put_double(to: bytearray, at: int, value: float) -> int:
    """Writes a double at `at`, and returns where it ends."""
    struct.pack_into("<d", to, at, value)
    return at + 8


def whole(value: float) -> int:
    """Without what is behind the point; it is between 0 and 2**63."""
    return int(value)


def blank(size: int) -> bytearray:
    """So many bytes, to be filled before anybody else sees them, and then `sealed`."""
    return bytearray(size)


def sealed(filled: bytearray) -> bytes:
    """What was `blank`, as bytes; compiled, it is these bytes already."""
    return bytes(filled)
