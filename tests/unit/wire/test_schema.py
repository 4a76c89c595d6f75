"""The schema table says what the published descriptors say."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.wire import schema

TYPES = {
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_MESSAGE: "message",
}
IDS = {"trace_id": "bytes", "span_id": "bytes", "parent_id": "bytes", "link_id": "bytes"}


def published(root: Descriptor) -> dict[str, dict[int, tuple[str, str, str, bool]]]:
    found: dict[str, dict[int, tuple[str, str, str, bool]]] = {}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message.name in found:
            continue
        found[message.name] = {}
        for field in message.fields:
            inner = field.message_type
            name = inner.name if inner else ""
            found[message.name][field.number] = (field.name, TYPES[field.type], name, field.is_repeated)
            if inner:
                waiting.append(inner)
    return found


def test_table_equals_the_published_descriptors() -> None:
    ours = {
        message: {
            number: (field.name, IDS.get(field.kind, field.kind), field.message, field.repeated)
            for number, field in fields.items()
        }
        for message, fields in schema.MESSAGES.items()
    }
    assert ours == published(ExportTraceServiceRequest.DESCRIPTOR)


def test_every_field_has_a_rule_that_fits_a_byte() -> None:
    assert all(number < schema.WIDTH for fields in schema.MESSAGES.values() for number in fields)
    assert schema.MESSAGE + len(schema.NAMES) < 256
    for index, name in enumerate(schema.NAMES):
        for number, field in schema.MESSAGES[name].items():
            rule = schema.RULES[index * schema.WIDTH + number]
            assert rule != schema.UNKNOWN
            if field.message:
                assert schema.NAMES[rule - schema.MESSAGE] == field.message


def test_the_numbers_that_the_scanner_spells_out() -> None:
    rules = (schema.UNKNOWN, schema.VARINT, schema.FIXED64, schema.FIXED32, schema.BYTES, schema.STRING)
    assert rules == (0, 1, 2, 3, 4, 5)
    assert (schema.TRACE_ID, schema.SPAN_ID, schema.PARENT_ID) == (6, 7, 8)
    assert (schema.MESSAGE, schema.WIDTH) == (16, 32)
