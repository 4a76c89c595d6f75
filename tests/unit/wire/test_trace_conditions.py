"""Conditions about traces, on raw spans: the answer is that of a plain evaluator which has all spans at hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import otlp_requests
from condition_cases import PLAIN_SPANS, PLAIN_TRACE_CONDITIONS, TRACE_CONDITIONS, requests
from trace_oracle import REMOTE, Trace, trace_holds
from tracekeeper_spec.condition import combine, compile_trace, find_trace_problems

PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])
TRACE = b"t" * 16
FAILED = Status(code=Status.STATUS_CODE_ERROR)
CRITICAL = KeyValue(key="tracekeeper.priority", value=AnyValue(string_value="critical"))


def folded(sampling: SimpleNamespace, bodies: list[bytes], texts: list[str]) -> list[bool]:
    """What is said of the trace by each condition, when its spans come in these requests."""
    codes = combine([compile_trace(text) for text in texts])
    table = sampling.traces.Traces()
    folder = sampling.fold.Folder(table, codes.span_tests, codes.root_tests, sums=codes.sums)
    for number, body in enumerate(bodies):
        folder.fold(body, 1_760_000_000_000 + number)
    judges = [sampling.verdict.Judge([code]) for code in codes.codes]
    return [judge.first(table, table.find(TRACE)) == 0 for judge in judges]


def traced(bodies: list[bytes]) -> Trace:
    messages = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    resources = [one for message in messages for one in message.resource_spans]
    return [(span, one.resource) for one in resources for scope in one.scope_spans for span in scope.spans]


@PROPERTY
@given(bodies=st.lists(requests(), min_size=1, max_size=2), texts=st.lists(TRACE_CONDITIONS, min_size=1, max_size=3))
def test_raw_spans_are_judged_as_parsed_ones_are(
    sampling: SimpleNamespace, bodies: list[bytes], texts: list[str]
) -> None:
    trace = traced(bodies)
    texts = [text for text in texts if not find_trace_problems(text)]
    if trace:
        assert folded(sampling, bodies, texts) == [trace_holds(text, trace) for text in texts]


@settings(PROPERTY, max_examples=300)
@given(
    spans=PLAIN_SPANS,
    remote=st.lists(st.booleans(), min_size=4, max_size=4),
    critical=st.integers(-9, 3),
    text=PLAIN_TRACE_CONDITIONS,
)
def test_roots_events_and_priorities_are_found_in_raw_spans(
    sampling: SimpleNamespace, spans: list[Span], remote: list[bool], critical: int, text: str
) -> None:
    message = ExportTraceServiceRequest()
    for number, span in enumerate(spans):
        span.trace_id = TRACE
        span.flags = REMOTE if remote[number] else 0
        span.attributes.extend([CRITICAL] if number == critical else [])
        message.resource_spans.add().scope_spans.add().spans.append(span)
    bodies = [message.SerializeToString()]
    texts = [text, 'trace.priority == "critical"', 'trace.root.name == "a"', 'trace.status == "error"']
    assert folded(sampling, bodies, texts) == [trace_holds(text, traced(bodies)) for text in texts]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_span_without_a_parent_is_the_root_whatever_local_roots_there_are(
    sampling: SimpleNamespace, order: list[int]
) -> None:
    local = Span(trace_id=TRACE, name="local", kind=Span.SPAN_KIND_SERVER, parent_span_id=b"p" * 8, status=FAILED)
    spans = [local, Span(trace_id=TRACE, name="true")]
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans[number] for number in order)
    texts = ['trace.root.name == "local"', 'trace.root.name == "true"', 'trace.status == "error"']
    assert folded(sampling, [message.SerializeToString()], texts) == [False, True, False]
