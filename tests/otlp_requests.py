"""Requests to test with, made by the official protobuf classes, and generators of them for property tests."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

property_test = settings(
    max_examples=60,
    deadline=None,  # a busy machine is not a fault
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def request(spans: int, *, seed: int = 0, attributes: int = 3, text: str = "value") -> ExportTraceServiceRequest:
    """A request of one resource and one scope."""
    chance = random.Random(seed)
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    for number in range(spans):
        span = scope.spans.add(
            trace_id=_id(chance, 16),
            span_id=_id(chance, 8),
            name=f"span {number}",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=1_700_000_000_000_000_000 + number,
            end_time_unix_nano=1_700_000_000_000_001_000 + number,
        )
        for index in range(attributes):
            span.attributes.add(key=f"key.{index}").value.string_value = text
    return message


def body(spans: int, **options: Any) -> bytes:
    """The same, serialised."""
    return request(spans, **options).SerializeToString()


def attributes(pairs: dict[str, Any]) -> list[KeyValue]:
    """Attributes with texts or whole numbers."""
    return [
        KeyValue(key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value))
        for key, value in pairs.items()
    ]


def span_ids(message: ExportTraceServiceRequest) -> list[bytes]:
    """The ids of all spans, in order."""
    return [span.span_id for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def _id(chance: random.Random, size: int) -> bytes:
    return chance.randbytes(size - 1) + b"\x01"


def _ids(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).filter(any)


_TEXT = st.text(max_size=20)
_UINT32 = st.integers(0, 2**32 - 1)
_UINT64 = st.integers(0, 2**64 - 1)
_LEAVES = st.one_of(
    st.builds(AnyValue, string_value=_TEXT),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats(allow_nan=False)),
    st.builds(AnyValue, bytes_value=st.binary(max_size=20)),
    st.just(AnyValue()),
)


def _nested(children: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    def array(values: list[AnyValue]) -> AnyValue:
        value = AnyValue()
        value.array_value.values.extend(values)
        return value

    def pairs(values: list[AnyValue]) -> AnyValue:
        value = AnyValue()
        value.kvlist_value.values.extend(KeyValue(key=str(index), value=one) for index, one in enumerate(values))
        return value

    lists = st.lists(children, max_size=3)
    return lists.map(array) | lists.map(pairs)


VALUES = st.recursive(_LEAVES, _nested, max_leaves=8)
_ATTRIBUTES = st.lists(st.builds(KeyValue, key=_TEXT, value=VALUES), max_size=3)
_EVENTS = st.lists(st.builds(Span.Event, time_unix_nano=_UINT64, name=_TEXT, attributes=_ATTRIBUTES), max_size=2)
_LINKS = st.lists(
    st.builds(Span.Link, trace_id=_ids(16), span_id=_ids(8), trace_state=_TEXT, flags=_UINT32), max_size=2
)
SPANS = st.builds(
    Span,
    trace_id=_ids(16),
    span_id=_ids(8),
    parent_span_id=st.just(b"") | _ids(8),
    trace_state=_TEXT,
    name=_TEXT,
    kind=st.integers(0, 5),
    flags=_UINT32,
    start_time_unix_nano=_UINT64,
    end_time_unix_nano=_UINT64,
    dropped_attributes_count=_UINT32,
    attributes=_ATTRIBUTES,
    events=_EVENTS,
    links=_LINKS,
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Any valid request of a few resources, scopes and spans."""
    message = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        resource = message.resource_spans.add(schema_url=draw(_TEXT))
        resource.resource.attributes.extend(draw(_ATTRIBUTES))
        for _ in range(draw(st.integers(0, 3))):
            scope = resource.scope_spans.add(schema_url=draw(_TEXT))
            scope.scope.name = draw(_TEXT)
            scope.spans.extend(draw(st.lists(SPANS, max_size=3)))
    return message
