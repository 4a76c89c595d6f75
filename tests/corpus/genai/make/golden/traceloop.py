"""Traceloop. It counts the first event of Anthropic's streams to what came out: one token more than the truth."""

from __future__ import annotations

from typing import Any

from answers import ANTHROPIC, OPENAI
from golden.cases import anthropic_calls, openai_calls
from golden.spans import CLAUDE, GPT, Case, agent, call, pipeline, tool, with_all

_FIRST, _SECOND = OPENAI["weather"].usage, OPENAI["after tool"].usage


def _cases(below: str, claude: dict[str, Any]) -> dict[str, Case]:
    """`below` is what it calls the workflow on spans inside of the agent."""
    inside = {"agent": "weather-agent", "workflow": below, "conversation": "session-7", "user": "user-3"}
    return {
        **openai_calls("openai.chat", "openai.embeddings", "openai.response", deaf=True),
        **anthropic_calls("anthropic.chat", **claude),
        "anthropic_stream": [
            call("anthropic.chat", ANTHROPIC["stream"].usage, CLAUDE, provider="anthropic", output=13, **claude)
        ],
        "workflow": [
            *with_all(
                [
                    call("openai.chat", _FIRST, GPT),
                    call("openai.chat", _SECOND, GPT),
                    tool("get_weather.tool"),
                    pipeline("answer.task"),
                    agent("weather-agent.agent", "weather-agent"),
                ],
                **inside,
            ),
            pipeline(
                "weather-desk.workflow",
                "invoke_workflow",
                workflow="weather-desk",
                conversation="session-7",
                user="user-3",
            ),
        ],
    }


CASES = _cases("weather-desk", {})
OLD = _cases("weather-agent", {"operation": "text_completion"})
del OLD["anthropic_error"]
