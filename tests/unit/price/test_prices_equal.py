"""What a call costs is what genai-prices says that it costs, to the nanodollar, for whatever our book keeps of it."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    ModelPrice,
)

from tracekeeper_sidecar.price.prices import Prices, Tariff, Usage

CALLS = 5_000
UNSEEN = ("output_image", "output_video", "hours", "mchars", "gpixels", "kpages", "text_messages", "rerank")
"""Parts of the names of prices that no attribute tells the amounts of."""


class Call(NamedTuple):
    provider: str
    model: str
    usage: Usage
    at: float


def test_prices_are_those_of_genai_prices() -> None:
    ours, rng = Prices(()), random.Random(20260301)
    names = list(every_name())
    priced = free = tiered = 0
    for _ in range(CALLS):
        provider, model = rng.choice(names)
        call = Call(provider, model, made_up_usage(rng), rng.uniform(1.70e9, 1.81e9))
        tariff = ours.tariff(call.provider, call.model, call.at)
        theirs, price = their_cost(call)
        if tariff is None:
            assert untellable(price), (call, price)
            continue
        cost = tariff.cost(within(tariff, call.usage))
        assert cost == theirs, (call, price)
        priced += 1
        free += cost == 0
        tiered += bool(tariff.tiers)
    print(f"{CALLS} calls: {priced} priced alike to the nanodollar, {tiered} with tiers, {free} free of charge")
    assert priced > 0.8 * CALLS
    assert tiered > 50
    assert free < 0.2 * CALLS


def test_every_model_of_theirs_has_its_price_or_none() -> None:
    ours, at = Prices(()), datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
    usage = Usage(300_000, 1_000, cache_read=10_000)
    without = 0
    for provider, model in every_name():
        tariff = ours.tariff(provider, model, at)
        theirs, price = their_cost(Call(provider, model, usage, at))
        if tariff is None:
            without += 1
            assert untellable(price), (provider, model)
        else:
            assert tariff.cost(within(tariff, usage)) == theirs, (provider, model, price)
    print(f"{sum(1 for _ in every_name())} names, {without} without a price")


def test_times_of_day_and_days_change_prices_when_theirs_do() -> None:
    ours, usage = Prices(()), Usage(1_000_000, 1_000_000)
    seen = 0
    for provider in providers:
        for model in provider.models:
            if isinstance(model.prices, ModelPrice) or untellable(model.prices[0].prices):
                continue
            days = [1.70e9, *(moment for price in model.prices for moment in edges(price))]
            for at in days:
                for near in (at - 61, at - 0.5, at, at + 61):
                    tariff = ours.tariff(provider.id, model.id, near)
                    theirs, price = their_cost(Call(provider.id, model.id, usage, near))
                    cost = tariff.cost(within(tariff, usage)) if tariff is not None else None
                    assert cost == theirs or untellable(price), (provider.id, model.id, near)
                    seen += 1
    print(f"{seen} moments around changes of prices")
    assert seen > 1_000


def test_a_tier_begins_above_its_number() -> None:
    ours, at, seen = Prices(()), 1.79e9, 0
    for provider, model in every_name():
        for start, _ in getattr(ours.tariff(provider, model, at), "tiers", ()):
            for size in (start - 1, start, start + 1):
                usage = Usage(size, 1000, cache_read=1000)
                tariff = ours.tariff(provider, model, at)
                assert tariff is not None
                theirs, _ = their_cost(Call(provider, model, usage, at))
                assert tariff.cost(within(tariff, usage)) == theirs, (provider, model, size)
                seen += 1
    print(f"{seen} sizes around tiers")
    assert seen > 300


@pytest.mark.parametrize(
    "name",
    ["openai", "Anthropic", "gcp.gemini", "gcp.vertex_ai", "aws.bedrock", "mistral_ai", "moonshot_ai", "xai", "groq"],
)
def test_providers_are_known_by_their_names_in_opentelemetry(name: str) -> None:
    call = Call(name, MODELS[name.lower()], Usage(1000, 100), 1.79e9)
    tariff = Prices(()).tariff(call.provider, call.model, call.at)
    assert tariff is not None
    assert tariff.cost(call.usage) == their_cost(call)[0]


MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-sonnet-4-5",
    "gcp.gemini": "gemini-2.5-flash",
    "gcp.vertex_ai": "claude-sonnet-4-5",
    "aws.bedrock": "amazon.nova-pro-v1:0",
    "mistral_ai": "mistral-large-latest",
    "moonshot_ai": "kimi-k2-0905-preview",
    "xai": "grok-4",
    "groq": "llama-3.3-70b-versatile",
}


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "anthropic/claude-3-5-haiku", "groq/llama-3.3-70b-versatile"],
)
def test_where_a_framework_stands_for_the_provider_the_model_tells_it(model: str) -> None:
    theirs, _ = their_cost(Call("litellm", model, Usage(1000, 100), 1.79e9))
    for name in ("", "langchain", "LiteLLM"):
        tariff = Prices(()).tariff(name, model, 1.79e9)
        assert tariff is not None
        assert tariff.cost(Usage(1000, 100)) == theirs


def within(tariff: Tariff, usage: Usage) -> Usage:
    """Without output where only input has a price: theirs costs nothing then, and ours cannot be told."""
    if tariff.base.output is not None:
        return usage
    assert tariff.cost(usage._replace(output=1)) is None
    return usage._replace(output=0, reasoning=0, output_audio=0)


def every_name() -> Iterator[tuple[str, str]]:
    """Names of models, made from their clauses: what is equal, begins, ends or is a part. A provider sells those of
    others, too; and dates are written in two ways.
    """
    for provider in providers:
        sold = [provider, *(other for other in providers if other.id in (provider.fallback_model_providers or ()))]
        for model in (model for one in sold for model in one.models):
            for name in (model.id, *names_of(model.match)):
                yield provider.id, name
                yield provider.id, re.sub(r"-(\d{4})-(\d\d)-(\d\d)", r"-\1\2\3", name.upper())


def names_of(clause: object) -> Iterator[str]:
    match clause:
        case ClauseEquals(equals=text):
            yield text
        case ClauseStartsWith(starts_with=text):
            yield text
            yield f"{text}-20260105"
        case ClauseEndsWith(ends_with=text) | ClauseContains(contains=text):
            yield f"our-{text}"
        case ClauseOr(or_=clauses) | ClauseAnd(and_=clauses):
            for part in clauses:
                yield from names_of(part)


def made_up_usage(rng: random.Random) -> Usage:
    size = int(10 ** rng.uniform(0, 6.5))
    shares = [rng.random() if rng.random() < 0.4 else 0.0 for _ in range(5)]
    read, written, heard = (int(size * share / 3) for share in shares[:3])
    out = rng.choice([0, 1, int(10 ** rng.uniform(0, 5))])
    reasoning, said = (int(out * share / 2) for share in shares[3:])
    return Usage(size, out, read, written, reasoning, heard, said)


def their_cost(call: Call) -> tuple[int | None, ModelPrice | None]:
    """In nanodollars, and the price that they took; None where they know none."""
    usage = call.usage
    parts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_reasoning_tokens": usage.reasoning,
        "input_audio_tokens": usage.input_audio,
        "output_audio_tokens": usage.output_audio,
        # Which of these were both, nobody can tell from a span.
        "cache_audio_read_tokens": 0,
        "cache_write_1h_tokens": 0,
    }
    when = datetime.fromtimestamp(call.at, UTC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = calc_price(TheirUsage(**parts), call.model, provider_id=call.provider, genai_request_timestamp=when)
        except LookupError:
            return None, None
    nano = (found.total_price * 10**9).quantize(Decimal(1), ROUND_HALF_UP)
    return int(nano), found.model_price


def untellable(price: ModelPrice | None) -> bool:
    """Whether tokens do not tell the cost: there is no price for them, or others beside."""
    if price is None:
        return True
    kinds = [name for name, value in vars(price).items() if value is not None]
    return not kinds or any(part in name for part in UNSEEN for name in kinds)


def edges(price: ConditionalPrice) -> list[float]:
    constraint = price.constraint
    day = getattr(constraint, "start_date", None)
    if day is not None:
        return [datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()]
    start, end = getattr(constraint, "start_time", None), getattr(constraint, "end_time", None)
    if start is None or end is None:
        return []
    return [datetime(2026, 5, 4, at.hour, at.minute, tzinfo=UTC).timestamp() for at in (start, end)]
