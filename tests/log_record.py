"""One frame at a time, made and judged by nothing but the format: what the compiled code is compared with."""

from __future__ import annotations

import struct

from crc32c import crc32c

from tracekeeper_sidecar.log.record import (
    HEADER_SIZE,
    MAGIC,
    TRACES,
    Corrupt,
    Torn,
    Valid,
    check_header,
    payload_intact,
)

_FIELDS = struct.Struct("<4sIQIBBHQI")


def encode_header(
    seed: int, payload: bytes, seq: int, spans: int, time_ns: int, kind: int = TRACES, flags: int = 0
) -> bytes:
    """The 40 bytes that go before `payload`. `time_ns` is Unix time in nanoseconds."""
    fields = _FIELDS.pack(MAGIC, len(payload), seq, spans, kind, flags, 0, time_ns, crc32c(payload, seed))
    return fields + struct.pack("<I", crc32c(fields, seed))


def check(data: bytes | memoryview, offset: int, seed: int) -> Valid | Torn | Corrupt:
    """Judge the whole frame at `offset`: header and payload."""
    found = check_header(data, offset, seed)
    if not isinstance(found, Valid):
        return found
    start = offset + HEADER_SIZE
    if len(data) - start < found.length:
        return Torn(HEADER_SIZE + found.length)
    if not payload_intact(found, data[start : start + found.length], seed):
        return Corrupt("payload checksum does not match")
    return found
