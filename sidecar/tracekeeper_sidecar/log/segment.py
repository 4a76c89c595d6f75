"""One file of the log: its name, its header, and the catalogue of all of them.

A segment's name is its number in twenty decimal digits and `.seg`; numbers only grow and are never used twice. It
begins with 64 bytes:

    offset  size  field
         0     8  magic "TKSEG" 0D 0A 1A
         8     4  format version: 1
        12     4  where the first frame starts: 64
        16     8  number of the segment
        24     8  base: spans appended to the log before this segment
        32     8  created: nanoseconds since the Unix epoch
        40    20  reserved: 0
        60     4  CRC32C of bytes 0 to 59

Frames follow without gaps (see `log.record`), then zeros up to the file's end: space reserved in advance. A frame
never spans two segments, so that each can be read, checked and deleted alone.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from crc32c import crc32c

from tracekeeper_sidecar.model import Position

VERSION = 1
MAGIC = b"TKSEG\r\n\x1a"
DATA_START = 64
SUFFIX = ".seg"
QUARANTINED = ".quarantined"
"""Appended to the name of a file that was set aside: never read again, never deleted by us."""

_FIELDS = struct.Struct("<8sIIQQQ20x")
_CRC = struct.Struct("<I")
_NAME = re.compile(r"[0-9]{20}\.seg")


@dataclass(frozen=True, slots=True)
class Header:
    """What a sound segment header says."""

    segment: int
    base: int
    created: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class BadHeader:
    """The header cannot be used."""

    reason: str
    empty: bool = False
    """True when all of it is zeros: the first commit, which brings it, never finished."""
    newer: bool = False
    """True when the header is sound but written by a later format version."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in the catalogue."""

    number: int
    base: int
    """Spans appended to the log before its first frame."""
    created: float
    """Unix time in seconds."""
    end: int
    """Offset behind the last frame; for segments not scanned since the start, the file's length."""

    @property
    def start(self) -> Position:
        """Where its first frame is."""
        return Position(self.number, DATA_START, self.base)


@dataclass(frozen=True, slots=True)
class View:
    """The log as readers may see it at one moment: replaced as a whole, so that no reader needs a lock."""

    segments: tuple[Segment, ...]
    """In order; the active one, if any, comes last and `end` holds its offset."""
    end: Position
    """Everything before it is durable."""

    @property
    def begin(self) -> Position:
        """Where the oldest frame still kept starts."""
        if not self.segments:
            return self.end
        return self.segments[0].start


def name_of(segment: int) -> str:
    """File name of a segment."""
    return f"{segment:020d}{SUFFIX}"


def number_of(name: str) -> int | None:
    """Number of the segment that a file name denotes, None for any other file."""
    return int(name[:20]) if _NAME.fullmatch(name) else None


def quarantined_number(name: str) -> int | None:
    """Number of the segment that was set aside under this name, None for any other file."""
    return number_of(name.removesuffix(QUARANTINED)) if name.endswith(QUARANTINED) else None


def encode_header(segment: int, base: int, created_ns: int) -> bytes:
    """The 64 bytes at the start of a segment."""
    fields = _FIELDS.pack(MAGIC, VERSION, DATA_START, segment, base, created_ns)
    return fields + _CRC.pack(crc32c(fields))


def decode_header(data: bytes, segment: int) -> Header | BadHeader:
    """Judge the first bytes of the file named after `segment`."""
    if not data.strip(b"\0"):
        return BadHeader("holds nothing yet", empty=True)
    if len(data) < DATA_START:
        return BadHeader(f"ends after {len(data)} of {DATA_START} bytes")
    if crc32c(data[: _FIELDS.size]) != _CRC.unpack_from(data, _FIELDS.size)[0]:
        return BadHeader("checksum does not match")
    magic, version, start, number, base, created_ns = _FIELDS.unpack_from(data)
    if magic != MAGIC:
        return BadHeader("not a segment of this log")
    if version > VERSION or start != DATA_START:
        return BadHeader(f"format version {version}, this release reads {VERSION}", newer=True)
    if number != segment:
        return BadHeader(f"says it is number {number}, its name says {segment}")
    return Header(number, base, created_ns / 1e9)
