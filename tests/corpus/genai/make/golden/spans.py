"""The words in which golden forms are told: what each span must say once it is normalised.

Nothing here reads a fixture: usage comes from `answers`, everything else is told by whoever looked at what the SDK's
documentation and its spans mean. A field that a span must not have is absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from answers import ANTHROPIC, DATED, OPENAI, Usage

Span = dict[str, Any]
Case = list[Span]

GPT, MINI, AUDIO = "gpt-4o", "o4-mini", "gpt-audio"
CLAUDE, VECTORS = "claude-sonnet-4-5", "text-embedding-3-small"
CACHED = ("cache_read", "cache_write", "reasoning")
SOUND = ("input_audio", "output_audio")


def span(name: str, kind: str | None, operation: str | None = None, **more: Any) -> Span:
    """A span that calls no model."""
    return _said({"name": name, "kind": kind, "operation": operation, **more})


def call(
    name: str,
    usage: Usage | None,
    request: str | None,
    *,
    provider: str | None = "openai",
    answered: str | None = "dated",
    operation: str | None = "chat",
    kind: str = "llm",
    lost: Iterable[str] = (),
    basis: str = "inclusive",
    output: int | None = None,
    **more: Any,
) -> Span:
    """A span that calls a model. `lost` names parts of the usage that the SDK does not report, `answered` the model
    that has answered (`dated`: the dated name of the one asked), `output` what it reports in place of the truth."""
    tokens: dict[str, Any] = {}
    if usage is not None:
        parts = {part: getattr(usage, part) or None for part in (*CACHED, *SOUND) if part not in lost}
        tokens = {"input": usage.input, "output": usage.output if output is None else output, **parts}
        if kind == "embedding":
            tokens.pop("output")
        if any(parts.get(part) for part in CACHED):
            tokens["basis"] = basis
    model = DATED.get(request or "") if answered == "dated" and usage is not None else answered
    return _said(
        {
            "name": name,
            "kind": kind,
            "operation": operation,
            "provider": provider,
            "request_model": request,
            "response_model": None if model == "dated" else model,
            **tokens,
            **more,
        }
    )


def embedding(name: str, usage: Usage | None, **more: Any) -> Span:
    """A span that calls a model for vectors."""
    return call(name, usage, VECTORS, **{"answered": VECTORS, "operation": "embeddings", "kind": "embedding", **more})


def tool(name: str, **more: Any) -> Span:
    """The tool of all cases."""
    return span(name, "tool", "execute_tool", tool="get_weather", **more)


def agent(name: str, agent_name: str | None, **more: Any) -> Span:
    """A run of an agent."""
    return span(name, "agent", "invoke_agent", agent=agent_name, **more)


def pipeline(name: str, operation: str | None = None, **more: Any) -> Span:
    """A step that holds others together."""
    return span(name, "pipeline", operation, **more)


def both(case: str, answers: str) -> tuple[Usage, Usage]:
    """The usage of the two calls of a case with a tool."""
    of = OPENAI if answers == "openai" else ANTHROPIC
    return of["weather"].usage, of["after tool"].usage


def with_all(spans: Iterable[Span], **more: Any) -> Case:
    """The spans, each with these fields too, unless it has them."""
    return [_said({**more, **each}) for each in spans]


def _said(fields: Span) -> Span:
    return {key: value for key, value in fields.items() if value is not None}
