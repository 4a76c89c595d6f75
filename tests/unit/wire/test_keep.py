"""What is kept of a request is unchanged but for its probability, and nothing is cut before all is decided."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otlp_requests
from tracekeeper_sidecar.wire.varint import delimited, encode

NOW = 1_760_000_000_000
PROPERTY = settings(otlp_requests.property_test, max_examples=50, phases=[Phase.explicit, Phase.reuse, Phase.generate])
TRACES = [bytes([number]) * 16 for number in range(1, 6)]
HALF = 8 << 52


def verdicts(sampling: SimpleNamespace) -> dict[bytes, int]:
    make = sampling.traces.verdict
    made = [
        make(0, 0, keep=True),
        make(1, HALF, keep=True),
        make(2, HALF, keep=False),
        make(31, 1 << 56, keep=False),
        make(30, 0, keep=True, erase=True),
    ]
    return dict(zip(TRACES, made, strict=True))


def after(number: int, span: Span) -> Span | None:
    """A span of the trace with that number, as it is handed on: plainly written, for tracestates that tests use."""
    if number in (2, 3):
        return None
    kept = Span()
    kept.CopyFrom(span)
    kept.trace_state = STATES[span.trace_state][{0: 0, 1: 1, 4: 2}[number]]
    return kept


STATES = {
    "": ("ot=th:0", "ot=th:8", ""),
    "a=b": ("ot=th:0,a=b", "ot=th:8,a=b", "a=b"),
    "ot=th:c": ("ot=th:c", "ot=th:c", ""),
    "ot=th:4;x:y,a=b": ("ot=th:4;x:y,a=b", "ot=th:8;x:y,a=b", "ot=x:y,a=b"),
    "ot=x:" + "y" * 250: ("ot=x:" + "y" * 250,) * 3,
}


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    message = draw(otlp_requests.requests())
    for one in message.resource_spans:
        for scope in one.scope_spans:
            for span in scope.spans:
                span.trace_id = draw(st.sampled_from(TRACES))
                span.trace_state = draw(st.sampled_from(list(STATES)))
    return message


def decided(sampling: SimpleNamespace, body: bytes) -> Any:
    table = sampling.traces.Traces()
    sampling.fold.Folder(table).fold(body, NOW)
    for trace_id, verdict in verdicts(sampling).items():
        if (slot := table.find(trace_id)) >= 0:
            table.decide(slot, verdict)
    return table


def refuse(trace_id: bytes) -> int:
    raise AssertionError(f"asked for {trace_id!r}")


def wanted(message: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The message as it is to be handed on, by way of protobuf."""
    found = ExportTraceServiceRequest()
    for one in message.resource_spans:
        part = type(one)()
        part.CopyFrom(one)
        del part.scope_spans[:]
        for scope in one.scope_spans:
            spans = [after(TRACES.index(span.trace_id), span) for span in scope.spans]
            kept = [span for span in spans if span is not None]
            if kept:
                copy = part.scope_spans.add()
                copy.CopyFrom(scope)
                del copy.spans[:]
                copy.spans.extend(kept)
        if part.scope_spans:
            found.resource_spans.append(part)
    return found


def spans(message: ExportTraceServiceRequest) -> list[Span]:
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


@PROPERTY
@given(message=requests())
def test_it_is_what_protobuf_would_make_of_it(sampling: SimpleNamespace, message: ExportTraceServiceRequest) -> None:
    body = message.SerializeToString()
    table = decided(sampling, body)
    cut = sampling.keep.Keep(table, refuse).cut(body)
    found = ExportTraceServiceRequest.FromString(cut.body)
    if cut.body is not body:
        assert found == wanted(message)
    assert spans(found) == spans(wanted(message))
    assert cut.kept == len(spans(found))
    lost = Counter({2: 2, 3: 31}[number] for s in spans(message) if (number := TRACES.index(s.trace_id)) in (2, 3))
    assert {number: count for number, count in enumerate(cut.left_out) if count} == lost
    assert table.count == 0  # All that was folded has been cut.


def request(*those: Span) -> bytes:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(those)
    return message.SerializeToString()


def span(trace: bytes, **fields: Any) -> Span:
    return Span(trace_id=trace, span_id=b"s" * 8, **fields)


def test_what_need_not_change_comes_back_as_it_is(sampling: SimpleNamespace) -> None:
    body = request(
        span(TRACES[0], trace_state="ot=th:8"), span(TRACES[4], name="x"), span(TRACES[1], trace_state="ot=th:c")
    )
    table = decided(sampling, body)
    cut = sampling.keep.Keep(table, refuse).cut(body)
    assert cut.body is body and cut.kept == 3


