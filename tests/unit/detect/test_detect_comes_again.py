"""Requests that come again, because they were refused or their answer was lost: what is in them is counted once, and
what was said of them is said again, so that it is on the spans that are stored."""

from __future__ import annotations

import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corpus.detect.labelled import cases
from corpus.detect.story import BEGIN, SECOND, Story, requests
from tracekeeper_sidecar.process.detect.limits import limits_of
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire.detect import Watch
from tracekeeper_spec.detect import Detect


def _step() -> DetectStep:
    return DetectStep("watch", "Detect", Detect())


def _sent(step: DetectStep, body: bytes, at: int = BEGIN) -> bytes:
    """The request as it leaves the step."""
    spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    request = Request(body, len(spans), at)
    step.run(request)
    return request.body


def _counts(step: DetectStep) -> dict[tuple[str, ...], float]:
    return {
        (sample.metric.name, *sample.labels): sample.value
        for sample in step.samples()
        if sample.metric.name.endswith("_total") and sample.value
    }


def test_one_call_that_is_sent_eight_times_is_one_call() -> None:
    step, (body,) = _step(), requests("a", Story().tool("search", '{"q":"same"}', failed=True))
    for second in (0, 1, 2, 4, 8, 16, 32, 64):
        assert _sent(step, body, BEGIN + second * SECOND) is body
    assert _counts(step) == {("tracekeeper_agent_calls_total", "watch", "planner", "search", "tool"): 1}


def test_what_was_said_of_a_request_is_said_again_when_it_comes_again_and_counted_once() -> None:
    story = Story(conversation="talk").chat().end().next_trace()
    story.tool("search", '{"q":"same"}', failed=True, times=6).end()
    step, (body,) = _step(), requests("a", story)
    first = _sent(step, body)
    counts = _counts(step)
    assert first != body
    _sent(step, requests("b", Story().tool("search", '{"q":"same"}', times=6))[0])
    for _ in range(3):
        assert _sent(step, body, BEGIN + 9 * SECOND) == first
    assert counts["tracekeeper_detect_reports_total", "watch", "Loop"] == 1
    assert counts["tracekeeper_detect_links_total", "watch"] == 1
    counts["tracekeeper_detect_reports_total", "watch", "Loop"] = 2
    counts["tracekeeper_agent_calls_total", "watch", "planner", "search", "tool"] += 6
    assert _counts(step) == counts


def test_it_is_said_on_the_same_spans_though_a_step_before_has_written_more_on_them() -> None:
    step, (body,) = _step(), requests("a", Story().tool("search", '{"q":"same"}', times=7).end())
    _sent(step, body)
    message = ExportTraceServiceRequest.FromString(body)
    for span in message.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="written.later").value.string_value = "by a step before"
    again = ExportTraceServiceRequest.FromString(_sent(step, message.SerializeToString()))
    spans = again.resource_spans[0].scope_spans[0].spans
    assert [len(span.events) for span in spans] == [0, 0, 0, 0, 0, 1, 0, 0]


def test_a_request_of_the_same_first_span_with_another_end_or_more_spans_is_another() -> None:
    step, story = _step(), Story().tool("search", '{"q":"same"}', times=2)
    _sent(step, requests("a", story)[0])
    _sent(step, requests("a", story.tool("search", '{"q":"same"}'))[0])
    story.spans[0].seconds = 2.0
    changed = _sent(step, requests("a", story)[0])
    assert b"Loop" in changed  # 2, 3 and 3 calls.


def test_the_labelled_traces_are_told_alike_though_each_request_comes_three_times() -> None:
    chance = random.Random(5)
    for case in cases():
        once, thrice = _step(), _step()
        outstanding: list[tuple[bytes, bytes]] = []
        for body in requests(case.name, case.story):
            left = _sent(once, body)
            assert _sent(thrice, body) == left, case.name
            outstanding += [(body, left)] * 2
        chance.shuffle(outstanding)
        for body, left in outstanding:
            assert _sent(thrice, body) == left, case.name
        assert _counts(once) == _counts(thrice), case.name


def test_what_was_said_is_kept_within_a_bound() -> None:
    watch = Watch(7)
    declared = {"a" * 128: frozenset[str]()}
    watch.configure(limits_of(Detect()), declared, True, True)
    for number in range(3_000):
        (body,) = requests(f"n{number}", Story().hand_over("a" * 128, "b"))
        watch.take(body, BEGIN // SECOND, 1)
        assert len(watch.found) == 1
    assert watch.kept == 2_048
    (body,) = requests("n2999", Story().hand_over("a" * 128, "b"))
    assert watch.take(body, BEGIN // SECOND, 1)
    (body,) = requests("n0", Story().hand_over("a" * 128, "b"))
    assert not watch.take(body, BEGIN // SECOND, 1)
    # One request that says more than that is not told of to its end, and what is left is counted.
    story = Story()
    for _ in range(2_500):
        story.hand_over("a" * 128, "b").next_trace()
    (body,) = requests("large", story, 3_000)
    watch.take(body, BEGIN // SECOND, 2_500)
    assert (len(watch.found), watch.left, watch.kept) == (2_048, 452, 2_048)


def test_what_is_said_of_a_request_that_was_forgotten_takes_the_place_of_what_was_said_before() -> None:
    watch = Watch(7)
    watch.configure(limits_of(Detect()), {"a": frozenset[str]()}, True, True)
    story = Story()
    for _ in range(700):
        story.hand_over("a", "b").next_trace()
    (body,) = requests("large", story, 1_000)
    (other,) = requests("other", Story().chat())
    (span,) = ExportTraceServiceRequest.FromString(other).resource_spans[0].scope_spans[0].spans
    for first in (0, 100_000, 200_000):
        watch.take(body, BEGIN // SECOND, 700)
        assert (len(watch.found), watch.kept, watch.again) == (700, 700, False)
        # So many that the large one is forgotten.
        for number in range(first, first + 2 * 32_768):
            watch.take(other.replace(span.trace_id, number.to_bytes(16)), BEGIN // SECOND, 1)
