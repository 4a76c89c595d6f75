"""What sampling decided about a stretch of the log: the prefix of a frame of type DECIDED. Pure.

Sampling reads the log in order and appends to a second one, the kept log, whose sequence numbers are the first one's.
A frame there counts every span that was decided on with it: those kept, those that a rule left out, and those that
damage had taken before. Its payload is this prefix and then one serialised ExportTraceServiceRequest of the kept spans,
which may be empty. Integers are little-endian.

    offset  size  field
         0     1  version: 1
         1     1  reserved: 0
         2     2  number of rules
         4     4  length of the prefix in bytes
         8     4  spans kept
        12     4  spans that damage had taken
        16     8  segment      }
        24     8  offset       } the place in the first log up to which spans are decided on
        32     8  seq          }
        40     4  bytes of verdicts
        44        for each rule: 4 bytes spans left out, 1 byte length of the name, the name in UTF-8
         …        verdicts on traces, as `wire.traces` packs them: those that were new when the frame was written

A frame is written as a whole or not at all, so the kept spans and the place reached cannot come apart: after a restart
sampling goes on where the newest frame says.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from tracekeeper_sidecar.model import Position

VERSION = 1
LONGEST_NAME = 255
"""Bytes."""

_FIXED = struct.Struct("<BBHIIIQQQI")
_RULE = struct.Struct("<IB")


class Decided(NamedTuple):
    """See the module."""

    kept: int
    """Spans in the request behind the prefix."""
    sampled_out: Mapping[str, int]
    """Spans left out, by rule."""
    damaged: int
    """Spans that damage to the first log had taken."""
    reached: Position
    """In the first log: every span before it is decided on."""
    verdicts: bytes = b""
    """On traces, 24 bytes each; late spans follow them, after a restart too."""

    @property
    def spans(self) -> int:
        """Spans that the frame counts."""
        return self.kept + sum(self.sampled_out.values()) + self.damaged


def encode(decided: Decided) -> bytes:
    """The prefix. Raises ValueError for a name that is too long."""
    rules = []
    for name, spans in decided.sampled_out.items():
        encoded = name.encode()
        if len(encoded) > LONGEST_NAME:
            raise ValueError(f"the name of a rule has {len(encoded)} bytes, at most {LONGEST_NAME} fit")
        rules.append(_RULE.pack(spans, len(encoded)) + encoded)
    tail = b"".join([*rules, decided.verdicts])
    place = decided.reached
    fixed = (VERSION, 0, len(rules), _FIXED.size + len(tail), decided.kept, decided.damaged)
    return _FIXED.pack(*fixed, place.segment, place.offset, place.seq, len(decided.verdicts)) + tail


def decode(payload: bytes) -> tuple[Decided, int]:
    """What the prefix of a payload says, and the offset at which the request begins. Raises ValueError for another
    version, and for what is no such prefix."""
    if len(payload) < _FIXED.size:
        raise ValueError(f"a prefix has at least {_FIXED.size} bytes, here are {len(payload)}")
    version, _, count, length, kept, damaged, *place, packed = _FIXED.unpack_from(payload)
    if version != VERSION:
        raise ValueError(f"version {version}, this release reads {VERSION}")
    if not _FIXED.size <= length <= len(payload):
        raise ValueError(f"the prefix has {length} bytes by its own account, the payload {len(payload)}")
    sampled_out: dict[str, int] = {}
    at = _FIXED.size
    for _ in range(count):
        if at + _RULE.size > length:
            raise ValueError("the prefix ends within its rules")
        spans, size = _RULE.unpack_from(payload, at)
        at += _RULE.size
        if at + size > length:
            raise ValueError("the prefix ends within the name of a rule")
        name = payload[at : at + size].decode()  # UnicodeDecodeError is a ValueError.
        sampled_out[name] = sampled_out.get(name, 0) + spans
        at += size
    if at + packed != length:
        raise ValueError(f"{length - at} bytes follow the last rule, and verdicts should have {packed}")
    return Decided(kept, sampled_out, damaged, Position(*place), payload[at:length]), length
