"""From the scanner's failure, a code and an offset, to an error that names the field. Runs only for bad requests."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import schema, varint

TAG, CUT_OFF, WIRE_TYPE, TRACE_ID, SPAN_ID, PARENT_ID, GROUP, UTF8, DEPTH, NO_TRACE_ID, NO_SPAN_ID = range(1, 12)
"""The codes, as scan.py returns them."""

_PROBLEMS: Final = {
    TAG: "no protobuf field starts here; the request is not protobuf or is damaged",
    CUT_OFF: "the value ends beyond the message that holds it; the request is cut off or damaged",
    GROUP: "a wire type that OTLP never uses; the request is not protobuf or is damaged",
    UTF8: "the text is not valid UTF-8",
    DEPTH: f"messages nested deeper than {schema.MAX_DEPTH} levels",
    NO_TRACE_ID: "missing; must be 16 bytes, not all zero",
    NO_SPAN_ID: "missing; must be 8 bytes, not all zero",
}
_NOT_PROTOBUF: Final = {
    b"{": "this is JSON, but the content type says protobuf; send it as application/json",
    b"\x1f\x8b": "this is gzip, but no Content-Encoding header says so",
}
_SHOWN: Final = 12
"""Names of a path that are worth showing; only messages nested without end have more."""


def explain(body: bytes, code: int, offset: int) -> WireError:
    """The error for `code` at `offset` of `body`."""
    if offset == 0:
        for start, problem in _NOT_PROTOBUF.items():
            if body.startswith(start):
                return WireError("body", problem, 0)
    path, culprit = _locate(body, code, offset)
    if code in (NO_TRACE_ID, NO_SPAN_ID):
        path.append("trace_id" if code == NO_TRACE_ID else "span_id")
    if len(path) > _SHOWN:
        path[_SHOWN:] = ["…"]
    return WireError(".".join(path) or "body", _problem(body, code, offset, culprit), offset)


def _problem(body: bytes, code: int, offset: int, culprit: schema.Field | None) -> str:
    if code in (TRACE_ID, SPAN_ID, PARENT_ID):
        _, value = varint.decode(body, offset, len(body))
        length, _ = varint.decode(body, value, len(body))
        size = 16 if code == TRACE_ID else 8
        if length == size:
            return "all zero; an id must have a bit set"
        return f"{length} bytes; must be {size}" + (" or absent" if code == PARENT_ID else ", not all zero")
    if code == WIRE_TYPE:
        tag, _ = varint.decode(body, offset, len(body))
        names = {number: name for name, number in schema.WIRE_TYPES.items()}
        return f"wire type {names[tag & 7]}, but the field is {culprit.kind if culprit else 'of another type'}"
    return _PROBLEMS[code]


def _locate(body: bytes, code: int, offset: int) -> tuple[list[str], schema.Field | None]:
    """Names from the request down to the field at `offset`, and that field if it is a known one.

    Failures of a whole message (too deep, an id missing) carry the offset of its first byte, which may be that of its
    first field too: then the walk stops at the message.
    """
    path: list[str] = []
    name, pos, end = schema.ROOT, 0, len(body)
    whole = code in (DEPTH, NO_TRACE_ID, NO_SPAN_ID)
    while not (whole and (len(path) == schema.MAX_DEPTH if code == DEPTH else name == "Span")):
        step = _step(body, name, pos, end, offset, whole)
        if step is None:
            return path, None
        text, field, inner = step
        path.append(text)
        if inner is None or field is None:
            return path, field
        name, (pos, end) = field.message, inner
    return path, None


def _step(
    body: bytes, name: str, pos: int, end: int, offset: int, whole: bool
) -> tuple[str, schema.Field | None, tuple[int, int] | None] | None:
    """The field of message `name` at [pos, end) that holds `offset`, and where to go on if it is a message."""
    known = schema.MESSAGES[name]
    index: dict[int, int] = {}
    try:
        for number, wire, start, value, stop in varint.fields(body, pos, end):
            field = known.get(number)
            text = _text(number, field, index)
            if start == offset and not whole:
                return text, field, None
            inside = value <= offset < stop or (whole and value <= offset == stop)
            if inside and field is not None and field.message and wire == 2:
                return text, field, (value, stop)
            pos = stop
        return None
    except ValueError:
        return _cut_off(body, pos, end, known, index)


def _cut_off(
    body: bytes, pos: int, end: int, known: dict[int, schema.Field], index: dict[int, int]
) -> tuple[str, schema.Field | None, None] | None:
    """The field whose value runs out of its message: its tag may still be readable."""
    try:
        tag, _ = varint.decode(body, pos, end)
    except ValueError:
        return None
    number = tag >> 3
    if number == 0 or tag > 0xFFFFFFFF:
        return None
    field = known.get(number)
    return _text(number, field, index), field, None


def _text(number: int, field: schema.Field | None, index: dict[int, int]) -> str:
    if field is None:
        return f"field {number}"
    if not field.repeated:
        return field.name
    count = index.get(number, 0)
    index[number] = count + 1
    return f"{field.name}[{count}]"
