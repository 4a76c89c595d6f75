"""All golden forms, and what they add up to by the book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import genai_prices
from answers import PARTS
from golden import langfuse, openai_agents, openinference, openlit, otel, pydantic_ai, traceloop, vercel
from golden.spans import Case, Span

FORMS: dict[str, dict[str, Case]] = {
    "langfuse": langfuse.CASES,
    "langfuse_old": langfuse.OLD,
    "openai_agents": openai_agents.CASES,
    "openinference": openinference.CASES,
    "openinference_old": openinference.OLD,
    "openlit": openlit.CASES,
    "otel_latest": otel.LATEST,
    "otel_opt_in": otel.OPT_IN,
    "otel_stable": otel.STABLE,
    "pydantic_ai": pydantic_ai.CASES,
    "traceloop": traceloop.CASES,
    "traceloop_old": traceloop.OLD,
    "vercel5": vercel.FIVE,
    "vercel7": vercel.SEVEN,
}


def counted(case: Case) -> Case:
    """The calls of models that count: those that no other span repeats."""
    return [span for span in case if span.get("kind") in ("llm", "embedding") and not span.get("repeated")]


def cost(span: Span) -> Decimal | None:
    """What one call costs: what its SDK says, else by the book; None where it cannot be known. An SDK that says zero of
    tokens that it names has no price, it has not got them for nothing."""
    if span.get("reported") or ("reported" in span and "input" not in span):
        return Decimal(str(span["reported"]))
    model = span.get("response_model", span.get("request_model"))
    if "input" not in span or model is None:
        return None
    usage = genai_prices.Usage(
        input_tokens=span["input"],
        output_tokens=span.get("output", 0),
        cache_read_tokens=span.get("cache_read", 0),
        cache_write_tokens=span.get("cache_write", 0),
        input_audio_tokens=span.get("input_audio", 0),
        output_audio_tokens=span.get("output_audio", 0),
    )
    try:
        return genai_prices.calc_price(usage, model_ref=model, provider_id=span.get("provider")).total_price
    except LookupError:
        return None


def told(case: Case) -> dict[str, Any]:
    """The sums over the calls that count; the cost is null where that of one of them is not known."""
    calls = counted(case)
    costs = [cost(span) for span in calls if "input" in span or "reported" in span]
    known = None if None in costs else sum((one for one in costs if one is not None), Decimal(0))
    sums = {part: sum(span.get(part, 0) for span in calls) for part in PARTS}
    return {**sums, "cost": None if known is None else str(known)}
