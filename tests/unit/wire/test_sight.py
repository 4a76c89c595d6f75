"""What the scanner notes beside the count: requests with their durations and errors, and spans that must not wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import otlp_requests
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.meter import BOUNDS, Meter, Sight
from tracekeeper_sidecar.wire.varint import delimited, encode

Look = Callable[[bytes], Sight]

IDS = delimited(1, b"t" * 16) + delimited(2, b"s" * 8)
PARENT = delimited(4, b"p" * 8)
SERVER, CONSUMER, CLIENT = 2, 5, 3
REMOTE = 0x300


def one(content: bytes) -> bytes:
    return delimited(1, delimited(2, delimited(2, IDS + content)))


def is_request(span: Span) -> bool:
    """As the reference says, of a parsed span."""
    return not span.parent_span_id or span.kind in (SERVER, CONSUMER) or span.flags & REMOTE == REMOTE


def duration(span: Span) -> int:
    begin, end = span.start_time_unix_nano, span.end_time_unix_nano
    return min(max(end - begin, 0), 2**63 - 1) if begin else 0


@otlp_requests.property_test
@given(message=otlp_requests.requests(), parents=st.lists(st.sampled_from([b"", b"p" * 8]), min_size=1, max_size=9))
def test_it_counts_what_parsed_spans_say(look: Look, message: ExportTraceServiceRequest, parents: list[bytes]) -> None:
    spans = [span for each in message.resource_spans for scope in each.scope_spans for span in scope.spans]
    for number, span in enumerate(spans):
        span.parent_span_id = parents[number % len(parents)]
    sight = look(message.SerializeToString())
    requests = [span for span in spans if is_request(span)]
    assert (sight.spans, sight.requests) == (len(spans), len(requests))
    assert sight.errors == sum(span.status.code == Status.STATUS_CODE_ERROR for span in requests)
    # Only the compiled one wraps by itself.
    assert sight.nanoseconds % 2**64 == sum(duration(span) for span in requests) % 2**64


@pytest.mark.parametrize(
    ("content", "requests"),
    [
        (b"", 1),
        (PARENT, 0),
        (delimited(4, b""), 1),
        (PARENT + b"\x30\x02", 1),
        (PARENT + b"\x30\x05", 1),
        (PARENT + b"\x30\x03", 0),
        (PARENT + b"\x30\x82\x00", 1),
        (PARENT + b"\x30" + encode(2**32 + 2), 1),
        (PARENT + encode(16 << 3 | 5) + (0x300).to_bytes(4, "little"), 1),
        (PARENT + encode(16 << 3 | 5) + (0x100).to_bytes(4, "little"), 0),
        (PARENT + encode(16 << 3 | 5) + (0x200).to_bytes(4, "little"), 0),
        (b"\x30\x03" + PARENT + delimited(4, b""), 1),
    ],
)
def test_what_is_a_request(look: Look, content: bytes, requests: int) -> None:
    assert look(one(content)).requests == requests


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (delimited(15, b"\x18\x02"), 1),
        (delimited(15, b"\x18\x01"), 0),
        (delimited(15, delimited(2, b"x" * 300) + b"\x18\x02"), 1),
        (delimited(15, b"\x18\x02") + delimited(15, b""), 1),
        (delimited(15, b"\x18\x02") + delimited(15, b"\x18\x00"), 0),
        (delimited(15, b"\x18" + encode(2**32 + 2)), 1),
        (PARENT + delimited(15, b"\x18\x02"), 0),
    ],
)
def test_what_is_an_error(look: Look, content: bytes, errors: int) -> None:
    assert look(one(content)).errors == errors


@pytest.mark.parametrize(
    ("key", "value", "critical"),
    [
        ("tracekeeper.priority", "critical", True),
        ("tracekeeper.priority", "Critical", False),
        ("tracekeeper.priority", "criticals", False),
        ("tracekeeper.priority", "", False),
        ("tracekeeper.prioritY", "critical", False),
        ("tracekeeper.priority.", "critical", False),
    ],
)
def test_what_must_not_wait(look: Look, key: str, value: str, critical: bool) -> None:
    message = otlp_requests.request(3)
    assert look(message.SerializeToString()).critical is False
    message.resource_spans[0].scope_spans[0].spans[1].attributes.add(key=key).value.string_value = value
    assert look(message.SerializeToString()).critical is critical


def test_only_a_span_is_critical_not_its_resource_or_event(look: Look) -> None:
    message = otlp_requests.request(1)
    resource = message.resource_spans[0]
    span = resource.scope_spans[0].spans[0]
    for place in (resource.resource, resource.scope_spans[0].scope, span.events.add(), span.links.add()):
        place.attributes.add(key="tracekeeper.priority").value.string_value = "critical"
    assert look(message.SerializeToString()).critical is False


def test_every_request_is_in_one_bucket() -> None:
    meter = Meter()
    durations = [0.0, *BOUNDS, 301.0]
    message = otlp_requests.request(len(durations))
    for span, seconds in zip(message.resource_spans[0].scope_spans[0].spans, durations, strict=True):
        span.end_time_unix_nano = span.start_time_unix_nano + round(seconds * 1e9)
    found = scan.look(message.SerializeToString())
    meter.add(found)
    meter.add(found)
    assert meter.buckets() == [4, *[2] * (len(BOUNDS) - 1), 2]
    assert meter.requests == 2 * len(durations) and meter.errors == 0
    assert meter.nanoseconds == 2 * sum(round(seconds * 1e9) for seconds in durations)
