"""How prices are asked for by what reads spans: amounts so simple that they are added up there, or one by one."""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.price.tariff import MAX_TOKENS, Tariff, Usage
from tracekeeper_sidecar.wire.tariffs import Answer, Ask, Simple

_PICO = 1_000_000_000
"""What an amount is divided by to have picodollars for each token."""
_MOST = 1_000_000_000
"""Picodollars for a token that are added up in 64 bits: 1000 dollars for a million."""


def asking(prices: Prices) -> Ask:
    """For `wire.tariffs`."""

    def ask(provider: str, models: tuple[str, ...], at: float, tier: str) -> Answer:
        found, always = prices.find(provider, models, at, tier), prices.always(provider, models)
        if found is None:
            return Answer(None, None, always)
        tariff = found.tariff
        text = f"{found.source} {tariff}"
        asked = lambda tokens: tariff.cost(Usage(*tokens))  # noqa: E731
        return Answer(simple(tariff), asked, always, found.own, text, found.book)

    return ask


def simple(tariff: Tariff) -> Simple | None:
    """The amounts of the base; None where they are too fine or too great to be added up so."""
    *kinds, call = tariff.base
    if any(amount is not None and (amount % _PICO or amount // _PICO > _MOST) for amount in (*kinds, call)):
        return None
    limit = min((start for start, _ in tariff.tiers), default=MAX_TOKENS)
    amounts: Sequence[int | None] = [amount // _PICO if amount is not None else None for amount in kinds]
    return amounts, (call or 0) // _PICO, limit
