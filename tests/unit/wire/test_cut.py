"""Cuts are valid requests within the limits, and together they are the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otlp_requests
from tracekeeper_sidecar.wire.cut import cut
from tracekeeper_sidecar.wire.scan import count_spans
from tracekeeper_sidecar.wire.varint import delimited

Placed = list[tuple[bytes, bytes, bytes]]


def placed(message: ExportTraceServiceRequest) -> Placed:
    """Every span, serialised, with its resource and scope, in order."""
    found: Placed = []
    for resource in message.resource_spans:
        outside = resource.resource.SerializeToString() + resource.schema_url.encode()
        for scope in resource.scope_spans:
            around = scope.scope.SerializeToString() + scope.schema_url.encode()
            found += [(outside, around, span.SerializeToString()) for span in scope.spans]
    return found


@otlp_requests.property_test
@given(message=otlp_requests.requests(), spans=st.integers(1, 10), size=st.integers(1, 2000))
def test_pieces_keep_limits_order_resource_and_scope(message: ExportTraceServiceRequest, spans: int, size: int) -> None:
    found: Placed = []
    for piece, count in cut(message.SerializeToString(), spans, size):
        assert 0 < count <= spans
        assert count == count_spans(piece)
        assert len(piece) <= size or count == 1
        found += placed(ExportTraceServiceRequest.FromString(piece))
    assert found == placed(message)


def test_no_limit_is_passed_by_a_byte() -> None:
    body = otlp_requests.body(3, attributes=0) + otlp_requests.body(2, attributes=0) + otlp_requests.body(1)
    for size in range(1, len(body) + 1):
        pieces = list(cut(body, 6, size))
        assert sum(count for _, count in pieces) == 6
        assert all(len(piece) <= size or count == 1 for piece, count in pieces), size


def test_what_fits_comes_back_as_it_is() -> None:
    body = otlp_requests.body(5)
    assert list(cut(body, 5, len(body))) == [(body, 5)]


def test_a_request_without_spans_has_no_pieces() -> None:
    assert list(cut(b"", 10, 10)) == []
    assert list(cut(delimited(1, delimited(2, b"")), 10, 10)) == []


def test_a_span_over_the_limit_comes_out_alone() -> None:
    message = otlp_requests.request(3)
    message.resource_spans[0].scope_spans[0].spans[1].name = "n" * 5000
    pieces = list(cut(message.SerializeToString(), 100, 1000))
    assert [count for _, count in pieces] == [1, 1, 1]
    assert [len(piece) > 1000 for piece, _ in pieces] == [False, True, False]


def test_halving_a_large_request_makes_about_two() -> None:
    body = otlp_requests.body(1000)
    pieces = list(cut(body, 1000, len(body) // 2 + 200))
    assert [count for _, count in pieces] == [pytest.approx(500, abs=5), pytest.approx(500, abs=5)]


def test_unknown_fields_of_resource_and_scope_are_kept() -> None:
    span = delimited(2, delimited(1, b"t" * 16) + delimited(2, b"s" * 8))
    scope = delimited(2, span + span + delimited(99, b"scope extra"))
    body = delimited(1, scope + delimited(98, b"resource extra"))
    pieces = list(cut(body, 1, 10_000))
    assert len(pieces) == 2
    assert all(b"scope extra" in piece and b"resource extra" in piece for piece, _ in pieces)


def test_neighbours_of_one_resource_share_it_in_a_piece() -> None:
    body = otlp_requests.body(4) + otlp_requests.body(4, seed=1)
    pieces = list(cut(body, 6, 100_000))
    assert [count for _, count in pieces] == [6, 2]
    first = ExportTraceServiceRequest.FromString(pieces[0][0])
    assert [len(one.scope_spans[0].spans) for one in first.resource_spans] == [4, 2]
