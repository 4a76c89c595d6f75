"""Of a request come the spans that are asked for, with the verdict told, and nothing else: compiled and plain."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otlp_requests

PROPERTY = settings(otlp_requests.property_test, max_examples=50, phases=[Phase.explicit, Phase.reuse, Phase.generate])
TRACES = [bytes([number]) * 16 for number in range(1, 6)]
WITHOUT = [b"", b"short", bytes(17)]
"""Ids that are none."""
TOLD = {0: ("ot=th:8", 10), 1: ("ot=th:0", 20), 3: ("", 20)}
"""By trace: what its spans say then, and up to which number it is asked for."""


def asked(sampling: SimpleNamespace) -> bytes:
    make = sampling.traces.verdict
    verdicts = {0: make(1, 1 << 55, keep=True), 1: make(2, 0, keep=True), 3: make(3, 0, keep=True, erase=True)}
    return b"".join(TRACES[one] + verdicts[one].to_bytes(8) + TOLD[one][1].to_bytes(8) for one in TOLD)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    message = draw(otlp_requests.requests())
    for one in message.resource_spans:
        for scope in one.scope_spans:
            for span in scope.spans:
                span.trace_id = draw(st.sampled_from(TRACES + WITHOUT))
                span.trace_state = ""
    return message


def spans(message: ExportTraceServiceRequest) -> list[Span]:
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def wanted(message: ExportTraceServiceRequest, end: int) -> list[Span]:
    found = []
    for span in spans(message):
        state, until = TOLD.get(TRACES.index(span.trace_id) if span.trace_id in TRACES else -1, ("", 0))
        if end <= until:
            kept = Span()
            kept.CopyFrom(span)
            kept.trace_state = state
            found.append(kept)
    return found


@PROPERTY
@given(messages=st.lists(st.tuples(requests(), st.sampled_from([5, 10, 11, 20, 21])), min_size=1, max_size=3))
def test_it_is_what_protobuf_would_make_of_it(
    sampling: SimpleNamespace, messages: list[tuple[ExportTraceServiceRequest, int]]
) -> None:
    pick = sampling.pick.Pick(10)
    pick.add(asked(sampling))
    for message, end in messages:
        cut = pick.pick(message.SerializeToString(), end)
        found = ExportTraceServiceRequest.FromString(cut.body)
        assert spans(found) == wanted(message, end)
        assert cut.kept == len(spans(found))
        if cut.kept < len(spans(message)):
            assert all(scope.spans for one in found.resource_spans for scope in one.scope_spans)


def test_the_last_word_on_a_trace_counts(sampling: SimpleNamespace) -> None:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACES[0], span_id=b"s" * 8)
    pick = sampling.pick.Pick(10)
    pick.add(asked(sampling))
    pick.add(TRACES[0] + sampling.traces.verdict(1, 0, keep=True).to_bytes(8) + (30).to_bytes(8))
    (found,) = spans(ExportTraceServiceRequest.FromString(pick.pick(message.SerializeToString(), 25).body))
    assert found.trace_state == "ot=th:0"


def test_what_is_nothing_is_refused(sampling: SimpleNamespace) -> None:
    pick = sampling.pick.Pick(10)
    with pytest.raises(ValueError, match="each trace has 32"):
        pick.add(bytes(33))
    with pytest.raises(ValueError, match="not a request"):
        pick.pick(b"\x0a\x05\x12", 1)
