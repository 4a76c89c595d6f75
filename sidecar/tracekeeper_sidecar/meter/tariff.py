"""What the tokens of a call cost, in integers: amounts are dollars for a million tokens, times `SCALE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SCALE = 10**15
"""Digits after the point that an amount keeps: 15."""
_NANODOLLAR = SCALE // 1000
"""One, in tokens times amounts: a million tokens at `SCALE` are a dollar."""
MAX_TOKENS = 1_000_000_000
"""No call has more: a greater number is a mistake of whoever counted, and has no price."""


class Usage(NamedTuple):
    """Tokens of one call. `input` and `output` are inclusive of their parts, as OpenTelemetry counts them."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0


class Amounts(NamedTuple):
    """Prices by kind of token; None: as the kind that it is a part of."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    request: int = 0
    """For the call itself: dollars for a million calls."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What calls of one model cost at one time."""

    base: Amounts
    tiers: tuple[tuple[int, Amounts], ...] = ()
    """Calls with more than so many tokens of input cost this instead, all of them; ascending."""

    def cost(self, usage: Usage) -> int | None:
        """In nanodollars (1e-9 dollars), rounded half up; None where that cannot be told: the parts are more than the
        whole, a number is negative or beyond `MAX_TOKENS`, or tokens of a kind without a price were used.
        """
        if min(usage) < 0 or max(usage) > MAX_TOKENS:
            return None
        amounts = self.base
        for start, higher in self.tiers:
            if usage.input > start:
                amounts = higher
        entered = (
            (usage.cache_read, amounts.cache_read),
            (usage.cache_write, amounts.cache_write),
            (usage.input_audio, amounts.input_audio),
        )
        left = ((usage.reasoning, amounts.reasoning), (usage.output_audio, amounts.output_audio))
        came, went = _side(usage.input, amounts.input, entered), _side(usage.output, amounts.output, left)
        if came is None or went is None:
            return None
        return (came + went + amounts.request + _NANODOLLAR // 2) // _NANODOLLAR


def _side(whole: int, amount: int | None, parts: tuple[tuple[int, int | None], ...]) -> int | None:
    rest, cost = whole, 0
    for tokens, own in parts:
        if tokens > whole:
            return None
        if own is not None:
            rest -= tokens
            cost += tokens * own
    if rest < 0 or (rest and amount is None):
        return None
    return cost + rest * (amount or 0)


def read_amount(text: str) -> int:
    """A decimal number without a sign, such as "2.50" or ".075", as an amount.

    Raises:
        ValueError: It is not one.
    """
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * SCALE + int(fraction.ljust(15, "0")[:15])


def read_tariff(text: str) -> Tariff | None:
    """What the book writes: amounts separated by commas, in the order of `Amounts`, the last ones left out where there
    are none; then, separated by semicolons, tiers ("200000:6,22.5"). None for an empty text, which is no price.

    Raises:
        ValueError: It is none of this.
    """
    base, *tiers = text.split(";")
    if not base:
        return None
    return Tariff(_read_amounts(base), tuple(_read_tier(tier) for tier in tiers))


def _read_tier(text: str) -> tuple[int, Amounts]:
    start, _, amounts = text.partition(":")
    return int(start), _read_amounts(amounts)


def _read_amounts(text: str) -> Amounts:
    found = [read_amount(part) if part else None for part in text.split(",")]
    # The last is for calls, not tokens, and written for a thousand of them.
    request = 1000 * (found.pop() or 0) if len(found) == len(Amounts._fields) else 0
    return Amounts(*found)._replace(request=request)
