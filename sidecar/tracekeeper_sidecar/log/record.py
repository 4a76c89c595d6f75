"""One frame of the log: 40 bytes of header, then one payload.

    offset  size  field
         0     4  magic F1 54 4B A7
         4     4  length of the payload in bytes
         8     8  seq: spans appended to the log before this frame
        16     4  spans in this frame, at least 1
        20     1  type: 1 = one serialised ExportTraceServiceRequest, 2 = what sampling decided, see `log.decided`
        21     1  flags: bit 0 = critical, must not wait for others; others 0
        22     2  reserved: 0
        24     8  time: nanoseconds since the Unix epoch
        32     4  CRC32C of the payload
        36     4  CRC32C of bytes 0 to 35

Integers are little-endian. Both checksums start from the checksum of the segment's number (`seed`), so that a frame
is only valid in the segment it was written to: a block that the volume hands back from a deleted segment, or a
payload that quotes a frame, is never taken for one. The header has a checksum of its own so that a damaged length is
never believed, and headers can be walked without reading payloads. The whole format is in docs/reference/log-format.md.

What a check finds is a value, never an exception: `Valid`, `Torn` (the bytes end first) or `Corrupt`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from crc32c import crc32c

MAGIC = b"\xf1TK\xa7"
HEADER_SIZE = 40
MAX_PAYLOAD = 128 << 20
"""Bytes. Twice what OTLP lets a request be, because a payload may grow between receipt and log."""
TRACES = 1
"""Frame type: one serialised ExportTraceServiceRequest."""
DECIDED = 2
"""Frame type: a prefix that says what sampling decided, then an ExportTraceServiceRequest with the spans it kept."""
CRITICAL = 1
"""Frame flag: holds a span that must not wait for a batch to fill."""
TYPE_SHIFT = 8
"""On its way to the writer an append's flags carry its frame's type from this bit on; 0 stands for TRACES."""

_CHECKED = 36
_HEADER = struct.Struct("<4sIQIBBHQII")
_BRIEF = struct.Struct("<4xIQI")


class Valid(NamedTuple):
    """A sound header. The payload, `length` bytes after it, is still to be checked against `payload_crc`."""

    length: int
    seq: int
    spans: int
    type: int
    flags: int
    time: float
    """Unix time in seconds."""
    payload_crc: int


@dataclass(frozen=True, slots=True)
class Torn:
    """The bytes end before the frame does."""

    need: int
    """Bytes from the frame's start that the next step of the check needs."""


@dataclass(frozen=True, slots=True)
class Corrupt:
    """These bytes are not a frame of this segment."""

    reason: str


def seed_of(segment: int) -> int:
    """The value that checksums of a segment's frames start from."""
    return crc32c(segment.to_bytes(8, "little"))


def check_header(data: bytes | memoryview, offset: int, seed: int) -> Valid | Torn | Corrupt:
    """Judge the header at `offset` of `data`; says nothing about the payload."""
    if len(data) - offset < HEADER_SIZE:
        return Torn(HEADER_SIZE)
    magic, length, seq, spans, kind, flags, _, time_ns, payload_crc, crc = _HEADER.unpack_from(data, offset)
    if magic != MAGIC:
        return Corrupt("no magic number")
    if crc32c(data[offset : offset + _CHECKED], seed) != crc:
        return Corrupt("header checksum does not match")
    if length > MAX_PAYLOAD or not spans:
        return Corrupt("length or span count out of bounds")
    return Valid(length, seq, spans, kind, flags, time_ns / 1e9, payload_crc)


def brief(data: bytes | memoryview, offset: int) -> tuple[int, int, int]:
    """Length, seq and spans of a header that is known to be sound."""
    length, seq, spans = _BRIEF.unpack_from(data, offset)
    return length, seq, spans


def payload_intact(frame: Valid, payload: bytes | memoryview, seed: int) -> bool:
    """True when `payload` is what the frame's header was written for."""
    return len(payload) == frame.length and crc32c(payload, seed) == frame.payload_crc
