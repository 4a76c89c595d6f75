"""Langfuse: one model's name, that of the answer; no provider; on an error a cost of zero, of its own."""

from __future__ import annotations

from answers import ANTHROPIC, DATED, OPENAI
from golden.cases import openai_calls
from golden.spans import CLAUDE, GPT, Case, agent, call, pipeline, tool, with_all

_DATED = DATED[GPT]
_FIRST, _SECOND = OPENAI["weather"].usage, OPENAI["after tool"].usage
_CACHED = ANTHROPIC["cached"].usage
_NAME = "OpenAI-generation"


def _by_one_name(cases: dict[str, Case]) -> dict[str, Case]:
    for case in cases.values():
        for each in case:
            each["request_model"] = each.pop("response_model", each["request_model"])
            del each["provider"]
    return cases


CASES: dict[str, Case] = {
    **_by_one_name(openai_calls(_NAME, "OpenAI-embedding", _NAME)),
    "chat_error": [call(_NAME, None, GPT, provider=None, reported=0.0)],
    "agent": with_all(
        [
            call(_NAME, _FIRST, _DATED, provider=None, answered=None),
            call(_NAME, _SECOND, _DATED, provider=None, answered=None),
            tool("get_weather"),
            pipeline("answer"),
            agent("weather-agent", "weather-agent"),
        ],
        workflow="weather-desk",
        conversation="session-7",
        user="user-3",
    ),
    "generation": [
        call("anthropic.messages.create", _CACHED, CLAUDE, provider="anthropic"),
        call(
            "claude", _CACHED, CLAUDE, provider=None, answered=None, basis="exclusive", repeated=True, reported=0.003111
        ),
    ],
}

OLD: dict[str, Case] = {
    **CASES,
    # Anthropic's client of that time does not record itself.
    "generation": [
        call("claude", _CACHED, CLAUDE, provider=None, answered=None, basis="exclusive", reported=0.003111),
    ],
}
