"""Pydantic AI: the agent's span has its sums under names of their own, which nobody counts."""

from __future__ import annotations

from answers import ANTHROPIC, OPENAI
from golden.spans import CLAUDE, GPT, MINI, Case, agent, call, tool, with_all

_TALK = "00000000-0000-4000-8000-000000000002"
_CACHED = ANTHROPIC["cached"].usage

CASES: dict[str, Case] = {
    "agent_tool": with_all(
        [
            call("chat gpt-4o", OPENAI["weather"].usage, GPT, reported=0.000375),
            tool("execute_tool get_weather"),
            call("chat gpt-4o", OPENAI["after tool"].usage, GPT, reported=0.0003325),
            agent("invoke_agent weather-agent", "weather-agent"),
        ],
        agent="weather-agent",
        conversation=_TALK,
    ),
    "agent_think": with_all(
        [
            call("chat o4-mini", OPENAI["think"].usage, MINI, reported=0.004224),
            agent("invoke_agent thinker", "thinker"),
        ],
        agent="thinker",
        conversation=_TALK,
    ),
    "agent_cached": [
        call("anthropic.messages.create", _CACHED, CLAUDE, provider="anthropic"),
        *with_all(
            [
                call("chat claude-sonnet-4-5", _CACHED, CLAUDE, provider="anthropic", repeated=True, reported=0.003111),
                agent("invoke_agent reader", "reader"),
            ],
            agent="reader",
            conversation=_TALK,
        ),
    ],
}
