"""Spans are folded into what one would say of each trace with all its spans at hand."""

from __future__ import annotations

import random
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import otlp_requests
from tracekeeper_spec.condition import compile_trace
from tracekeeper_spec.condition.trace import combine

NOW = 1_760_000_000_000
PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])

TIMES = st.sampled_from([0, 1, 10**18, 10**18 + 5, 2**63, 2**64 - 1])
STATES = st.sampled_from(["", "a=b", "ot=rv:00000000000001", "a=b,ot=th:8;rv:ffffffffffffff", "ot=rv:1"])
SPANS = st.builds(
    Span,
    trace_id=st.sampled_from([b"a" * 16, b"b" * 16, b"a" * 15 + b"c"]),
    span_id=st.just(b"s" * 8),
    parent_span_id=st.sampled_from([b"", b"p" * 8, b"q" * 8]),
    trace_state=STATES,
    flags=st.sampled_from([0, 1, 0x100, 0x200, 0x300, 0x301]),
    name=st.sampled_from(["", "GET", "chat"]),
    kind=st.integers(0, 6),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    status=st.builds(Status, code=st.sampled_from([0, 0, 1, 2, 3])),
    attributes=st.lists(
        st.sampled_from(["tracekeeper.priority", "priority"]).flatmap(
            lambda key: st.sampled_from(["critical", "high"]).map(lambda value: (key, value))
        ),
        max_size=2,
        unique_by=lambda pair: pair[0],
    ).map(lambda pairs: otlp_requests.attributes(dict(pairs))),
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    for some in draw(st.lists(st.lists(SPANS, max_size=6), max_size=3)):
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = draw(st.sampled_from(["x", "y"]))
        resource.scope_spans.add().spans.extend(some)
    return message


def spans(message: ExportTraceServiceRequest) -> list[tuple[Span, Resource]]:
    return [(s, one.resource) for one in message.resource_spans for scope in one.scope_spans for s in scope.spans]


def rank(span: Span) -> int:
    if not span.parent_span_id:
        return 2
    return int(span.flags & 0x300 == 0x300 or span.kind in (2, 5))


def randomness(those: list[Span]) -> int:
    said = [s.trace_state.rpartition("rv:")[2] for s in those if "rv:" in s.trace_state]
    valid = [int(text, 16) for text in said if len(text) == 14]
    return valid[0] if valid else int.from_bytes(those[0].trace_id[-7:])


def expected(those: list[Span]) -> tuple[Any, ...]:
    """What a summary of these spans of one trace says."""
    highest = max(map(rank, those))
    roots = [span for span in those if rank(span) == highest > 0]
    starts = [span.start_time_unix_nano for span in those if span.start_time_unix_nano]
    return (
        those[0].trace_id,
        randomness(those),
        min(starts, default=0),
        max(span.end_time_unix_nano for span in those),
        NOW,
        len(those),
        sum(span.status.code == 2 for span in those),
        highest,
        max((span.status.code if span.status.code < 3 else 0 for span in roots), default=0),
        any(
            a.key == "tracekeeper.priority" and a.value.string_value == "critical" for s in those for a in s.attributes
        ),
    )


def folded(sampling: SimpleNamespace, bodies: list[bytes], conditions: tuple[str, ...] = (), **settings: Any) -> Any:
    codes = combine([compile_trace(text) for text in conditions])
    table = sampling.traces.Traces(**settings)
    folder = sampling.fold.Folder(table, codes.span_tests, codes.root_tests)
    for body in bodies:
        folder.fold(body, NOW)
    return table


@PROPERTY
@given(message=requests())
def test_a_summary_says_what_the_spans_say(sampling: SimpleNamespace, message: ExportTraceServiceRequest) -> None:
    table = folded(sampling, [message.SerializeToString()])
    by_trace: dict[bytes, list[Span]] = defaultdict(list)
    for span, _ in spans(message):
        by_trace[span.trace_id].append(span)
    assert table.count == len(by_trace)
    for trace_id, those in by_trace.items():
        found = table.summary(table.find(trace_id))
        assert (*found[:7], *found[9:12]) == expected(those)


@PROPERTY
@given(message=requests(), chance=st.randoms(use_true_random=False))
def test_requests_may_come_apart_and_in_any_order(
    sampling: SimpleNamespace, message: ExportTraceServiceRequest, chance: Any
) -> None:
    parts = [ExportTraceServiceRequest(resource_spans=[one]).SerializeToString() for one in message.resource_spans]
    table = folded(sampling, [message.SerializeToString()])
    other = folded(sampling, parts)
    joined = folded(sampling, [b"".join(parts)])
    for span, _ in spans(message):
        found = [each.summary(each.find(span.trace_id)) for each in (table, other, joined)]
        assert found[0] == found[1] == found[2]
    chance.shuffle(parts)
    shuffled = folded(sampling, parts)
    for span, _ in spans(message):
        one, two = (each.summary(each.find(span.trace_id)) for each in (table, shuffled))
        assert one._replace(randomness=0) == two._replace(randomness=0)


def span(trace: bytes, **fields: Any) -> Span:
    return Span(trace_id=trace, span_id=b"s" * 8, **{"parent_span_id": b"p" * 8, **fields})


def request(*those: Span, **resource: str) -> bytes:
    message = ExportTraceServiceRequest()
    one = message.resource_spans.add()
    one.resource.attributes.extend(otlp_requests.attributes(resource))
    one.scope_spans.add().spans.extend(those)
    return message.SerializeToString()


A, B = b"a" * 16, b"b" * 16


def test_tests_of_spans_and_of_the_root_leave_bits(sampling: SimpleNamespace) -> None:
    conditions = (
        'span.name == "chat" && span.duration > 1ms',
        'event.name == "exception" && event.attributes["k"] == "v"',
        'trace.root.name == "GET"',
        'resource.attributes["pod"] == "one"',
        'trace.root.resource.attributes["pod"] == "two"',
    )
    chat = span(A, name="chat", start_time_unix_nano=1, end_time_unix_nano=2_000_000)
    wrong, right = span(A), span(B)
    wrong.events.add(name="exception").attributes.extend(otlp_requests.attributes({"k": "w"}))
    wrong.events.add(name="other").attributes.extend(otlp_requests.attributes({"k": "v"}))
    right.events.add(name="x")
    right.events.add(name="exception").attributes.extend(otlp_requests.attributes({"k": "v"}))
    local = span(A, name="GET", flags=0x300)
    root = span(B, name="GET", parent_span_id=b"")
    bodies = [request(chat, wrong, local, pod="one"), request(right, root, pod="two")]
    table = folded(sampling, bodies, conditions)
    found = [table.summary(table.find(trace)) for trace in (A, B)]
    assert [(each.span_tests, each.root_tests, each.rank) for each in found] == [(0b101, 0b01, 1), (0b010, 0b11, 2)]
    # A root without a parent counts, whatever a local one said before.
    later = folded(sampling, [*bodies, request(span(A, name="POST", parent_span_id=b""), pod="two")], conditions)
    assert later.summary(later.find(A)).root_tests == 0b10


def test_a_trace_is_due_by_its_root_its_size_or_its_age(sampling: SimpleNamespace) -> None:
    table = sampling.traces.Traces(wait_ms=30_000, quiet_ms=2_000, max_spans=5)
    folder = sampling.fold.Folder(table)
    folder.fold(request(span(A), span(B)), NOW)
    a, b = table.find(A), table.find(B)
    assert table.due(NOW + 29_999) == []
    folder.fold(request(span(A, parent_span_id=b"")), NOW + 1_000)
    assert table.due(NOW + 2_999) == [] and table.due(NOW + 3_000) == [a]
    folder.fold(request(span(A)), NOW + 2_000)
    assert table.due(NOW + 3_999) == [] and table.due(NOW + 4_000) == [a]
    folder.fold(request(*[span(B)] * 3), NOW + 2_000)
    assert table.due(NOW + 2_001) == []
    folder.fold(request(span(B)), NOW + 2_000)
    assert table.due(NOW + 2_001) == [b]
    folder.fold(request(span(A)), NOW + 29_000)
    assert set(table.due(NOW + 30_000)) == {a, b}


def test_a_million_spans_are_one_trace(sampling: SimpleNamespace) -> None:
    table = sampling.traces.Traces(max_spans=100_000)
    folder = sampling.fold.Folder(table)
    rounds = 1000 if sampling.fold.__file__.endswith(".so") else 10
    body = request(*[span(A, status=Status(code=Status.STATUS_CODE_ERROR))] * 1000)
    assert [folder.fold(body, NOW) for _ in range(rounds)] == [1000] * rounds
    found = table.summary(table.find(A))
    assert (table.count, found.spans, found.errors) == (1, 1000 * rounds, 1000 * rounds)
    assert (table.due(NOW) != []) == (rounds == 1000)


def test_a_full_table_refuses_new_traces_and_counts(sampling: SimpleNamespace) -> None:
    table = sampling.traces.Traces(limit=1)
    folder = sampling.fold.Folder(table)
    assert folder.fold(request(span(A), span(B), span(A), span(B)), NOW) == 4
    assert (folder.refused, table.spans(table.find(A)), table.find(B)) == (2, 2, -1)


def test_keys_are_those_of_the_root_else_of_the_first_span(sampling: SimpleNamespace) -> None:
    keys = sampling.keys.Keys(["service.name", "gen_ai.agent.name", "operation"], most=3)
    table = sampling.traces.Traces()
    folder = sampling.fold.Folder(table, keys=keys)
    agent = otlp_requests.attributes({"gen_ai.agent.name": "billing"})
    service = {"service.name": "shop"}
    folder.fold(request(span(A, name="chat", attributes=agent), span(B, name="x"), span(A, name="y"), **service), NOW)
    a, b = table.find(A), table.find(B)
    assert keys.names(table.key(a)) == ("shop", "billing", "chat")
    assert keys.names(table.key(b)) == ("shop", "", "x")
    folder.fold(request(span(A, name="GET", parent_span_id=b""), **service, **{"gen_ai.agent.name": "of all"}), NOW)
    assert keys.names(table.key(a)) == ("shop", "of all", "GET")
    folder.fold(request(span(B, name="one too many", parent_span_id=b"")), NOW)
    assert (table.key(b), keys.names(0), len(keys)) == (0, (), 3)
    gone = table.key(a)
    keys.release(gone)
    folder.fold(request(span(b"c" * 16, name="new")), NOW)
    assert table.key(table.find(b"c" * 16)) == gone and keys.names(gone) == ("", "", "new")


@pytest.mark.parametrize(
    ("states", "weight"),
    [
        (["ot=th:e6666666666666"], 10.0),
        (["ot=rv:ffffffffffffff;th:8,v=1", "ot=th:c"], 2.0),
        (["ot=th:c", "ot=th:8", "ot=th:e6666666666666"], 2.0),
        (["ot=th:c", ""], 1.0),
        (["v=1", "ot=th:c"], 1.0),
        (["ot=th:0"], 1.0),
        (["ot=th:ffffffffffffff"], 2.0**56),
        (["ot=th:not", "ot=th:8"], 1.0),
    ],
)
def test_a_trace_stands_for_as_many_as_the_lowest_threshold_says_that_its_spans_came_with(
    sampling: SimpleNamespace, states: list[str], weight: float
) -> None:
    keys = sampling.keys.Keys(["service.name"])
    table = sampling.traces.Traces()
    folder = sampling.fold.Folder(table, keys=keys)
    for number, state in enumerate(states):
        folder.fold(request(span(A, trace_state=state, parent_span_id=b"p" * number), **{"service.name": "shop"}), NOW)
    slot = table.find(A)
    assert table.weight(slot) == pytest.approx(weight, rel=1e-3)
    assert keys.names(table.key(slot)) == ("shop",) and table.summary(slot).key == table.key(slot)


def test_what_a_trace_stands_for_is_known_to_a_thousandth(sampling: SimpleNamespace) -> None:
    brief, stands_for = sampling.probability.brief, sampling.probability.stands_for
    chance = random.Random(5)
    thresholds = sorted((1 << 56) - chance.randrange(1, 2 << chance.randrange(56)) for _ in range(2000))
    shortened = [brief(threshold) for threshold in thresholds]
    assert shortened == sorted(shortened) and 0 <= shortened[0] and shortened[-1] < 1 << 16
    for threshold, short in zip(thresholds, shortened, strict=True):
        assert stands_for(short) == pytest.approx((1 << 56) / ((1 << 56) - threshold), rel=1e-3)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_what_is_cut_off_is_refused_before_anything_is_taken_in(sampling: SimpleNamespace, cut: int) -> None:
    table = sampling.traces.Traces()
    body = request(span(A), span(B))
    with pytest.raises(ValueError, match="cut off"):
        sampling.fold.Folder(table).fold(body + body[:-cut], NOW)
    assert table.count == 0
