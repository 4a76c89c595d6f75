"""The compiled detectors against a plain account of the same spans, many traces at a time and in any order, and against
themselves as plain Python."""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corpus.detect.labelled import cases
from corpus.detect.story import BEGIN, Story, Told, requests
from otlp_requests import property_test
from tracekeeper_sidecar import wire
from tracekeeper_sidecar.process.detect.limits import limits_of
from tracekeeper_sidecar.process.detect.words import DETECTORS
from tracekeeper_sidecar.wire.detect import Watch
from tracekeeper_spec.detect import Context, CutOff, Detect, FanOut, Loop, PingPong, Tokens, ToolFailures

SMALL = Detect(
    loop=Loop(3, 5),
    context=Context(2_000, 2.0, 2),
    tokens=Tokens(20_000),
    tool_failures=ToolFailures(3, 0.5, 6),
    ping_pong=PingPong(3),
    fan_out=FanOut(8),
    cut_off=CutOff(2, 10),
)
"""Limits that are reached soon."""


class Plain:
    """The same rules in a few lines, with dictionaries that forget nothing."""

    def __init__(self, spec: Detect) -> None:
        self.spec = spec
        self.counts: Counter[Any] = Counter()
        self.levels: Counter[Any] = Counter()
        self.grown: dict[Any, tuple[int, int, int]] = {}
        self.passed: dict[Any, tuple[str, str, str, int]] = {}
        self.runs: dict[Any, int] = defaultdict(int)

    def see(self, span: Told) -> list[str]:
        """What is to be said of the span, in any order."""
        said, trace, own = [], span.trace, span.attributes
        spec, operation = self.spec, span.attributes.get("gen_ai.operation.name")

        def due(detector: str, seen: int, limit: int, of: Any = None) -> bool:
            """Whether to be told: of the trace, or of what else it is `of`."""
            of = of or (trace, detector)
            told = seen >= limit << self.levels[of]
            while seen >= limit << self.levels[of]:
                self.levels[of] += 1
            said.extend([detector] * told)
            return told

        if operation in ("chat", "execute_tool"):
            self.counts[trace, "calls"] += 1
            due("FanOut", self.counts[trace, "calls"], spec.fan_out.calls)
        whose = own.get("gen_ai.conversation.id", trace)
        if operation == "chat":
            came, went = own["gen_ai.usage.input_tokens"], own["gen_ai.usage.output_tokens"]
            assert isinstance(came, int) and isinstance(went, int)
            if own["gen_ai.response.finish_reasons"] == ["length"] and went >= spec.cut_off.output_tokens:
                self.counts[trace, "cut"] += 1
                due("AnswerCutOff", self.counts[trace, "cut"], spec.cut_off.answers)
            self.counts[trace, "tokens"] += came + went
            due("TokenRunaway", self.counts[trace, "tokens"], spec.tokens.per_trace)
            if came * 16 >= spec.context.tokens:
                first, last, times = self.grown.get((whose, own["gen_ai.agent.name"]), (came, 0, 0))
                first, times = (first, times + 1) if last and came * 10 >= last * 11 else (came, 0)
                self.grown[whose, own["gen_ai.agent.name"]] = first, came, times
                if times >= spec.context.calls and came >= max(spec.context.tokens, first * spec.context.times):
                    of = (whose, own["gen_ai.agent.name"], "ContextExplosion")
                    due("ContextExplosion", came, spec.context.tokens, of)
        elif operation == "execute_tool":
            self.counts[trace, "tools"] += 1
            self.runs[trace] = self.runs[trace] + 1 if span.failed else 0
            if span.failed:
                self.counts[trace, "failed"] += 1
                failed, tools = self.counts[trace, "failed"], self.counts[trace, "tools"]
                share, calls = spec.tool_failures.share, spec.tool_failures.calls
                many = max(1, -(-round(share * 1000) * calls // 1000))
                row = spec.tool_failures.consecutive
                if due("ToolFailures", self.runs[trace], row):
                    while failed >= many << self.levels[trace, "share"]:
                        self.levels[trace, "share"] += 1
                elif self.runs[trace] < row and tools >= calls and failed >= tools * share:
                    due("ToolFailures", failed, many, (trace, "share"))
            arguments = own.get("gen_ai.tool.call.arguments", "")
            assert isinstance(arguments, str)
            arguments = arguments if len(arguments) > 4 else ""
            call = (trace, own["gen_ai.tool.name"], own["gen_ai.agent.name"], arguments)
            self.counts[call] += 1
            due("Loop", self.counts[call], spec.loop.repeats if arguments else spec.loop.without_arguments)
        elif "openai.agents.to_agent" in own:
            one, other = str(own["openai.agents.from_agent"]), str(own["openai.agents.to_agent"])
            giver, taker, before, so_far = self.passed.get(whose, ("", "", "", 0))
            chained = taker == one and one != other
            goes_on = chained and other in (giver, before)
            self.passed[whose] = one, other, giver if chained else "", so_far + 1 if goes_on else 1
            due("HandoffPingPong", self.passed[whose][3], spec.ping_pong.handoffs, (whose, "HandoffPingPong"))
        return said


def _told(watch: Any, body: bytes) -> list[list[str]]:
    """What is found, by span in the order of the request."""
    watch.take(body, BEGIN // 10**9, 0)
    places = sorted({(one.begin, one.end) for one in watch.found})
    found = {place: [DETECTORS[one.detector] for one in watch.found if one[:2] == place] for place in places}
    return [found[place] for place in places]


steps = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["a", "b"]),
        st.one_of(
            st.tuples(st.just("chat"), st.integers(0, 4_000), st.integers(0, 40), st.sampled_from(["stop", "length"])),
            st.tuples(
                st.just("tool"),
                st.sampled_from("xy"),
                st.sampled_from([None, "{}", '{"q":1}', '{"q":2}']),
                st.booleans(),
            ),
            st.tuples(st.just("pass"), st.sampled_from("abc"), st.sampled_from("abc")),
        ),
    ),
    max_size=120,
)


