"""Detectors on damaged requests: nothing is raised or read beyond a request, and what comes out is acceptable."""

from __future__ import annotations

import random

import pytest

import wire_fuzz
from corpus.detect.labelled import cases
from corpus.detect.story import BEGIN, Story, requests
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.process.detect.limits import limits_of
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.detect import Watch
from tracekeeper_spec.detect import Detect, Tokens, ToolFailures

DAMAGED = 4_000
SPEC = Detect(link_conversations=True)


def _bodies() -> list[bytes]:
    short = [case for case in cases() if len(case.story.spans) <= 12]
    short_ones = [body for case in short for body in requests(case.name, case.story)]
    declared = Story(conversation="talk").invoke("lobby", "Hello.", handoffs=["a", "b"]).hand_over("lobby", "c").end()
    return [*short_ones, *requests("declared", declared)]


def test_damaged_requests_do_no_harm() -> None:
    chance, bodies = random.Random(13), _bodies()
    step, accepted, changed = DetectStep("detect", "Detect", SPEC), 0, 0
    for _ in range(DAMAGED):
        body = wire_fuzz.damaged(chance, bodies)
        try:
            spans = scan.look(body).spans
        except WireError:
            Watch(1).take(body, BEGIN // 10**9, 0)
            continue
        request = Request(body, spans, BEGIN)
        step.run(request)
        assert scan.look(request.body).spans == spans
        accepted += 1
        changed += request.body is not body
    assert accepted > DAMAGED // 20
    assert changed > 20


def test_text_of_a_megabyte_is_no_trouble() -> None:
    story = Story(agent="a" * 1_000_000, conversation="c" * 1_000_000)
    story.tool("t" * 1_000_000, "x" * 1_000_000, times=7).end()
    step = DetectStep("detect", "Detect", SPEC)
    written = 0
    for body in requests("long", story):
        request = Request(body, 8, BEGIN)
        step.run(request)
        assert scan.look(request.body).spans == 8
        written += len(request.body) - len(body)
    assert 0 < written < 2_000


@pytest.mark.parametrize(
    "name",
    ["gen_ai.operation.name", "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.tool.name"],
)
def test_a_name_that_differs_in_one_byte_is_another(name: str) -> None:
    spec = Detect(tokens=Tokens(1_000), tool_failures=ToolFailures(2))
    story = Story().chat(1_000, 0).tool("search", '{"q":"same"}', failed=True, times=6).chat(0, 99, reason="length")
    (body,) = requests("a", story)

    def said(body: bytes) -> list[tuple[int, str]]:
        watch = Watch(1)
        watch.configure(limits_of(spec), {}, True, True)
        watch.take(body, BEGIN // 10**9, 8)
        return [(one.detector, one.subject) for one in watch.found]

    expected = said(body)
    assert len(expected) == 5
    for place in range(len(name)):
        other = name[:place] + chr(ord(name[place]) ^ 1) + name[place + 1 :]
        assert said(body.replace(name.encode(), other.encode())) != expected, other
