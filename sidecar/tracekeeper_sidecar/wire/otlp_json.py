"""OTLP/JSON to protobuf, by the schema table: OTLP 1.11, section "JSON Protobuf Encoding".

Like protobuf's JSON mapping, but trace and span ids are hexadecimal in any case, enums are integers only, names are
lowerCamelCase only, and unknown names are ignored. 64-bit integers may be numbers or strings; null means absent.
The checks on ids are left to the scanner, which sees every request; here it is only decided what the bytes are.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import schema
from tracekeeper_sidecar.wire.json_text import kind, shown
from tracekeeper_sidecar.wire.varint import delimited, encode

_INTEGER: Final = re.compile(r"-?\d{1,20}")


def json_to_protobuf(body: bytes) -> bytes:
    """The serialised ExportTraceServiceRequest that the JSON text means; raises WireError naming the field."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise WireError("JSON", "the text is not valid UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise WireError("JSON", f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise WireError("JSON", cause) from error
    return _message(value, schema.ROOT, "", schema.MAX_DEPTH)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write it as a string")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_BY_NAME: Final = {
    message: {_camel(field.name): (number, field) for number, field in fields.items()}
    for message, fields in schema.MESSAGES.items()
}


def _message(value: object, message: str, path: str, depth: int) -> bytes:
    if not isinstance(value, dict):
        raise WireError(path or "JSON", f"{kind(value)}; must be an object")
    if depth == 0:
        raise WireError(path, f"objects nested deeper than {schema.MAX_DEPTH} levels")
    known = _BY_NAME[message]
    out = bytearray()
    members = 0
    for name, item in value.items():
        entry = known.get(name)
        if entry is None or item is None:
            continue
        members += 1
        number, field = entry
        where = f"{path}.{name}" if path else name
        if field.repeated:
            out += _list(item, number, field, where, depth)
        else:
            out += _field(item, number, field, where, depth)
    if message == "AnyValue" and members > 1:
        raise WireError(path, "more than one value; an AnyValue has one")
    return bytes(out)


def _list(value: object, number: int, field: schema.Field, path: str, depth: int) -> bytes:
    if not isinstance(value, list):
        raise WireError(path, f"{kind(value)}; must be an array")
    return b"".join(_field(item, number, field, f"{path}[{index}]", depth) for index, item in enumerate(value))


def _field(value: object, number: int, field: schema.Field, path: str, depth: int) -> bytes:
    if field.kind == "message":
        return delimited(number, _message(value, field.message, path, depth - 1))
    try:
        return _ENCODERS[field.kind](value, number)
    except ValueError as error:
        raise WireError(path, str(error)) from error


def _integer(value: object, low: int, high: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)}; must be an integer")
    if not low <= value <= high:
        raise ValueError(f"the number is out of range; must be {low} to {high}")
    return value


def _varint(low: int, high: int) -> Callable[[object, int], bytes]:
    def convert(value: object, number: int) -> bytes:
        return encode(number << 3) + encode(_integer(value, low, high) & 0xFFFFFFFFFFFFFFFF)

    return convert


def _fixed(low: int, high: int, layout: str, wire: int) -> Callable[[object, int], bytes]:
    def convert(value: object, number: int) -> bytes:
        return encode(number << 3 | wire) + struct.pack(layout, _integer(value, low, high))

    return convert


def _enum(value: object, number: int) -> bytes:
    if isinstance(value, str):
        raise ValueError(f"{shown(value)}; OTLP/JSON writes enums as integers")
    return encode(number << 3) + encode(_integer(value, -(2**31), 2**31 - 1) & 0xFFFFFFFFFFFFFFFF)


def _bool(value: object, number: int) -> bytes:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)}; must be true or false")
    return encode(number << 3) + (b"\x01" if value else b"\x00")


def _double(value: object, number: int) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{shown(value)}; must be a number")
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)}; must be a number") from None
    if math.isinf(parsed) and value not in ("Infinity", "-Infinity"):
        raise ValueError("the number is too large for a double")
    return encode(number << 3 | 1) + struct.pack("<d", parsed)


def _string(value: object, number: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{kind(value)}; must be a string")
    # JavaScript cuts strings inside a surrogate pair and still writes JSON; half a character becomes "?", rather
    # than the whole request being refused for it.
    return delimited(number, value.encode("utf-8", "replace"))


def _bytes(value: object, number: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{kind(value)}; must be a string in base64")
    text = value.replace("-", "+").replace("_", "/")
    try:
        return delimited(number, base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise ValueError(f"{shown(value)} is not base64") from None


def _hexadecimal(value: object, number: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{kind(value)}; must be a string of hexadecimal digits")
    try:
        decoded = binascii.unhexlify(value)
    except (binascii.Error, ValueError):
        raise ValueError(f"{shown(value)} is not hexadecimal; OTLP/JSON ids are not base64") from None
    return delimited(number, decoded)


_ENCODERS: Final[Mapping[str, Callable[[object, int], bytes]]] = {
    "uint32": _varint(0, 2**32 - 1),
    "int32": _varint(-(2**31), 2**31 - 1),
    "int64": _varint(-(2**63), 2**63 - 1),
    "enum": _enum,
    "bool": _bool,
    "double": _double,
    "fixed64": _fixed(0, 2**64 - 1, "<Q", 1),
    "fixed32": _fixed(0, 2**32 - 1, "<I", 5),
    "string": _string,
    "bytes": _bytes,
    "trace_id": _hexadecimal,
    "span_id": _hexadecimal,
    "parent_id": _hexadecimal,
    "link_id": _hexadecimal,
}
