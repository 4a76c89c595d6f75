"""The OpenAI Agents SDK's ingest: turns and tasks repeat usage; calls by responses do not say their model."""

from __future__ import annotations

from typing import Any

from answers import OPENAI, Usage
from golden.spans import GPT, Case, Span, agent, call, pipeline, span, tool, with_all

_FIRST, _SECOND = OPENAI["weather"].usage, OPENAI["after tool"].usage
_THINK = OPENAI["think"].usage
_SUM = Usage(_FIRST.input + _SECOND.input, _FIRST.output + _SECOND.output, _FIRST.cache_read + _SECOND.cache_read)


def _sums(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    cached = {"cache_read": usage.cache_read, "basis": "inclusive"} if usage.cache_read else {}
    return {"input": usage.input, "output": usage.output, **cached, "repeated": True}


def _turn(number: int, who: str, usage: Usage | None) -> Span:
    return pipeline(f"turn {number}", agent=who, **_sums(usage))


def _task(usage: Usage | None) -> Span:
    return span("run weather-desk", "runner", **_sums(usage))


def _chat(usage: Usage | None) -> Span:
    return call("chat gpt-4o", usage, GPT, answered=None)


def _respond(usage: Usage) -> Span:
    return call("chat", usage, None, answered=None)


def _run(*spans: Span) -> Case:
    return with_all(spans, workflow="weather-desk", conversation="session-7", user="user-3")


_WHO = "weather-agent"
_AGENT = agent(f"invoke_agent {_WHO}", _WHO)
_TOOL = tool("execute_tool get_weather")

CASES: dict[str, Case] = {
    "tool": _run(
        span("guardrail no_secrets", "guardrail"),
        _chat(_FIRST),
        _TOOL,
        _turn(1, _WHO, _FIRST),
        _chat(_SECOND),
        _turn(2, _WHO, _SECOND),
        _AGENT,
        _task(_SUM),
    ),
    "responses": _run(
        _respond(_FIRST), _TOOL, _turn(1, _WHO, _FIRST), _respond(_SECOND), _turn(2, _WHO, _SECOND), _AGENT, _task(_SUM)
    ),
    "think": _run(
        _respond(_THINK), _turn(1, "thinker", _THINK), agent("invoke_agent thinker", "thinker"), _task(_THINK)
    ),
    "handoff": _run(
        _chat(_FIRST),
        span("handoff front-desk to harbour-master", "handoff"),
        _turn(1, "front-desk", _FIRST),
        agent("invoke_agent front-desk", "front-desk"),
        _chat(_SECOND),
        _turn(2, "harbour-master", _SECOND),
        agent("invoke_agent harbour-master", "harbour-master"),
        _task(_SUM),
    ),
    "error": _run(_chat(None), _turn(1, _WHO, None), _AGENT, _task(None)),
}
