"""OpenLIT: Anthropic's tokens as they come (exclusive); prices of its own, which know one model and no caches; the tool
that a model asks for stands on the model's span; of a failed call of Anthropic's there is nothing but the error."""

from __future__ import annotations

from answers import OPENAI
from golden.cases import anthropic_calls, openai_calls
from golden.spans import GPT, MINI, Case, Span, call, span


def _priced(cases: dict[str, Case]) -> dict[str, Case]:
    return {name: [_own_price(each) for each in case] for name, case in cases.items()}


def _own_price(each: Span) -> Span:
    if "input" not in each:
        return each
    known = each["request_model"] == GPT
    return {**each, "reported": round((each["input"] * 2.5 + each["output"] * 10) / 1e6, 12) if known else 0.0}


_AGENT = [
    call("chat gpt-4o", OPENAI["weather"].usage, GPT, tool="get_weather"),
    call("chat gpt-4o", OPENAI["after tool"].usage, GPT),
]
_CLAUDE = anthropic_calls("chat claude-sonnet-4-5", basis="exclusive")
_CLAUDE["anthropic_tool"][0]["tool"] = "get_weather"
_CLAUDE["anthropic_error"] = [span("chat claude-sonnet-4-5", None)]

CASES: dict[str, Case] = _priced(
    {
        **openai_calls("chat {model}", "embeddings text-embedding-3-small", "chat {model}", deaf=True),
        "chat_think": [call("chat o4-mini", OPENAI["think"].usage, MINI, lost=("reasoning",))],
        "chat_tool": _AGENT,
        **_CLAUDE,
        "traced": [*_AGENT, span("weather_desk", None)],
    }
)
