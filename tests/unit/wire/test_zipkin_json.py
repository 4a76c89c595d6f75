"""Zipkin's JSON to OTLP: as its API has it, as OpenTelemetry maps it, and whatever else may come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openai_items import services, spans, values
from otlp_requests import property_test
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.zipkin_json import convert

LONG = "463ac35c9f6413ad48485a3953bb6124"
# The example of zipkin-api's zipkin2-api.yaml, with what it leaves out.
SPAN: dict[str, Any] = {
    "traceId": "5af7183fb1d4cf5f",
    "parentId": "6b221d5bc9e6496c",
    "id": "352bff9a74ca9ad2",
    "kind": "CLIENT",
    "name": "get /api",
    "timestamp": 1556604172355737,
    "duration": 1431,
    "localEndpoint": {"serviceName": "backend", "ipv4": "192.168.99.1", "port": 3306},
    "remoteEndpoint": {"serviceName": "db", "ipv4": "172.19.0.2", "port": 58648},
    "tags": {"http.method": "GET", "http.path": "/api"},
}


def body(*items: Any) -> bytes:
    return json.dumps(items).encode()


def one(**members: Any) -> Span:
    made = convert(body({**SPAN, **members}))
    assert not made.problem, made.problem
    look(made.payload)
    (found,) = spans(made.payload)
    return found


def test_a_span() -> None:
    made = one()
    assert made.trace_id == bytes(8) + bytes.fromhex("5af7183fb1d4cf5f")
    assert made.span_id == bytes.fromhex("352bff9a74ca9ad2")
    assert made.parent_span_id == bytes.fromhex("6b221d5bc9e6496c")
    assert (made.name, made.kind) == ("get /api", Span.SPAN_KIND_CLIENT)
    assert made.start_time_unix_nano == 1556604172355737000
    assert made.end_time_unix_nano == 1556604172357168000
    assert not made.HasField("status")
    assert values(made.attributes) == {
        "http.method": "GET",
        "http.path": "/api",
        "peer.service": "db",
        "network.peer.address": "172.19.0.2",
        "network.peer.port": 58648,
    }
    (resource,) = ExportTraceServiceRequest.FromString(convert(body(SPAN)).payload).resource_spans
    assert values(resource.resource.attributes) == {
        "service.name": "backend",
        "net.host.ip": "192.168.99.1",
        "net.host.port": 3306,
    }
    assert resource.scope_spans[0].scope.name == "zipkin"


def test_spans_of_several_services() -> None:
    other = {**SPAN, "id": "1", "localEndpoint": {"serviceName": "frontend"}}
    nobody = {**SPAN, "id": "2", "localEndpoint": None}
    made = convert(body(SPAN, other, {**SPAN, "id": "3"}, nobody))
    assert list(services(made.payload)) == ["backend", "frontend", "unknown_service"]
    assert len(spans(made.payload)) == 4


@pytest.mark.parametrize(
    ("members", "name", "value"),
    [
        ({"traceId": LONG}, "trace_id", bytes.fromhex(LONG)),
        ({"traceId": "A"}, "trace_id", bytes(15) + b"\x0a"),
        ({"parentId": None}, "parent_span_id", b""),
        ({"parentId": SPAN["id"]}, "parent_span_id", b""),
        ({"kind": None}, "kind", Span.SPAN_KIND_INTERNAL),
        ({"kind": "SERVER"}, "kind", Span.SPAN_KIND_SERVER),
        ({"kind": "PRODUCER"}, "kind", Span.SPAN_KIND_PRODUCER),
        ({"kind": "consumer"}, "kind", Span.SPAN_KIND_CONSUMER),
        ({"name": None}, "name", "unknown"),
        ({"duration": None}, "end_time_unix_nano", 1556604172355737000),
        ({"timestamp": None, "annotations": [{"timestamp": 9, "value": "x"}, {"timestamp": 7, "value": "y"}]},
         "start_time_unix_nano", 7000),
        ({"timestamp": 5e3}, "start_time_unix_nano", 5_000_000),
    ],
)  # fmt: skip
def test_fields(members: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(one(**members), name) == value


@pytest.mark.parametrize(
    ("tags", "code", "message", "left"),
    [
        ({"error": ""}, Status.STATUS_CODE_ERROR, "", {}),
        ({"error": "true"}, Status.STATUS_CODE_ERROR, "", {}),
        ({"error": "timed out"}, Status.STATUS_CODE_ERROR, "timed out", {}),
        ({"error": "timed out", "otel.status_code": "ERROR"}, Status.STATUS_CODE_ERROR, "timed out", {}),
        ({"otel.status_code": "ERROR"}, Status.STATUS_CODE_ERROR, "", {}),
        ({"otel.status_code": "OK"}, Status.STATUS_CODE_OK, "", {}),
        ({"otel.status_code": "OK", "error": "x"}, Status.STATUS_CODE_OK, "", {"error": "x"}),
        ({"error": "false"}, Status.STATUS_CODE_UNSET, "", {"error": "false"}),
        ({"otel.status_code": "odd"}, Status.STATUS_CODE_UNSET, "", {"otel.status_code": "odd"}),
        ({"n": 3, "b": True, "l": [1]}, Status.STATUS_CODE_UNSET, "", {"n": "3", "b": "true", "l": "[1]"}),
    ],
)
def test_tags_and_status(tags: dict[str, Any], code: int, message: str, left: dict[str, str]) -> None:
    made = one(tags=tags, remoteEndpoint=None)
    assert (made.status.code, made.status.message) == (code, message)
    assert values(made.attributes) == left


def test_flags_and_what_is_not_known() -> None:
    found = values(one(tags=None, remoteEndpoint={}, debug=True, shared=True, other={"a": 1}).attributes)
    assert found == {"zipkin.debug": True, "zipkin.shared": True, "zipkin.other": '{"other":{"a":1}}'}


def test_the_scope_that_opentelemetry_wrote() -> None:
    made = convert(body({**SPAN, "tags": {"otel.scope.name": "shop.cart"}}))
    (resource,) = ExportTraceServiceRequest.FromString(made.payload).resource_spans
    assert resource.scope_spans[0].scope.name == "shop.cart"


@pytest.mark.parametrize(
    ("value", "name", "attributes"),
    [
        ("cs", "cs", {}),
        ('"exception": {"type":"E","n":1,"x":1.5,"b":true,"l":[1]}', "exception",
         {"type": "E", "n": 1, "x": 1.5, "b": True, "l": "[1]"}),
        ('"a\\"b": {}', 'a"b', {}),
        ('{"tried": {"times": 2}}', "tried", {"times": 2}),
        ('{"tried": 2}', '{"tried": 2}', {}),
        ("{}", "{}", {}),
        ('"a": {broken}', '"a": {broken}', {}),
        ('"a": {}, {"b": 1}', '"a": {}, {"b": 1}', {}),
    ],
)  # fmt: skip
def test_annotations(value: str, name: str, attributes: dict[str, Any]) -> None:
    (event,) = one(annotations=[{"timestamp": 1556604172355800, "value": value}]).events
    assert (event.time_unix_nano, event.name) == (1556604172355800000, name)
    assert values(event.attributes) == attributes


REFUSED: list[tuple[Any, str]] = [
    (3, "[1]: a number; must be an object"),
    ({}, "[1].traceId: missing"),
    ({**SPAN, "traceId": 5}, "[1].traceId: a number; must be a string"),
    ({**SPAN, "traceId": "xyz"}, "[1].traceId: a string of 3 characters; must be up to 32 hexadecimal digits"),
    ({**SPAN, "traceId": "0" * 32}, "[1].traceId: all zero"),
    ({**SPAN, "id": "0" * 17}, "[1].id: a string of 17 characters; must be up to 16 hexadecimal digits"),
    ({**SPAN, "parentId": ""}, "[1].parentId: an empty string; must be up to 16 hexadecimal digits"),
    ({**SPAN, "kind": "LOCAL"}, "[1].kind: a string of 5 characters; must be CLIENT, SERVER, PRODUCER or CONSUMER"),
    ({**SPAN, "name": 3}, "[1].name: a number; must be a string"),
    ({**SPAN, "timestamp": -1}, "[1].timestamp: a number; must be microseconds, 0 to 18446744073709551"),
    ({**SPAN, "duration": ""}, "[1].duration: an empty string; must be microseconds, 0 to 18446744073709551"),
    ({**SPAN, "tags": []}, "[1].tags: an array; must be an object"),
    ({**SPAN, "annotations": {}}, "[1].annotations: an object; must be an array"),
    ({**SPAN, "annotations": [{"value": 3}]},
     "[1].annotations[0]: must be an object with timestamp and value, a string"),
    ({**SPAN, "annotations": [{"value": "x", "timestamp": True}]},
     "[1].annotations[0].timestamp: a boolean; must be microseconds, 0 to 18446744073709551"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "problem"), REFUSED)
def test_a_span_that_is_not_understood_is_named_and_the_others_are_stored(item: Any, problem: str) -> None:
    made = convert(body(SPAN, item))
    assert (made.refused, made.problem) == (1, problem)
    assert len(spans(made.payload)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "JSON: Expecting value at line 1 column 1"),
        (b"{}", "JSON: an object; must be an array of spans"),
        (b"[" * 100_000, "JSON: nested too deeply"),
    ],
)
def test_what_is_no_request_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(WireError) as caught:
        convert(text)
    assert str(caught.value) == problem


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800")
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.sampled_from([*SPAN, "annotations", "debug", "shared", "x"]), JSON, max_size=4)
ANNOTATIONS = st.lists(
    st.fixed_dictionaries(
        {"timestamp": st.integers(0, 2**60), "value": st.text(max_size=8) | st.text('"{}:a\\ ', max_size=20)}
    ),
    max_size=3,
)


@property_test
@given(st.lists(st.tuples(MEMBERS, ANNOTATIONS) | JSON, max_size=5) | JSON)
def test_whatever_comes_is_an_error_or_otlp(items: Any) -> None:
    if isinstance(items, list):
        items = [{**SPAN, "annotations": item[1], **item[0]} if isinstance(item, tuple) else item for item in items]
    try:
        made = convert(json.dumps(items).encode())
    except WireError as error:
        assert str(error)
        return
    assert look(made.payload).spans == len(spans(made.payload)) == len(items) - made.refused
