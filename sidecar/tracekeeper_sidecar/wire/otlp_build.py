"""OTLP messages made from plain values, field by field: what receivers of other protocols turn spans into.

Numbers are those of opentelemetry-proto 1.11 (trace/v1/trace.proto, common/v1/common.proto). Text of any kind is taken:
half a surrogate pair, which JSON can say and UTF-8 cannot, becomes "?".
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from typing import Final

from tracekeeper_sidecar.wire.varint import delimited, encode

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
"""Span.SpanKind."""
UNSET, OK, ERROR = 0, 1, 2
"""Status.StatusCode."""

HAS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200
"""Bits of Span.flags: whether it is known that the parent is in another process, and whether it is."""

LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
MOST_TIME: Final = 2**64 - 1

_SHORT: Final = tuple(encode(size) for size in range(128))
_KEYS: Final[dict[str, bytes]] = {}
"""Keys as they are on the wire: those that the receivers write themselves come with every span."""
_MOST_KEYS: Final = 256
_LONGEST_KEY: Final = 64


def utf8(value: str) -> bytes:
    """The text on the wire."""
    return value.encode("utf-8", "replace")


def compact(value: object) -> str:
    """A parsed JSON value as JSON text, short; raises RecursionError where it is nested too deeply."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(key: str, value: str) -> bytes:
    """An attribute: this and its like give a whole `attributes` field of a span (number 9)."""
    return _attribute(key, delimited(1, utf8(value)))


def boolean(key: str, value: bool) -> bytes:
    return _attribute(key, b"\x10\x01" if value else b"\x10\x00")


def integer(key: str, value: int) -> bytes:
    """`value` must fit into 64 bits, signed."""
    return _attribute(key, b"\x18" + encode(value & 0xFFFFFFFFFFFFFFFF))


def double(key: str, value: float) -> bytes:
    return _attribute(key, b"\x21" + struct.pack("<d", value))


def texts(key: str, values: Iterable[str]) -> bytes:
    """An array of strings."""
    items = b"".join(delimited(1, delimited(1, utf8(value))) for value in values)
    return _attribute(key, delimited(5, items))


def number(key: str, value: float) -> bytes:
    """An integer or a double, whichever it is; a finite one that fits into 64 bits."""
    return double(key, value) if isinstance(value, float) else integer(key, value)


def is_number(value: object) -> bool:
    """Whether `number` takes it."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and LEAST_INTEGER <= value <= MOST_INTEGER


def _attribute(key: str, value: bytes) -> bytes:
    if (found := _KEYS.get(key)) is None:
        found = delimited(1, utf8(key))
        if len(_KEYS) < _MOST_KEYS and len(key) <= _LONGEST_KEY:
            _KEYS[key] = found
    size = len(value)
    content = b"%b\x12%b%b" % (found, _SHORT[size] if size < 128 else encode(size), value)
    size = len(content)
    return b"J%b%b" % (_SHORT[size] if size < 128 else encode(size), content)


def event(time: int, name: str, attributes: bytes = b"") -> bytes:
    """A whole `events` field of a span; `time` in Unix nanoseconds, the attributes as `text` and its like give them."""
    return delimited(11, _time(1, time) + delimited(2, utf8(name)) + _as(3, attributes))


def status(code: int, message: str = "") -> bytes:
    """A whole `status` field; empty where there is nothing to say."""
    content = (delimited(2, utf8(message)) if message else b"") + (b"\x18" + encode(code) if code else b"")
    return delimited(15, content) if content else b""


def span(
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    kind: int,
    begin: int,
    end: int,
    rest: bytes,
    *,
    state: str = "",
    flags: int = 0,
) -> bytes:
    """A whole `spans` field of ScopeSpans. Times in Unix nanoseconds; `rest` is attributes, events and status, as the
    functions above give them."""
    head = delimited(1, trace_id) + delimited(2, span_id)
    if state:
        head += delimited(3, utf8(state))
    if parent_id:
        head += delimited(4, parent_id)
    head += delimited(5, utf8(name)) + b"\x30" + encode(kind) + _time(7, begin) + _time(8, end)
    tail = b"\x85\x01" + struct.pack("<I", flags) if flags else b""
    return delimited(2, head + rest + tail)


def resource_spans(resource: bytes, scope: str, spans: Iterable[bytes]) -> bytes:
    """A whole `resource_spans` field of a request; `resource` is attributes, as `text` and its like give them."""
    scope_spans = delimited(1, delimited(1, utf8(scope))) + b"".join(spans)
    return delimited(1, delimited(1, _as(1, resource)) + delimited(2, scope_spans))


def _time(field: int, value: int) -> bytes:
    return encode(field << 3 | 1) + struct.pack("<Q", value)


def _as(field: int, attributes: bytes) -> bytes:
    """Attributes of a span as those of another message, which has them under another number."""
    if not attributes:
        return b""
    out = bytearray()
    at = 0
    while at < len(attributes):
        size, shift, value = 0, 0, at + 1
        while True:
            byte = attributes[value]
            size |= (byte & 127) << shift
            shift += 7
            value += 1
            if byte < 128:
                break
        out += encode(field << 3 | 2)
        out += attributes[at + 1 : value + size]
        at = value + size
    return bytes(out)
