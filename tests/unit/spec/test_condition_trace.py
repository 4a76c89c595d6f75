"""Conditions about whole traces: what is refused, how they are taken apart, and that they mean what the page says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from condition_cases import PLAIN_SPANS, PLAIN_TRACE_CONDITIONS, TRACE_CONDITIONS, requests
from condition_machine import trace_code_holds
from trace_oracle import Trace, trace_holds
from tracekeeper_spec.condition import (
    MAX_TESTS,
    ConditionError,
    TooManyTests,
    TraceCode,
    combine,
    compile_condition,
    compile_trace,
    find_problems,
    find_trace_problems,
)
from tracekeeper_spec.condition.names import TRACE_SCOPES, Place

PAGE = Path(__file__).parents[3] / "docs/reference/condition-language.md"

FAULTS = [
    ("trace.state == 'x'", "at character 7: trace has no field state (did you mean trace.status?)"),
    ("trace.tenant == 'x'", "at character 7: trace has no field tenant (there are status, errors, duration, spans,"),
    ("trace == 1", "at character 1: which field of trace? (trace.duration, for example)"),
    ("trace.root == 1", "at character 7: which field of trace.root? (trace.root.duration, for example)"),
    ("event == 1", "at character 1: which field of event? (event.name, for example)"),
    ("trace.rot.name == 'x'", "at character 7: trace has no field rot (did you mean trace.root?)"),
    ("trace.root.nme == 'x'", "at character 12: trace.root has no field nme (did you mean trace.root.name?)"),
    ("trace.root.tenant == 1", 'at character 12: trace.root has no field tenant (attributes are trace.root.attributes'),
    ("trace.root.is_root", "at character 12: trace.root has no field is_root"),
    ("trace.root.resource == 1", 'at character 12: which field of trace.root.resource? (trace.root.resource.attribute'),
    ("trace.root.attributes == 1", "at character 12: which of the attributes? (write trace.root.attributes["),
    ("trace.root.attributes.a.b == 1", "at character 25: attributes have nothing below them"),
    ("trace.root.name.x == 1", "at character 17: there is nothing below this"),
    ("trace.attributes.x == 1", "at character 7: a trace has no attributes of its own (trace.root.attributes"),
    ("'x' in trace.attributes", "at character 14: a trace has no attributes of its own"),
    ("root.name == 'x'", "at character 1: there is no root by itself (did you mean trace.root?)"),
    ("duration > 1s", "at character 1: there is no duration by itself (did you mean trace.duration?)"),
    ("tracer.spans > 1", "at character 1: there is no tracer (did you mean trace?"),
    ("metrics.x == 1", "at character 1: metrics is not for here: it is for alerts"),
    ("trace.status == 'failed'", "at character 14: is never 'failed' (there are unset, ok, error)"),
    ("trace.priority == 'low'", "at character 16: is never 'low' (there are critical)"),
    ("trace.priority != 'critical'", "at character 16: is never true, because a comparison with a missing value is fa"),
    ("trace.duration > 5", "at character 16: compares a duration with a number"),
    ("trace.errors", "at character 7: is a number, and a condition is wanted"),
    ("trace.duration > span.duration", "at character 16: compares the trace with a span (compare each with a fixed"),
    ("trace.duration > trace.root.duration", "at character 16: compares the trace with its root"),
    ("trace.root.name == span.name", "at character 17: compares its root with a span"),
    ("event.name == trace.root.name", "at character 12: compares its root with an event of a span"),
    ("size(span.name) + trace.spans > 1", "at character 31: compares the trace with a span"),
    ("trace.root.name.contains(span.name)", "at character 17: compares its root with a span"),
    ("trace.root.name in span.attributes.x", "at character 17: compares its root with a span"),
    ("trace.spans > 1 &&", "at character 19: a value is missing here"),
    ("true || " * 200 + "true", "the condition has more than 1024 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_what_is_wrong_is_told_with_its_place(text: str, words: str) -> None:
    (problem,) = find_trace_problems(text)
    assert words in str(problem)
    with pytest.raises(ConditionError, match=re.escape(words.partition(" (")[0])):
        compile_trace(text)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = "trace.state == 1 && (span.durations > 1s || !(trace.duration > span.duration))"
    assert [problem.at for problem in find_trace_problems(text)] == [6, 26, 61]


def test_what_is_about_one_span_knows_no_events_and_no_traces() -> None:
    assert [problem.at for problem in find_problems("event.name == 'x' || trace.spans > 1")] == [0, 21]


def places(code: TraceCode) -> list[Place]:
    return [slot.place for slot in code.code.slots]


@pytest.mark.parametrize(
    ("text", "spans", "roots"),
    [
        ("trace.status == 'error' && trace.spans > 2", 0, 0),
        ("span.kind == 'client' && span.duration > 1s", 1, 0),
        ("span.kind == 'client' && trace.spans > 2 && span.duration > 1s", 1, 0),
        ("(span.kind == 'client' || trace.spans > 2) && span.duration > 1s", 2, 0),
        ("!(span.kind == 'client') && trace.spans > 2", 1, 0),
        ("span.name == 'a' && trace.spans > 2 || span.name == 'a'", 1, 0),
        ("event.name == 'a' || span.name == 'b' || event.name == 'c'", 2, 0),
        ("event.name == 'a' && span.name == 'b'", 1, 0),
        ("trace.root.name == 'a' && trace.root.kind == 'server'", 0, 1),
        ("trace.root.name == 'a' && !(trace.root.kind == 'server')", 0, 2),
        ("span.name == 'a' && trace.root.name == 'a'", 1, 1),
    ],
)
def test_what_is_about_spans_is_one_test_where_it_can_be(text: str, spans: int, roots: int) -> None:
    code = compile_trace(text)
    assert (len(code.span_tests), len(code.root_tests)) == (spans, roots)
    assert all(place >= Place.TRACE_STATUS for place in places(code))
    assert all(slot.place < Place.TRACE_STATUS for test in code.span_tests for slot in test.slots)
    assert all(slot.place <= Place.IS_ROOT for test in code.root_tests for slot in test.slots)


def test_a_test_of_spans_is_the_program_of_the_same_condition_about_one_span() -> None:
    text = "span.kind == 'client' && !(span.duration > 1s) || resource.attributes.a in [1, 2]"
    (test,) = compile_trace(text).span_tests
    alone = compile_condition(text)
    assert (test.constants, test.slots, test.instructions) == (alone.constants, alone.slots, alone.instructions)


def test_rules_share_equal_tests() -> None:
    texts = ["span.name == 'a' && trace.spans > 1", "trace.root.name == 'a' || span.name == 'b'", "span.name == 'b'"]
    codes = [compile_trace(text) for text in texts]
    all_of_them = combine(codes)
    assert (len(all_of_them.span_tests), len(all_of_them.root_tests)) == (2, 1)
    keys = [[slot.key for slot in code.slots if slot.place is Place.SPAN_TEST] for code in all_of_them.codes]
    assert keys == [["0"], ["1"], ["1"]]
    assert [code.text for code in all_of_them.codes] == texts
    assert combine([]) == combine([compile_trace("trace.spans > 1")]).__class__((), (), ())


def test_there_is_room_for_31_tests_of_spans_and_as_many_of_roots() -> None:
    each = [compile_trace(f"{of}.name == '{n}'") for of in ("span", "trace.root") for n in range(MAX_TESTS)]
    assert len(combine(each).span_tests) == len(combine(each).root_tests) == MAX_TESTS
    for of, what in (("span", "spans"), ("trace.root", "roots")):
        with pytest.raises(TooManyTests, match=f"32 different tests of {what}, and there is room for 31"):
            combine([*each, compile_trace(f"{of}.name == 'one more'")])
    text = " || ".join(f"span.is_root && trace.spans>{n} && span.name=='{n}'" for n in range(18))
    assert find_trace_problems(text[:-1] + "'") == []


def test_a_condition_whose_parts_are_too_large_or_too_many_says_so() -> None:
    many = "||".join(f"!trace.root.attributes.a{n}" for n in range(32))
    assert str(find_trace_problems(many)[0]) == (
        "at character 1: its parts ask for 32 different tests of roots, and there is room for 31 (split it up)"
    )
    large = " || ".join(f"span.name.matches('{letter}')" for letter in "abcdefghijklmnopq")
    assert "the condition is too large" in str(find_trace_problems(large)[0])


def test_the_page_names_every_field_and_its_examples_compile() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Conditions about traces")[2]
    rows = [re.split(r"(?<!\\)\|", line)[1] for line in page.splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`([a-z._]+)", row)}
    for scope, found in TRACE_SCOPES.items():
        wanted = (
            {f"{scope}.{member}" for member in found.members} if scope not in ("span", "resource") else {f"{scope}."}
        )
        assert wanted <= names
    examples = page.split("```")[1].strip().splitlines()
    examples += [row.strip(" `").replace("\\|", "|") for row in rows if " == " in row]
    assert len(examples) == 12
    assert [find_trace_problems(example) for example in examples] == [[]] * 12
    told = re.findall(r"^spec\.sampling\.rules\[0\]\.match: (.*)$", page, re.MULTILINE)
    assert len(told) == 2
    assert set(told) <= {str(problem) for faulty, _ in FAULTS for problem in find_trace_problems(faulty)}


def traced(body: bytes) -> Trace:
    message = ExportTraceServiceRequest.FromString(body)
    return [(s, one.resource) for one in message.resource_spans for scope in one.scope_spans for s in scope.spans]


# Shrinking an example of this size takes minutes; the first one that fails says enough.
@settings(max_examples=150, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(body=requests(), text=TRACE_CONDITIONS)
def test_what_is_taken_apart_means_what_was_written(body: bytes, text: str) -> None:
    trace = traced(body)
    problems = find_trace_problems(text)
    assert all("too large" in str(problem) or "different tests" in str(problem) for problem in problems)
    if trace and not problems:
        assert trace_code_holds(compile_trace(text), trace) is trace_holds(text, trace)


@settings(max_examples=500, deadline=None)
@given(spans=PLAIN_SPANS, text=PLAIN_TRACE_CONDITIONS)
def test_parts_are_joined_as_they_were_written(spans: list[Span], text: str) -> None:
    trace = [(span, Resource()) for span in spans]
    assert trace_code_holds(compile_trace(text), trace) is trace_holds(text, trace)


@given(st.text(max_size=60) | st.lists(st.sampled_from([*"()[]!-+.,'\"<=&|", "trace", "span", "event", ".root", ".name",
                                                        ".resource", ".attributes", "in", "1", "5s", " "]),
                                       max_size=25).map("".join))  # fmt: skip
def test_no_text_makes_it_raise(text: str) -> None:
    found = find_trace_problems(text)
    assert all(0 <= problem.at <= len(text) and problem.problem for problem in found)
    if not found:
        assert isinstance(compile_trace(text), TraceCode)


CLIENT, SERVER, ERROR = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER, Status.STATUS_CODE_ERROR
SECOND = 1_000_000_000


def span(
    name: str,
    kind: Span.SpanKind.ValueType = CLIENT,
    parent: bytes = b"p" * 8,
    status: Status.StatusCode.ValueType = Status.STATUS_CODE_UNSET,
    events: Sequence[str] = (),
    **attributes: str,
) -> Span:
    return Span(
        name=name,
        kind=kind,
        parent_span_id=parent,
        start_time_unix_nano=10 * SECOND,
        end_time_unix_nano=12 * SECOND,
        status=Status(code=status),
        events=[Span.Event(name=event) for event in events],
        attributes=[KeyValue(key=k, value=AnyValue(string_value=v)) for k, v in attributes.items()],
    )


SHOP = [
    span("GET /", SERVER, parent=b"", plan="premium"),
    span("charge", status=ERROR, events=["retry", "exception"]),
    span("log", plan="free"),
]
REMOTE = [span("work"), span("take", Span.SPAN_KIND_CONSUMER, queue="a"), span("take again", SERVER)]
ORPHANS = [span("a", status=ERROR), span("b")]

MEANINGS = [
    (SHOP, 'trace.status == "unset" && trace.errors == 1 && trace.spans == 3', True),
    (SHOP, "trace.duration == 2s", True),
    (SHOP, 'trace.root.name == "GET /" && trace.root.attributes.plan == "premium"', True),
    (SHOP, 'span.name == "charge" && span.status == "error"', True),
    (SHOP, 'span.name == "log" && span.status == "error"', False),
    (SHOP, 'span.status == "error" && trace.spans == 3 && span.name == "log"', False),
    (SHOP, '!(span.status == "error")', False),
    (SHOP, '!(span.name == "nothing")', True),
    (SHOP, 'span.kind == "client" && !(span.status == "error")', True),
    (SHOP, 'event.name == "exception" && span.name == "charge"', True),
    (SHOP, 'event.name == "exception" && event.name == "retry"', False),
    (SHOP, 'event.name == "exception" && span.name == "log"', False),
    (SHOP, 'event.name == "nothing" || span.name == "log"', True),
    (SHOP, '!(event.name == "exception")', False),
    (SHOP, 'trace.priority == "critical"', False),
    (SHOP, '!(trace.priority == "critical")', True),
    (REMOTE, 'trace.root.name == "take" && "queue" in trace.root.attributes', True),
    (REMOTE, 'trace.root.kind == "consumer"', True),
    (REMOTE, 'trace.root.name == "take again" && trace.root.kind == "server"', True),
    (REMOTE, 'trace.root.name == "take again" && trace.root.kind == "consumer"', False),
    (REMOTE, '!(trace.root.kind == "consumer") && trace.root.name == "take again"', False),
    (REMOTE, 'trace.root.name == "work"', False),
    ([*REMOTE, *SHOP], 'trace.root.kind == "consumer"', False),
    ([*REMOTE, SHOP[1], span("got it", SERVER, status=ERROR)], 'trace.status == "error"', True),
    (ORPHANS, 'trace.status == "error"', True),
    (ORPHANS, 'trace.root.name == "a"', False),
    (ORPHANS, 'trace.root.name != "a"', False),
    (ORPHANS, '!(trace.root.name == "a")', True),
    (ORPHANS, 'trace.root.status == "error" || trace.root.status != "error"', False),
    (ORPHANS, '!(trace.root.name == "x") && !(trace.root.name != "x") && trace.errors == 1', True),
    (ORPHANS, 'true || trace.root.name == "x"', True),
]  # fmt: skip


@pytest.mark.parametrize(("spans", "text", "answer"), MEANINGS)
def test_what_conditions_mean(spans: list[Span], text: str, answer: bool) -> None:
    trace = [(one, Resource()) for one in spans]
    assert trace_holds(text, trace) is answer
    assert trace_code_holds(compile_trace(text), trace) is answer
