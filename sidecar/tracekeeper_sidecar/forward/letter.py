"""One refused request as a file: what was refused, by whom, when and why, and the request itself.

    offset  size  field
         0     8  magic "TKDEAD" 0D 0A
         8     4  format version: 1
        12     4  length of the description in bytes
        16     8  length of the request in bytes
        24     4  CRC32C of bytes 0 to 23, the description and the request
        28     -  description: JSON, UTF-8, then the request: a serialised ExportTraceServiceRequest

Its name is its number in twenty digits, a dash, the number of its spans, and `.letter`: so the area can be counted
without being read.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from crc32c import crc32c

VERSION = 1
MAGIC = b"TKDEAD\r\n"
LARGEST_DESCRIPTION = 64 << 10
_FIELDS = struct.Struct("<8sIIQ")
_CRC = struct.Struct("<I")
HEADER = _FIELDS.size + _CRC.size
_NAME = re.compile(r"([0-9]{20})-([0-9]{1,12})\.letter")


@dataclass(frozen=True, slots=True)
class Letter:
    """A request that was given up."""

    time: float
    """Unix time."""
    delivery: str
    """The delivery entry that gave it up."""
    backend: str
    """The backend whose verdict it was."""
    why: str
    """The reason under which the spans are booked as dropped."""
    message: str
    """What the backend said."""
    spans: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file that is not a whole letter."""

    problem: str


def name_of(number: int, spans: int) -> str:
    """The file's name."""
    return f"{number:020d}-{spans}.letter"


def parse_name(name: str) -> tuple[int, int] | None:
    """Number and spans of a letter's file; None for any other name."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def serialise(letter: Letter) -> tuple[bytes, bytes]:
    """What goes before the request, and the request."""
    description = json.dumps(
        {
            "time": letter.time,
            "delivery": letter.delivery,
            "backend": letter.backend,
            "why": letter.why,
            "message": letter.message,
            "spans": letter.spans,
        },
        separators=(",", ":"),
    ).encode()
    fields = _FIELDS.pack(MAGIC, VERSION, len(description), len(letter.body))
    checksum = crc32c(letter.body, crc32c(description, crc32c(fields)))
    return fields + _CRC.pack(checksum) + description, letter.body


def parse(data: bytes) -> Letter | Damaged:
    """The letter in a file's whole content."""
    if len(data) < HEADER:
        return Damaged(f"it ends after {len(data)} bytes, inside its header")
    magic, version, described, length = _FIELDS.unpack_from(data)
    if magic != MAGIC:
        return Damaged("it does not begin as a dead letter does")
    if version != VERSION:
        return Damaged(f"its format is version {version}; this release reads {VERSION}")
    start = HEADER + described
    if described > LARGEST_DESCRIPTION or start + length != len(data):
        return Damaged(f"it has {len(data)} bytes, not the {start + length} that its header says")
    if crc32c(data[HEADER:], crc32c(data[: _FIELDS.size])) != _CRC.unpack_from(data, _FIELDS.size)[0]:
        return Damaged("its checksum does not match")
    try:
        return _letter(json.loads(data[HEADER:start]), data[start:])
    except (KeyError, TypeError, ValueError) as fault:
        return Damaged(f"its description is not understood ({fault!r})")


def describe(number: int, found: Letter | Damaged) -> dict[str, object]:
    """One letter as `dead-letter list` and the metrics port show it; without the spans themselves."""
    if isinstance(found, Damaged):
        return {"number": number, "problem": found.problem}
    return {
        "number": number,
        "time": found.time,
        "delivery": found.delivery,
        "backend": found.backend,
        "why": found.why,
        "message": found.message,
        "spans": found.spans,
        "bytes": len(found.body),
    }


def _letter(said: Mapping[str, object], body: bytes) -> Letter:
    time, spans = said["time"], said["spans"]
    if not isinstance(time, int | float) or not isinstance(spans, int):
        raise TypeError("time or spans")
    return Letter(
        time=float(time),
        delivery=str(said["delivery"]),
        backend=str(said["backend"]),
        why=str(said["why"]),
        message=str(said["message"]),
        spans=spans,
        body=body,
    )
