"""What the step writes on spans, what it leaves alone, and what stays within bounds."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otlp_requests
from corpus.detect.labelled import cases
from corpus.detect.story import BEGIN, Story, requests
from tracekeeper_sidecar.process.build import Means, build
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.detect.words import disowned
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.detect import Watch
from tracekeeper_sidecar.wire.models import same_model
from tracekeeper_spec.detect import Detect, Detector, Handoffs
from tracekeeper_spec.detect_fields import DETECT
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.walk import read


def _step(trusting: bool = False, **options: object) -> DetectStep:
    return DetectStep("watch", "Detect", Detect(**options), trusting)  # type: ignore[arg-type] # whatever a test says


def _run(step: DetectStep, story: Story, name: str = "a", at: int = BEGIN) -> list[Span]:
    """The spans that come out; they are accepted by the scanner."""
    spans: list[Span] = []
    for body in requests(name, story):
        request = Request(body, scan.look(body).spans, at)
        step.run(request)
        assert scan.look(request.body).spans == request.spans
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            spans += resource.scope_spans[0].spans
    return spans


def _named(span: Span) -> list[str]:
    return [
        item.string_value
        for pair in span.attributes
        if pair.key == "tracekeeper.detected"
        for item in pair.value.array_value.values
    ]


def _metric(step: DetectStep, name: str, *labels: str) -> float:
    return sum(
        sample.value for sample in step.samples() if sample.metric.name == name and sample.labels == ("watch", *labels)
    )


def test_the_span_that_completes_the_pattern_says_so() -> None:
    step = _step()
    spans = _run(step, Story(agent="planner").tool("search", '{"q":"same"}', times=7).end())
    assert [number for number, span in enumerate(spans) if _named(span)] == [5]
    (event,) = spans[5].events
    assert event.name == "tracekeeper.detected"
    assert event.time_unix_nano == spans[5].end_time_unix_nano
    said = {pair.key: pair.value.string_value or pair.value.int_value for pair in event.attributes}
    assert said == {
        "tracekeeper.detector": "Loop",
        "tracekeeper.detected.message": "search was called 6 times in this trace with the same arguments",
        "tracekeeper.detected.seen": 6,
        "tracekeeper.detected.limit": 6,
        "gen_ai.agent.name": "planner",
    }
    assert _metric(step, "tracekeeper_detect_reports_total", "Loop") == 1
    assert '"q"' not in str(event)


def test_where_nothing_is_detected_the_request_is_the_same_object() -> None:
    step = _step()
    for body in requests("quiet", Story().chat(times=5).tool("search", '{"q":1}').end()):
        request = Request(body, 7, BEGIN)
        step.run(request)
        assert request.body is body


def test_detectors_that_are_off_say_nothing() -> None:
    for case in cases():
        step = _step(disabled=tuple(Detector), link_conversations=False)
        assert [_named(span) for span in _run(step, case.story, case.name) if _named(span)] == []


def test_several_detectors_share_a_span_and_an_earlier_step_is_not_written_over() -> None:
    story = Story().tool("search", '{"q":"same"}', failed=True, times=5)
    first, second = _step(), _step(True, disabled=(Detector.TOOL_FAILURES,), loop=DETECT_LOOP)
    (body,) = requests("both", story)
    request = Request(body, 5, BEGIN)
    first.run(request)
    second.run(request)
    spans = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
    assert [_named(span) for span in spans] == [[], [], [], [], ["ToolFailures", "Loop"]]
    assert [pair.key for pair in spans[4].attributes].count("tracekeeper.detected") == 1
    assert len(spans[4].events) == 2


def _forged(story: Story) -> bytes:
    """The request of a story whose spans say themselves that a loop was detected."""
    message = ExportTraceServiceRequest.FromString(requests("forged", story)[0])
    for span in message.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="tracekeeper.detected").value.array_value.values.add(string_value="Loop")
        span.attributes.add(key="after").value.string_value = "stays"
    return message.SerializeToString()


def test_what_an_application_says_itself_was_detected_has_another_name() -> None:
    step, story = _step(), Story().plain("GET /", times=2).tool("search", '{"q":1}', failed=True, times=5)
    for _ in range(2):  # The second time it comes again.
        request = Request(_forged(story), 7, BEGIN)
        step.run(request)
        spans = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
        assert [_named(span) for span in spans] == [[]] * 6 + [["ToolFailures"]]
        kept = [[pair.key for pair in span.attributes][-3:] for span in spans]
        assert all(keys[-2:] == ["application.detected", "after"] for keys in kept[:6])
        assert kept[6] == ["application.detected", "after", "tracekeeper.detected"]
    assert _metric(step, "tracekeeper_detect_reports_total", "ToolFailures") == 1


def test_only_what_is_a_name_is_given_another_one_however_it_is_written() -> None:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="a")
    span.attributes.add(key="prompt").value.string_value = "What is tracekeeper.detected?"
    span.attributes.add(key="tracekeeper.detected").value.array_value.values.add(string_value="Loop")
    span.attributes.add(key="tracekeeper.detected").value.string_value = "again"
    request = Request(message.SerializeToString(), 1, BEGIN)
    _step().run(request)
    (kept,) = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
    assert [pair.key for pair in kept.attributes] == ["prompt", "application.detected", "application.detected"]
    assert kept.attributes[0].value.string_value == "What is tracekeeper.detected?"
    # A length of two bytes where one would do.
    assert disowned(b"\x0a\x94\x00tracekeeper.detected", [(0, 23)]) == b"\x0a\x94\x00application.detected"


def test_only_the_first_of_two_steps_gives_it_another_name() -> None:
    first = Processor("one", ProcessorType.DETECT, detect=Detect())
    second = Processor("two", ProcessorType.DETECT, detect=Detect(disabled=(Detector.TOOL_FAILURES,)))
    request = Request(_forged(Story().tool("search", '{"q":1}', failed=True, times=5)), 5, BEGIN)
    build([first, second], Means()).run(request, lambda error: None)
    spans = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
    assert [_named(span) for span in spans] == [[], [], [], [], ["ToolFailures"]]


DETECT_LOOP = read(DETECT, {"loop": {"repeats": 5}}, "detect", []).loop


def test_conversations_are_linked_from_trace_to_trace() -> None:
    step, story = _step(), Story(conversation="talk")
    for _ in range(3):
        story.chat().end().next_trace()
    spans = _run(step, story)
    roots = [span for span in spans if not span.parent_span_id]
    assert [len(span.links) for span in roots] == [0, 1, 1]
    for before, after in pairwise(roots):
        assert (after.links[0].trace_id, after.links[0].span_id) == (before.trace_id, before.span_id)
        assert after.links[0].attributes[0].value.string_value == "conversation.previous"
    assert not any(span.links for span in spans if span.parent_span_id)
    assert _metric(step, "tracekeeper_detect_links_total") == 2
    assert not any(span.links for span in _run(_step(link_conversations=False), story))


def test_a_trace_that_is_sent_again_is_not_linked_to_itself() -> None:
    step, story = _step(), Story(conversation="talk").chat().end()
    assert not any(span.links for _ in range(2) for span in _run(step, story))


def test_who_calls_whom_is_counted_though_agents_end_last() -> None:
    step = _step()
    story = Story(agent="boss").tool("search", '{"q":1}', agent="helper").tool("fetch", '{"q":1}', agent="")
    story.invoke("helper", "a task").hand_over("boss", "clerk").end()
    _run(step, story)
    edges = {sample.labels[1:]: sample.value for sample in step.samples() if len(sample.labels) == 4}
    assert edges == {
        ("helper", "search", "tool"): 1,
        ("boss", "fetch", "tool"): 1,
        ("boss", "helper", "agent"): 1,
        ("boss", "clerk", "handoff"): 1,
        ("", "boss", "agent"): 1,
    }


def test_names_that_somebody_makes_up_become_other() -> None:
    step = _step()
    for number in range(300):
        _run(step, Story(agent=f"agent-{number}").tool(f"tool-{number}", "{}").end(), f"made-up {number}")
    edges = {sample.labels[1:]: sample.value for sample in step.samples() if len(sample.labels) == 4}
    assert len(edges) <= 401
    assert sum(edges.values()) == 600
    assert edges["other", "other", "tool"] > 0


def test_a_newer_step_goes_on_where_the_older_one_was() -> None:
    older, story = _step(), Story().tool("search", '{"q":"same"}', times=5)
    _run(older, story)
    newer = _step()
    newer.keep(older)
    assert [_named(span) for span in _run(newer, Story().tool("search", '{"q":"same"}'))] == [["Loop"]]
    assert _metric(newer, "tracekeeper_detect_traces") == 1


def test_what_nobody_touches_for_an_hour_is_forgotten() -> None:
    step = _step()
    _run(step, Story().tool("search", '{"q":"same"}', times=5))
    hour = 3_600_000_000_000
    _run(step, Story().chat(), "other", BEGIN + hour)
    assert _metric(step, "tracekeeper_detect_traces") == 1
    assert [_named(span) for span in _run(step, Story().tool("search", '{"q":"same"}'), at=BEGIN + hour)] == [[]]


def test_made_up_ids_take_no_more_than_a_fixed_room() -> None:
    watch, chance = Watch(7, traces=64, talks=32, marks=256), random.Random(7)
    step = _step()
    step._watch = watch
    step._configure()
    room = 0
    for number in range(400):
        story = Story(agent=f"a{chance.random()}", conversation=f"c{chance.random()}")
        for _ in range(4):
            story.tool(f"t{chance.random()}", f"{chance.random()}", agent="").chat(chance.randrange(10**6))
        _run(step, story.end(), f"made up {number}")
        if number == 100:
            room = watch.memory
    assert watch.traces <= 64
    assert watch.conversations <= 32
    assert watch.memory <= room
    assert watch.forgotten >= 300
    # What is in front of it is still seen.
    assert ["Loop"] in [
        _named(span) for span in _run(step, Story().tool("search", '{"q":"same"}', times=7).end(), "loop")
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4", "gpt-4-0613", True),
        ("gpt-4", "gpt-4.1", False),
        ("gpt-4", "gpt-4-turbo", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("o1", "o1-2024-12-17", True),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", True),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307", True),
        ("models/gemini-2.0-flash", "gemini-2.0-flash-001", True),
        ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20", True),
        ("openai/GPT-4o", "gpt-4o", True),
        ("llama3", "llama3.1", False),
        ("", "gpt-4o", False),
    ],
)
def test_an_alias_is_no_other_model(one: str, other: str, same: bool) -> None:
    assert same_model(one, other) is same
    assert same_model(other, one) is same


@pytest.mark.parametrize(
    ("written", "path", "problem"),
    [
        ({"disabled": ["Loop", "Loop"]}, "detect.disabled[1]", "'Loop' is in this list already"),
        ({"disabled": ["Lop"]}, "detect.disabled[0]", ""),
        ({"loop": {"repeats": 1}}, "detect.loop.repeats", "must be from 2 to 1000000, not 1"),
        ({"toolFailures": {"share": 2}}, "detect.toolFailures.share", ""),
        ({"handoffs": [{"to": ["a"]}]}, "detect.handoffs[0].from", ""),
        ({"handoffs": [{"from": "a", "to": []}, {"from": "a", "to": []}]}, "detect.handoffs[1].from", ""),
        ({"detectors": []}, "detect.detectors", ""),
    ],
)
def test_faults_are_named_where_they_are(written: dict[str, object], path: str, problem: str) -> None:
    faults: list[Fault] = []
    read(DETECT, written, "detect", faults)
    assert [fault.path for fault in faults] == [path]
    assert problem in faults[0].problem


def test_what_a_config_says_is_what_the_step_does() -> None:
    spec = read(DETECT, {"handoffs": [{"from": "triage", "to": []}], "disabled": ["Loop"]}, "detect", [])
    assert spec.handoffs == (Handoffs("triage", ()),)
    pipeline = build([Processor("watch", ProcessorType.DETECT, detect=spec)], Means())
    (step,) = pipeline.steps
    assert isinstance(step, DetectStep)
    spans = _run(step, Story(agent="triage").hand_over("triage", "billing").tool("a", '{"q":"same"}', times=9))
    assert [_named(span) for span in spans if _named(span)] == [["UndeclaredHandoff"]]


@given(body=otlp_requests.requests().map(lambda message: message.SerializeToString()))
def test_whatever_a_request_holds_it_comes_out_acceptable(body: bytes) -> None:
    step = _step()
    for _ in range(2):
        request = Request(body, 0, BEGIN)
        step.run(request)
        assert scan.look(request.body).spans == scan.look(body).spans


@given(st.binary(max_size=200))
def test_whatever_an_attribute_holds_nothing_is_read_beyond_it(value: bytes) -> None:
    step = _step()
    for name in (
        "gen_ai.usage.input_tokens",
        "gen_ai.response.finish_reasons",
        "openai.agents.handoffs",
        "tracekeeper.kind",
    ):
        story = Story().chat()
        message = ExportTraceServiceRequest.FromString(requests("a", story)[0])
        span = message.resource_spans[0].scope_spans[0].spans[0]
        pair = span.attributes.add(key=name)
        pair.value.bytes_value = value
        body = message.SerializeToString()
        request = Request(body, 1, BEGIN)
        step.run(request)
        assert scan.look(request.body).spans == 1
