"""The shape of ExportTraceServiceRequest, once: the scanner, its error texts and the JSON reader all work from it.

Numbers and types are those of opentelemetry-proto (collector/trace/v1/trace_service.proto and what it imports); a test
compares this table with the published descriptors, so that a new release with new fields is noticed.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal[
    "uint32", "int32", "int64", "bool", "enum", "double", "fixed64", "fixed32",
    "string", "bytes", "trace_id", "span_id", "parent_id", "link_id", "message",
]  # fmt: skip


class Field(NamedTuple):
    """One field of a message. Ids are bytes in protobuf and hexadecimal text in JSON, hence kinds of their own."""

    name: str
    kind: Kind
    message: str = ""
    repeated: bool = False


def _many(name: str, message: str) -> Field:
    return Field(name, "message", message, repeated=True)


_ATTRIBUTES: Final = _many("attributes", "KeyValue")

MESSAGES: Final[dict[str, dict[int, Field]]] = {
    "ExportTraceServiceRequest": {1: _many("resource_spans", "ResourceSpans")},
    "ResourceSpans": {
        1: Field("resource", "message", "Resource"),
        2: _many("scope_spans", "ScopeSpans"),
        3: Field("schema_url", "string"),
    },
    "ScopeSpans": {
        1: Field("scope", "message", "InstrumentationScope"),
        2: _many("spans", "Span"),
        3: Field("schema_url", "string"),
    },
    "Span": {
        1: Field("trace_id", "trace_id"),
        2: Field("span_id", "span_id"),
        3: Field("trace_state", "string"),
        4: Field("parent_span_id", "parent_id"),
        5: Field("name", "string"),
        6: Field("kind", "enum"),
        7: Field("start_time_unix_nano", "fixed64"),
        8: Field("end_time_unix_nano", "fixed64"),
        9: _ATTRIBUTES,
        10: Field("dropped_attributes_count", "uint32"),
        11: _many("events", "Event"),
        12: Field("dropped_events_count", "uint32"),
        13: _many("links", "Link"),
        14: Field("dropped_links_count", "uint32"),
        15: Field("status", "message", "Status"),
        16: Field("flags", "fixed32"),
    },
    "Event": {
        1: Field("time_unix_nano", "fixed64"),
        2: Field("name", "string"),
        3: _ATTRIBUTES,
        4: Field("dropped_attributes_count", "uint32"),
    },
    "Link": {
        1: Field("trace_id", "link_id"),
        2: Field("span_id", "link_id"),
        3: Field("trace_state", "string"),
        4: _ATTRIBUTES,
        5: Field("dropped_attributes_count", "uint32"),
        6: Field("flags", "fixed32"),
    },
    "Status": {2: Field("message", "string"), 3: Field("code", "enum")},
    "Resource": {
        1: _ATTRIBUTES,
        2: Field("dropped_attributes_count", "uint32"),
        3: _many("entity_refs", "EntityRef"),
    },
    "EntityRef": {
        1: Field("schema_url", "string"),
        2: Field("type", "string"),
        3: Field("id_keys", "string", repeated=True),
        4: Field("description_keys", "string", repeated=True),
    },
    "InstrumentationScope": {
        1: Field("name", "string"),
        2: Field("version", "string"),
        3: _ATTRIBUTES,
        4: Field("dropped_attributes_count", "uint32"),
    },
    "KeyValue": {
        1: Field("key", "string"),
        2: Field("value", "message", "AnyValue"),
        3: Field("key_strindex", "int32"),
    },
    "AnyValue": {
        1: Field("string_value", "string"),
        2: Field("bool_value", "bool"),
        3: Field("int_value", "int64"),
        4: Field("double_value", "double"),
        5: Field("array_value", "message", "ArrayValue"),
        6: Field("kvlist_value", "message", "KeyValueList"),
        7: Field("bytes_value", "bytes"),
        8: Field("string_value_strindex", "int32"),
    },
    "ArrayValue": {1: _many("values", "AnyValue")},
    "KeyValueList": {1: _many("values", "KeyValue")},
}

ROOT: Final = "ExportTraceServiceRequest"
NAMES: Final = tuple(MESSAGES)
"""Message names by the number that the scanner knows them by."""

MAX_DEPTH: Final = 100
"""Messages within messages, the request included. 100 is protobuf's own default in C++, Java and Python."""

WIDTH: Final = 32
"""Field numbers below this have a rule; no message of OTLP traces uses a higher one."""

# The scanner's rule for each field, one byte: what the value must look like on the wire.
UNKNOWN, VARINT, FIXED64, FIXED32, BYTES, STRING, TRACE_ID, SPAN_ID, PARENT_ID = range(9)
MESSAGE: Final = 16
"""Rules from here on are messages: MESSAGE plus the index in NAMES."""

_RULE: Final[dict[Kind, int]] = {
    "uint32": VARINT, "int32": VARINT, "int64": VARINT, "bool": VARINT, "enum": VARINT,
    "double": FIXED64, "fixed64": FIXED64, "fixed32": FIXED32,
    "string": STRING, "bytes": BYTES, "link_id": BYTES,
    "trace_id": TRACE_ID, "span_id": SPAN_ID, "parent_id": PARENT_ID,
}  # fmt: skip


def _rules() -> bytes:
    table = bytearray(WIDTH * len(NAMES))
    for index, name in enumerate(NAMES):
        for number, field in MESSAGES[name].items():
            rule = MESSAGE + NAMES.index(field.message) if field.kind == "message" else _RULE[field.kind]
            table[index * WIDTH + number] = rule
    return bytes(table)


RULES: Final = _rules()
"""Rule of field `f` of message `m` at `m * WIDTH + f`."""

WIRE_TYPES: Final = {"varint": 0, "fixed64": 1, "length-delimited": 2, "group start": 3, "group end": 4, "fixed32": 5}
