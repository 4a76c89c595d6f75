"""Vercel's AI SDK.

Version 5 repeats on its outer span the usage of the last step, and reports caches only of streams, and of Anthropic's
in what the provider said. Version 7 speaks OpenTelemetry's names, with the sum of all steps on the agent's span.
"""

from __future__ import annotations

from typing import Any

from answers import ANTHROPIC, EMBEDDING, OPENAI, Usage
from golden.spans import CLAUDE, GPT, MINI, VECTORS, Case, Span, agent, call, embedding, pipeline, tool, with_all

_OPENAI = {
    "chat": (GPT, "hello"),
    "chat_stream": (GPT, "stream"),
    "chat_think": (MINI, "think"),
    "chat_length": (GPT, "poem"),
    "chat_error": (GPT, "fail"),
    "responses_think": (MINI, "think"),
}
_CLAUDE = {"anthropic_cached": "cached", "anthropic_partly": "partly"}
_NO_PARTS = ("cache_read", "cache_write", "reasoning")


def _outer5(name: str, last: Span) -> Span:
    """What repeats the last step."""
    kept = ("provider", "request_model", "input", "output", "cache_read", "cache_write", "basis")
    repeated: dict[str, Any] = {"repeated": True} if "input" in last else {}
    return pipeline(name, **{key: last[key] for key in kept if key in last}, **repeated)


def _five() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for name, (model, answer) in _OPENAI.items():
        verb, do = ("streamText", "doStream") if name == "chat_stream" else ("generateText", "doGenerate")
        lost = ("reasoning",) if name == "chat_stream" else _NO_PARTS
        usage = OPENAI[answer].usage if answer in OPENAI else None
        inner = call(f"ai.{verb}.{do}", usage, model, lost=lost)
        cases[name] = [inner, _outer5(f"ai.{verb}", inner)]
    do, outer = "ai.generateText.doGenerate", "ai.generateText"
    for name, answer in _CLAUDE.items():
        inner = call(do, ANTHROPIC[answer].usage, CLAUDE, provider="anthropic", basis="exclusive")
        cases[name] = [inner, _outer5(outer, inner)]
    for name, model, of in (("agent_tool", GPT, OPENAI), ("anthropic_tool", CLAUDE, ANTHROPIC)):
        provider = "openai" if model == GPT else "anthropic"
        steps = [
            call(do, of[step].usage, model, provider=provider, lost=_NO_PARTS) for step in ("weather", "after tool")
        ]
        cases[name] = [steps[0], tool("ai.toolCall"), steps[1], _outer5(outer, steps[1])]
    vectors = embedding("ai.embed.doEmbed", EMBEDDING, answered=None)
    cases["embeddings"] = [vectors, _outer5("ai.embed", vectors)]
    return {name: with_all(case, conversation="session-7", user="user-3") for name, case in cases.items()}


def _agent7(model: str, provider: str, usage: Usage | None, steps: list[Span]) -> Span:
    more: dict[str, Any] = {}
    if usage is not None:
        cached = {part: getattr(usage, part) or None for part in ("cache_read", "cache_write")}
        more = {"input": usage.input, "output": usage.output, **cached, "repeated": True}
        if any(cached.values()):
            more["basis"] = "inclusive"
    return agent(f"invoke_agent {model}", "weather-desk", provider=provider, request_model=model, **more)


def _seven() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    told = {name: (model, OPENAI.get(answer)) for name, (model, answer) in _OPENAI.items()}
    told |= {name: (CLAUDE, ANTHROPIC[answer]) for name, answer in _CLAUDE.items()}
    for name, (model, answered) in told.items():
        provider = "anthropic" if model == CLAUDE else "openai"
        usage = answered.usage if answered else None
        inner = call(f"chat {model}", usage, model, provider=provider, lost=("reasoning",))
        cases[name] = [inner, _step(1), _agent7(model, provider, usage, [inner])]
    for name, model, of in (("agent_tool", GPT, OPENAI), ("anthropic_tool", CLAUDE, ANTHROPIC)):
        provider = "openai" if model == GPT else "anthropic"
        first, second = of["weather"].usage, of["after tool"].usage
        total = Usage(first.input + second.input, first.output + second.output, first.cache_read + second.cache_read)
        steps = [call(f"chat {model}", usage, model, provider=provider) for usage in (first, second)]
        cases[name] = [
            steps[0],
            tool("execute_tool get_weather"),
            _step(1),
            steps[1],
            _step(2),
            _agent7(model, provider, total, steps),
        ]
    # The outer one of the two has no usage.
    cases["embeddings"] = [
        embedding(f"embeddings {VECTORS}", EMBEDDING, answered=None),
        embedding(f"embeddings {VECTORS}", None, answered=None, repeated=True),
    ]
    return cases


def _step(number: int) -> Span:
    return pipeline(f"step {number}", "agent_step")


FIVE = _five()
SEVEN = _seven()