def _play(steps: list[Any], talk: bool, most: int) -> Counter[str]:
    """Fails unless both say the same of each span; how often each detector has spoken."""
    story = Story(conversation="talk" if talk else "")
    for trace, agent, (what, *how) in steps:
        story.trace = trace
        if what == "chat":
            story.chat(how[0], how[1], reason=how[2], agent=agent)
        elif what == "tool":
            story.tool(how[0], how[1], failed=how[2], agent=agent)
        else:
            story.hand_over(*how)
    watch, plain = Watch(random.getrandbits(60)), Plain(SMALL)
    watch.configure(limits_of(SMALL), {}, False, True)
    expected = [sorted(said) for span in story.spans if (said := plain.see(span))]
    found = [sorted(said) for body in requests("model", story, most) for said in _told(watch, body)]
    assert found == expected
    return Counter(name for said in expected for name in said)


@property_test
@given(steps=steps, talk=st.booleans(), most=st.integers(1, 50))
def test_many_traces_at_a_time_are_told_as_a_plain_account_does(steps: list[Any], talk: bool, most: int) -> None:
    _play(steps, talk, most)


@pytest.mark.parametrize("talk", [False, True])
def test_long_runs_that_reach_every_limit_are_told_as_a_plain_account_does(talk: bool) -> None:
    said: Counter[str] = Counter()
    for seed in range(40):
        chance = random.Random(seed)
        size, steps = 500, []
        for _ in range(400):
            match chance.randrange(3):
                case 0:
                    size = max(1, round(size * chance.choice([0.5, 1.05, 1.15, 1.25, 1.4, 2.0]))) % 200_000
                    step: tuple[Any, ...] = ("chat", size, chance.randrange(30), chance.choice(["stop", "length"]))
                case 1:
                    arguments = chance.choice([None, "{}", '{"q":1}', f'{{"q":{chance.random()}}}'])
                    step = ("tool", chance.choice("xyz"), arguments, chance.random() < 0.6)
                case _:
                    step = ("pass", *chance.choice(["ab", "ba", "ac", "bb"]))
            steps.append((chance.randrange(1, 4), chance.choice("aaab"), step))
        said += _play(steps, talk, 64)
    expected = set(DETECTORS) - {"UndeclaredHandoff", "ResponseModelChanged"}
    assert {name for name, count in said.items() if count >= 20} == expected, said


NAMES = (
    "walker",
    "slabs",
    "table",
    "remembered",
    "rows",
    "labels",
    "came",
    "detect_span",
    "detect_known",
    "detect_calls",
    "detect_models",
    "detect_handoffs",
    "detect",
)


@pytest.fixture(scope="module")
def plain_watch() -> Any:
    """The detectors from the .py files, whatever was compiled."""
    with pytest.MonkeyPatch.context() as patch:
        module = ModuleType("none")
        for name in NAMES:
            full = f"tracekeeper_sidecar.wire.{name}"
            spec = importlib.util.spec_from_file_location(full, Path(wire.__path__[0]) / f"{name}.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, full, module)
            patch.setattr(wire, name, module)
            spec.loader.exec_module(module)
        yield module.Watch


def test_plain_python_finds_what_compiled_code_does(plain_watch: Any) -> None:
    compiled, plain = Watch(7), plain_watch(7)
    for watch in (compiled, plain):
        watch.configure(limits_of(SMALL), {"triage": frozenset({"billing"})}, True, True)
    spans = 0
    for case in cases():
        for body in requests(case.name, case.story):
            for watch in (compiled, plain):
                watch.take(body, BEGIN // 10**9, 0)
            assert plain.found == compiled.found, case.name
            assert plain.links == compiled.links
            spans += sum(
                len(each.scope_spans[0].spans) for each in ExportTraceServiceRequest.FromString(body).resource_spans
            )
    assert sorted(plain.edges()) == sorted(compiled.edges())
    assert (plain.traces, plain.conversations) == (compiled.traces, compiled.conversations)
    assert spans > 2_500
