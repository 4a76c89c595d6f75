"""Requests cut by trace: nothing changes but where spans are, and shards that come and go move no others' traces."""

from __future__ import annotations

import random
from collections import Counter
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otlp_requests
from tracekeeper_sidecar.wire import shard as compiled
from tracekeeper_sidecar.wire.varint import delimited

NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.fixture(params=["imported", "plain"])
def shard(request: pytest.FixtureRequest, plain_shard: ModuleType) -> ModuleType:
    return compiled if request.param == "imported" else plain_shard


def spans_of(message: ExportTraceServiceRequest) -> list[Span]:
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def without(message: ExportTraceServiceRequest, keep: set[int]) -> ExportTraceServiceRequest:
    """The request with only the spans of these numbers, and nothing around what is gone."""
    kept = ExportTraceServiceRequest()
    kept.CopyFrom(message)
    numbers = iter(range(len(spans_of(message))))
    for one in kept.resource_spans:
        for scope in one.scope_spans:
            spans = [span for span, number in zip(list(scope.spans), numbers, strict=False) if number in keep]
            del scope.spans[:]
            scope.spans.extend(spans)
        scopes = [scope for scope in one.scope_spans if scope.spans]
        del one.scope_spans[:]
        one.scope_spans.extend(scopes)
    resources = [one for one in kept.resource_spans if one.scope_spans]
    del kept.resource_spans[:]
    kept.resource_spans.extend(resources)
    return kept


def where(sharder: compiled.Sharder, ids: list[bytes]) -> list[int]:
    """The shard of each of these traces."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for trace in ids:
        scope.spans.add(trace_id=trace)
    found = {}
    for number, part, _ in sharder.split(message.SerializeToString()):
        for span in spans_of(ExportTraceServiceRequest.FromString(part)):
            found[span.trace_id] = number
    return [found[trace] for trace in ids]


def ids(count: int) -> list[bytes]:
    chance = random.Random(5)
    return [chance.randbytes(16) for _ in range(count)]


@otlp_requests.property_test
@given(message=otlp_requests.requests(), few=st.booleans())
def test_parts_hold_every_span_once_and_each_trace_whole(
    shard: ModuleType, message: ExportTraceServiceRequest, few: bool
) -> None:
    chance, numbered = random.Random(1), spans_of(message)
    for span in numbered if few else ():
        span.trace_id = bytes([chance.randrange(1, 4)]) * 16
    body = message.SerializeToString()
    parts = shard.Sharder(NAMES).split(body)
    assert sum(spans for _, _, spans in parts) == len(numbered)
    by_trace: dict[bytes, int] = {}
    numbers: dict[int, set[int]] = {number: set() for number, _, _ in parts}
    for number, part, spans in parts:
        read = ExportTraceServiceRequest.FromString(part)
        assert len(spans_of(read)) == spans
        for span in spans_of(read):
            trace = span.trace_id if len(span.trace_id) == 16 else b""
            assert by_trace.setdefault(trace, number) == number
    for index, span in enumerate(numbered):
        numbers[by_trace[span.trace_id if len(span.trace_id) == 16 else b""]].add(index)
    for number, part, _ in parts:
        if len(parts) > 1:
            assert ExportTraceServiceRequest.FromString(part) == without(message, numbers[number])
        else:
            assert part is body


def test_compiled_and_plain_agree(plain_shard: ModuleType) -> None:
    body = otlp_requests.body(200)
    assert compiled.Sharder(NAMES).split(body) == plain_shard.Sharder(NAMES).split(body)


def test_each_shard_gets_its_share(shard: ModuleType) -> None:
    shares = Counter(where(shard.Sharder(NAMES), ids(6000)))
    assert sorted(shares) == [0, 1, 2]
    assert all(1850 < count < 2150 for count in shares.values()), shares  # Four standard deviations.


def test_one_more_shard_takes_a_quarter_and_moves_nothing_else(shard: ModuleType) -> None:
    traces = ids(4000)
    before, after = where(shard.Sharder(NAMES), traces), where(shard.Sharder([*NAMES, "10.0.0.4"]), traces)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {3}
    assert 880 < len(moved) < 1120, len(moved)


def test_order_and_number_of_other_shards_change_nothing(shard: ModuleType) -> None:
    traces = ids(500)
    forth, back = where(shard.Sharder(NAMES), traces), where(shard.Sharder(NAMES[::-1]), traces)
    assert forth == [2 - number for number in back]


def test_where_a_trace_goes_stays_what_it_is_between_releases(shard: ModuleType) -> None:
    """Sidecars of two releases run side by side while one replaces the other."""
    assert where(shard.Sharder(NAMES), [bytes([number]) * 16 for number in range(12)]) == GOLDEN


GOLDEN = [2, 0, 0, 0, 0, 0, 2, 1, 2, 2, 2, 2]


def test_spans_without_an_id_go_together(shard: ModuleType) -> None:
    message = otlp_requests.request(30)
    for index, span in enumerate(spans_of(message)):
        span.trace_id = bytes(index % 3)
    body = message.SerializeToString()
    ((_, part, spans),) = shard.Sharder(NAMES).split(body)
    assert (part, spans) == (body, 30)


def test_long_lengths_shrink_with_what_they_measure(shard: ModuleType) -> None:
    """A part's lengths take fewer bytes than the request's did, and what stands behind them moves."""
    message = otlp_requests.request(400, text="x" * 100)
    parts = shard.Sharder([f"10.0.0.{number}" for number in range(100)]).split(message.SerializeToString())
    found = [span for _, part, _ in parts for span in spans_of(ExportTraceServiceRequest.FromString(part))]
    assert sorted(span.span_id for span in found) == sorted(span.span_id for span in spans_of(message))


def test_unknown_fields_stay_with_every_part(shard: ModuleType) -> None:
    unknown = delimited(15, b"later versions may say more")
    parts = shard.Sharder(NAMES).split(unknown + otlp_requests.body(50) + unknown)
    assert len(parts) == 3
    assert all(part.startswith(unknown) and part.endswith(unknown) for _, part, _ in parts)


@pytest.mark.parametrize("size", [0, 257])
def test_too_few_or_too_many_shards_are_refused(shard: ModuleType, size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} shards; there may be 1 to 256"):
        shard.Sharder(["a"] * size)


def test_what_is_cut_off_is_no_request(shard: ModuleType) -> None:
    body = otlp_requests.body(3)
    sharder = shard.Sharder(NAMES)
    for size in range(1, len(body)):
        try:
            parts = sharder.split(body[:size])
        except ValueError:
            continue
        assert sum(spans for _, _, spans in parts) <= 3
    assert sharder.split(b"") == [(0, b"", 0)]
