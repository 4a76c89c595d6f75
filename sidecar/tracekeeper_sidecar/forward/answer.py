"""What an OTLP backend answers, read by hand: the success message, google.rpc.Status with RetryInfo, Retry-After.

Three messages of a handful of fields do not justify the import of the generated classes (tens of ms and 10 MB).
Whatever cannot be read is treated as absent: the status code has spoken already, a bad body must not turn it round.

    ExportTraceServiceResponse {partial_success = 1 {rejected_spans = 1 varint, error_message = 2}}
    google.rpc.Status          {code = 1 varint, message = 2, details = 3 repeated Any}
    google.protobuf.Any        {type_url = 1, value = 2}
    google.rpc.RetryInfo       {retry_delay = 1 Duration {seconds = 1 varint, nanos = 2 varint}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from tracekeeper_sidecar.forward.outcome import Sent

LONGEST_MESSAGE = 500
"""Characters of a backend's own text that we keep; some answer with whole web pages."""
SIZE_LIMIT = re.compile(
    r"larger than max \(\d{1,15} vs\. (\d{1,15})\)|exceeds maximum size (\d{1,15})|the limit is: (\d{1,15}) bytes"
)
RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def read_success(body: bytes) -> Sent:
    """Read an ExportTraceServiceResponse in protobuf."""
    try:
        partial = dict(_fields(body)).get(1, b"")
        found = dict(_fields(partial)) if isinstance(partial, bytes) else {}
    except ValueError:
        return Sent(message="the answer says success but its body is not an ExportTraceServiceResponse")
    rejected, message = found.get(1, 0), found.get(2, b"")
    return Sent(_count(rejected), _text(message))


def read_json_success(body: bytes) -> Sent:
    """Read an ExportTraceServiceResponse in JSON; 64-bit integers come as strings or as numbers."""
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        return Sent(_count(int(partial.get("rejectedSpans") or 0)), shorten(str(partial.get("errorMessage") or "")))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return Sent(message="the answer says success but its body is not an ExportTraceServiceResponse")


def read_status(body: bytes) -> tuple[str, float | None]:
    """Message and RetryInfo's delay in seconds (None without one) of a serialised google.rpc.Status."""
    message, delay = "", None
    try:
        for number, value in _fields(body):
            if number == 2:
                message = _text(value)
            elif number == 3 and isinstance(value, bytes):
                any_ = dict(_fields(value))
                if any_.get(1) == RETRY_INFO:
                    delay = read_retry_info(_bytes(any_.get(2, b"")))
    except ValueError:
        return message, delay
    return message, delay


def read_retry_info(body: bytes) -> float | None:
    """Seconds of a serialised google.rpc.RetryInfo; None when it is damaged. An empty one means no delay."""
    try:
        duration = dict(_fields(_bytes(dict(_fields(body)).get(1, b""))))
    except ValueError:
        return None
    return max(0.0, _int(duration.get(1, 0)) + _int(duration.get(2, 0)) / 1e9)


def read_retry_after(text: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header: a number, or an HTTP date measured against Unix time `now`."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def read_size_limit(text: str) -> int | None:
    """Bytes that a backend says it takes, in the words of the common gRPC servers; None when it names none.

    grpc-core and grpc-go: "received message larger than max (5000 vs. 4194304)"; grpc-java: "gRPC message exceeds
    maximum size 4194304: 5000"; tonic: "message length too large: found 5000 bytes, the limit is: 4194304 bytes".
    """
    found = SIZE_LIMIT.search(text)
    return int(found[found.lastindex or 0]) if found else None


def shorten(text: str) -> str:
    """A backend's text on one line, cut to a length that fits a log line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "…"


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of a protobuf message; raises ValueError where it is not one."""
    at, end = 0, len(body)
    while at < end:
        tag, at = _varint(body, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(body, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(body, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if size > end - at:
            raise ValueError(f"field {number} runs past the end at byte {at}")
        yield number, body[at : at + size]
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at + index >= len(body):
            break
        byte = body[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise ValueError(f"varint at byte {at} does not end")


def _int(value: int | bytes) -> int:
    """A varint field as int64; 0 for any other wire type."""
    if isinstance(value, bytes):
        return 0
    return value - (1 << 64) if value >= 1 << 63 else value


def _count(value: int | bytes) -> int:
    return max(0, _int(value))


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: int | bytes) -> str:
    return shorten(_bytes(value).decode("utf-8", "replace"))