def test_an_open_trace_holds_up_the_request_and_nothing_is_settled(sampling: SimpleNamespace) -> None:
    body = request(span(TRACES[0]), span(TRACES[2]), span(TRACES[1]))
    table = sampling.traces.Traces()
    sampling.fold.Folder(table).fold(body, NOW)
    keep = sampling.keep.Keep(table, refuse)
    made = verdicts(sampling)
    for number in (0, 2, 1):
        assert keep.cut(body) is None
        assert keep.blocked_by == TRACES[number]
        assert table.count == 3
        table.decide(table.find(TRACES[number]), made[TRACES[number]])
    cut = keep.cut(body)
    assert (cut.kept, cut.left_out[2], keep.blocked_by, table.count) == (2, 1, None, 0)


def test_a_trace_stays_until_its_last_span_is_cut(sampling: SimpleNamespace) -> None:
    body, last = request(span(TRACES[0]), span(TRACES[0])), request(span(TRACES[0]))
    table = sampling.traces.Traces()
    folder, keep = sampling.fold.Folder(table), sampling.keep.Keep(table, refuse)
    folder.fold(body, NOW)
    table.decide(table.find(TRACES[0]), verdicts(sampling)[TRACES[0]])
    folder.fold(last, NOW)
    assert keep.cut(body).kept == 2 and table.spans(table.find(TRACES[0])) == 1
    assert keep.cut(last).kept == 1 and table.count == 0


def test_traces_that_the_table_does_not_have_are_asked_for(sampling: SimpleNamespace) -> None:
    body, made = request(span(TRACES[1]), span(TRACES[1]), span(TRACES[3])), verdicts(sampling)
    asked: list[bytes] = []

    def unknown(trace_id: bytes) -> int:
        asked.append(trace_id)
        return made[trace_id]

    cut = sampling.keep.Keep(sampling.traces.Traces(), unknown).cut(body)
    assert (cut.kept, cut.left_out[31], asked) == (2, 1, [TRACES[1], TRACES[3]])
    keep = sampling.keep.Keep(sampling.traces.Traces(), lambda trace_id: 0)
    assert keep.cut(body) is None and keep.blocked_by == TRACES[1]
    with pytest.raises(AssertionError, match="asked for"):
        sampling.keep.Keep(sampling.traces.Traces(), refuse).cut(body)


def test_fields_of_later_versions_and_in_any_order_stay(sampling: SimpleNamespace) -> None:
    def one(trace: bytes) -> bytes:
        return (
            delimited(5, b"name") + delimited(3, b"a=b") + delimited(60, b"new") + delimited(1, trace) + b"\xf8\x07\x01"
        )

    scope = delimited(9, b"s1") + delimited(2, one(TRACES[1])) + delimited(9, b"s2") + delimited(2, one(TRACES[2]))
    body = (
        delimited(7, b"r1")
        + delimited(1, delimited(8, b"x") + delimited(2, scope) + encode(80) + b"\x05")
        + delimited(7, b"r2")
    )
    cut = sampling.keep.Keep(decided(sampling, body), refuse).cut(body)
    changed = one(TRACES[1]).replace(delimited(3, b"a=b"), delimited(3, b"ot=th:8,a=b"))
    scope = delimited(9, b"s1") + delimited(2, changed) + delimited(9, b"s2")
    assert cut.body == (
        delimited(7, b"r1")
        + delimited(1, delimited(8, b"x") + delimited(2, scope) + encode(80) + b"\x05")
        + delimited(7, b"r2")
    )
    assert cut.kept == 1


@pytest.mark.parametrize("size", [1, 60, 90, 127, 128, 200, 16_350, 16_384, 70_000])
def test_lengths_of_any_size_come_out_right(sampling: SimpleNamespace, size: int) -> None:
    for numbers in ([0], [2, 0], [0, 2], [2, 0, 2, 1, 4], [2, 3]):
        those = [span(TRACES[number], name="n" * size) for number in numbers]
        body = request(*those)
        cut = sampling.keep.Keep(decided(sampling, body), refuse).cut(body)
        message = ExportTraceServiceRequest.FromString(body)
        assert ExportTraceServiceRequest.FromString(cut.body) == wanted(message)


def test_what_is_cut_off_is_refused(sampling: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="cut off"):
        sampling.keep.Keep(sampling.traces.Traces(), refuse).cut(request(span(TRACES[0]))[:-1])
