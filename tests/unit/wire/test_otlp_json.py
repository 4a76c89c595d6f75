"""OTLP/JSON to protobuf, held against protobuf's own JSON mapping and OTLP's exceptions from it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

import otlp_requests
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire.otlp_json import json_to_protobuf
from tracekeeper_sidecar.wire.scan import count_spans

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


def to_otlp_json(message: ExportTraceServiceRequest) -> bytes:
    """Protobuf's JSON, with ids as OTLP writes them."""
    value = json_format.MessageToDict(message, use_integers_for_enums=True)
    for resource, made in zip(value.get("resourceSpans", []), message.resource_spans, strict=True):
        for scope, made_scope in zip(resource.get("scopeSpans", []), made.scope_spans, strict=True):
            for span, made_span in zip(scope.get("spans", []), made_scope.spans, strict=True):
                span.update(traceId=made_span.trace_id.hex(), spanId=made_span.span_id.hex().upper())
                span["parentSpanId"] = made_span.parent_span_id.hex()
                for link, made_link in zip(span.get("links", []), made_span.links, strict=True):
                    link.update(traceId=made_link.trace_id.hex(), spanId=made_link.span_id.hex())
    return json.dumps(value).encode()


def with_span(**fields: Any) -> bytes:
    span = {"traceId": TRACE_ID, "spanId": SPAN_ID, **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def attribute(value: dict[str, Any]) -> dict[str, Any]:
    return {"attributes": [{"key": "k", "value": value}]}


def parsed_span(**fields: Any) -> Any:
    message = ExportTraceServiceRequest.FromString(json_to_protobuf(with_span(**fields)))
    return message.resource_spans[0].scope_spans[0].spans[0]


def parsed_value(value: dict[str, Any]) -> AnyValue:
    found: AnyValue = parsed_span(**attribute(value)).attributes[0].value
    return found


def refusal(body: bytes) -> str:
    with pytest.raises(WireError) as caught:
        json_to_protobuf(body)
    return str(caught.value)


@otlp_requests.property_test
@given(message=otlp_requests.requests())
def test_means_the_same_as_the_protobuf_form(message: ExportTraceServiceRequest) -> None:
    converted = json_to_protobuf(to_otlp_json(message))
    assert ExportTraceServiceRequest.FromString(converted) == message
    assert count_spans(converted) == len(otlp_requests.span_ids(message))


def test_empty_object_is_an_empty_request() -> None:
    assert json_to_protobuf(b"{}") == b""
    assert json_to_protobuf(b"\xef\xbb\xbf {} ") == b""


def test_ids_are_hexadecimal_in_any_case() -> None:
    span = parsed_span(traceId=TRACE_ID.upper(), spanId="B7aD6b7169203331")
    assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE_ID, SPAN_ID)


def test_unknown_names_null_and_snake_case_are_ignored() -> None:
    span = parsed_span(brandNew={"a": [1]}, name=None, start_time_unix_nano=5, kind=2)
    assert (span.name, span.start_time_unix_nano, span.kind) == ("", 0, 2)


@pytest.mark.parametrize("written", [1700000000000000001, "1700000000000000001"])
def test_64_bit_numbers_may_be_strings(written: int | str) -> None:
    assert parsed_span(startTimeUnixNano=written).start_time_unix_nano == 1700000000000000001


def test_values_of_every_type() -> None:
    assert parsed_value({"stringValue": "é\ud83d\ude42"}).string_value == "é🙂"
    assert parsed_value({"boolValue": False}).WhichOneof("value") == "bool_value"
    assert parsed_value({"intValue": "-9223372036854775808"}).int_value == -(2**63)
    assert parsed_value({"intValue": 3.0}).int_value == 3
    assert parsed_value({"doubleValue": 2}).double_value == 2.0
    assert parsed_value({"doubleValue": "-Infinity"}).double_value == -math.inf
    assert math.isnan(parsed_value({"doubleValue": "NaN"}).double_value)
    assert parsed_value({"bytesValue": "_-8="}).bytes_value == parsed_value({"bytesValue": "/+8"}).bytes_value
    assert parsed_value({"arrayValue": {"values": [{"intValue": 1}, {}]}}).array_value.values[0].int_value == 1
    inner = {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}
    assert parsed_value(inner).kvlist_value.values[0].value.bool_value is True


def test_half_a_surrogate_pair_costs_a_character_not_the_request() -> None:
    body = with_span(name="cut here: X").replace(b"X", rb"\ud83d")
    assert b"cut here: ?" in json_to_protobuf(body)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"traceId": "xyz"}, "spans[0].traceId: a string of 3 characters is not hexadecimal"),
        ({"traceId": "CvdlGRbNQ92ESOshHIAxnA=="}, "OTLP/JSON ids are not base64"),
        ({"spanId": 7}, "spans[0].spanId: a number; must be a string of hexadecimal digits"),
        ({"kind": "SPAN_KIND_SERVER"}, "spans[0].kind: a string of 16 characters; OTLP/JSON writes enums as integers"),
        ({"kind": 2**31}, "spans[0].kind: the number is out of range; must be -2147483648 to 2147483647"),
        ({"kind": True}, "spans[0].kind: a boolean; must be an integer"),
        ({"startTimeUnixNano": -1}, "spans[0].startTimeUnixNano: the number is out of range"),
        ({"startTimeUnixNano": "soon"}, "spans[0].startTimeUnixNano: a string of 4 characters; must be an integer"),
        ({"endTimeUnixNano": 1.5}, "spans[0].endTimeUnixNano: a number; must be an integer"),
        ({"flags": 2**32}, "spans[0].flags: the number is out of range; must be 0 to 4294967295"),
        ({"name": ["a"]}, "spans[0].name: an array; must be a string"),
        ({"attributes": {}}, "spans[0].attributes: an object; must be an array"),
        ({"attributes": [1]}, "spans[0].attributes[0]: a number; must be an object"),
        ({"attributes": [None]}, "spans[0].attributes[0]: null; must be an object"),
        ({"status": "ok"}, "spans[0].status: a string; must be an object"),
        (attribute({"boolValue": "true"}), "value.boolValue: a string of 4 characters; must be true or false"),
        (attribute({"bytesValue": "é"}), "attributes[0].value.bytesValue: a string of one character is not base64"),
        (attribute({"doubleValue": "much"}), "value.doubleValue: a string of 4 characters; must be a number"),
        (attribute({"doubleValue": "1e999"}), "attributes[0].value.doubleValue: the number is too large for a double"),
        (attribute({"intValue": 1, "boolValue": True}), "attributes[0].value: more than one value"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(fields: dict[str, Any], expected: str) -> None:
    assert expected in refusal(with_span(**fields))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "JSON: Expecting value at line 1 column 1"),
        (b'{"resourceSpans": [', "JSON: Expecting value at line 1 column 20"),
        (b"[]", "JSON: an array; must be an object"),
        (b'{"resourceSpans": NaN}', "JSON: NaN is not JSON"),
        (b'{"a": "\xff"}', "JSON: the text is not valid UTF-8 (byte 7)"),
        (b"[" * 100_000, "JSON: nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON: Exceeds the limit"),
        ("{}".encode("utf-16"), "JSON: the text is not valid UTF-8"),
    ],
)
def test_what_is_not_json_says_where(body: bytes, expected: str) -> None:
    assert expected in refusal(body)


def test_deep_values_are_refused_as_in_protobuf() -> None:
    value: dict[str, Any] = {"boolValue": True}
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
    assert "nested deeper than 100 levels" in refusal(with_span(**attribute(value)))
