"""Detections as counters that rules go by, and as a reason to keep a trace."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corpus.detect.story import BEGIN, Story, requests
from tracekeeper_sidecar.decide.rules import Numbers, Rules
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_sidecar.wire.traces import SHUTDOWN, Traces
from tracekeeper_sidecar.wire.verdict import Judge
from tracekeeper_spec.detect import Detect
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.sampling import (
    Adaptive,
    DefaultType,
    Probabilistic,
    Sampling,
    SamplingDefault,
    SamplingRule,
    ScheduleEntry,
)
from tracekeeper_spec.sampling_detected import DETECTED, keeping_detected

TENTH = Sampling(default=SamplingDefault(probabilistic=Probabilistic(0.1)))
LOOP = Story(agent="planner").tool("search", '{"q":"same"}', times=13)


def _detected(name: str, story: Story) -> list[bytes]:
    step, made = DetectStep("detect", "Detect", Detect()), []
    for body in requests(name, story):
        request = Request(body, 0, BEGIN)
        step.run(request)
        made.append(request.body)
    return made


def _rows(tally: Tally) -> dict[tuple[str, ...], int]:
    copy = tables.copy_of(tally)
    family = copy.families["detections"]
    named = [copy.texts[label] for label in ("service", "agent", "detector")]
    return {
        tuple(texts[family.key(row) >> 8 * place & 255] or "" for place, texts in enumerate(named)): family.numbers(
            row
        )[0]
        for row in family.rows()
    }


def _tally(*bodies: bytes) -> Tally:
    tally = Tally(tables.make(), Tariffs(asking(Prices(()))), seed=1)
    for body in bodies:
        tally.take(body, int(time.time() * 1000))
    return tally


def test_what_was_detected_is_counted_by_service_agent_and_detector() -> None:
    failing = Story(agent="planner").tool("search", '{"q":"same"}', failed=True, times=6)
    tally = _tally(*_detected("loop", LOOP), *_detected("both", failing))
    assert _rows(tally) == {
        ("agents-loop", "planner", "Loop"): 2,
        ("agents-both", "planner", "Loop"): 1,
        ("agents-both", "planner", "ToolFailures"): 1,
    }


def test_a_span_that_does_not_name_its_agent_counts_for_the_trace_s() -> None:
    story = Story(agent="planner").chat().tool("search", '{"q":"same"}', agent="", times=6)
    assert _rows(_tally(*_detected("a", story))) == {("agents-a", "planner", "Loop"): 1}


def test_names_that_applications_make_up_are_no_detections() -> None:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(300):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), name="a")
        span.attributes.add(key="tracekeeper.detected").value.array_value.values.add(string_value=f"Made up {number}")
    assert _rows(_tally(message.SerializeToString())) == {}


@pytest.mark.parametrize("value", [b"", b"\x2a\x00", b"\x0a\x04Loop", b"\x2a\x02\x0a\x00", b"\x18\x07"])
def test_an_attribute_of_another_form_counts_as_nothing(value: bytes) -> None:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key="tracekeeper.detected").value.ParseFromString(value)
    assert _rows(_tally(message.SerializeToString())) == {}


def _with(sampling: Sampling, *specs: Detect) -> Sampling:
    return keeping_detected(
        sampling, [Processor(f"d{number}", ProcessorType.DETECT, detect=spec) for number, spec in enumerate(specs)]
    )


def test_a_rule_keeps_what_was_detected_before_those_of_the_config() -> None:
    own = SamplingRule("errors", 'trace.status == "error"', 0.5)
    assert _with(replace(TENTH, rules=(own,)), Detect()).rules == (DETECTED, own)
    assert _with(TENTH, Detect(keep=False), Detect()).rules == (DETECTED,)
    adaptive = Sampling(default=SamplingDefault(DefaultType.ADAPTIVE, adaptive=Adaptive()))
    assert _with(adaptive, Detect()).rules == (DETECTED,)
    nights = Sampling(default=SamplingDefault(probabilistic=Probabilistic(1.0, (ScheduleEntry(probability=0.1),))))
    assert _with(nights, Detect()).rules == (DETECTED,)


def test_there_is_no_such_rule_where_nobody_needs_one() -> None:
    assert _with(TENTH) is TENTH
    assert _with(TENTH, Detect(keep=False)) is TENTH
    everything = Sampling()
    assert _with(everything, Detect()) is everything
    mine = replace(TENTH, rules=(SamplingRule("detected", "trace.detected && trace.spans > 9", 0.5),))
    assert _with(mine, Detect()) is mine
    assert keeping_detected(TENTH, [Processor("p", ProcessorType.PRICE)]) is TENTH


def test_the_rule_matches_traces_in_which_something_was_detected() -> None:
    rules = Rules(_with(TENTH, Detect()), Numbers())
    table = Traces(wait_ms=1000, quiet_ms=1000, max_spans=1000)
    folder = Folder(table, rules.codes.span_tests, rules.codes.root_tests)
    now = int(time.time() * 1000)
    for body in (*_detected("loop", LOOP), *_detected("quiet", Story().chat(times=3).end())):
        folder.fold(body, now)
    judge = Judge(rules.codes.codes)
    slots = table.due(SHUTDOWN)
    verdicts = {table.spans(slot): judge.first(table, slot) for slot in slots}
    assert verdicts == {13: 0, 4: -1}
    (detected,) = [slot for slot in slots if table.spans(slot) == 13]
    table.decide(detected, 1 << 62)
    # Decided, it has not passed because something was detected in it.
    assert table.summary(detected).spans == 13
