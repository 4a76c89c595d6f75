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
    call: int | None = None
    """For the call itself, dollars for a million calls; None: nothing."""

    def times(self, factor: int) -> Amounts:
        """So many times as high; `factor` is an amount, too."""
        return Amounts(*(amount * factor // SCALE if amount is not None else None for amount in self))

    def __str__(self) -> str:
        """Dollars for a million tokens of input/output, and what has a price of its own: `2.5/10 cache_read=1.25`."""
        own = [
            f"{name}={write_amount(amount)}" for name, amount in zip(self._fields[2:], self[2:], strict=True) if amount
        ]
        main = "/".join("-" if amount is None else write_amount(amount) for amount in self[:2])
        return " ".join((main, *own))


@dataclass(frozen=True, slots=True)
class Tariff:
    """What calls of one model cost at one time."""

    base: Amounts
    tiers: tuple[tuple[int, Amounts], ...] = ()
    """Calls with more than so many tokens of input cost this instead, all of them; ascending."""

    def __str__(self) -> str:
        """The amounts, with those above a number of tokens of input behind that: `1.25/10; >200000 2.5/15`."""
        return "; ".join((str(self.base), *(f">{start} {amounts}" for start, amounts in self.tiers)))

    def cost(self, usage: Usage) -> int | None:
        """In nanodollars (1e-9 dollars), rounded half up; None where that cannot be told: the parts are more than the
        whole, a number is negative or beyond `MAX_TOKENS`, or tokens of a kind without a price were used.
        """
        amounts = self.base
        for start, higher in self.tiers:
            if usage[0] > start:
                amounts = higher
        came, went, read, written, reasoning, heard, said = usage
        if not 0 <= came <= MAX_TOKENS or not 0 <= went <= MAX_TOKENS:
            return None
        cost = amounts.call or 0
        # Most calls have no parts.
        if read or written or heard:
            came, parts = _without(came, ((read, amounts[2]), (written, amounts[3]), (heard, amounts[5])))
            cost += parts
        if reasoning or said:
            went, parts = _without(went, ((reasoning, amounts[4]), (said, amounts[6])))
            cost += parts
        price_in, price_out = amounts[0], amounts[1]
        if came:
            if came < 0 or price_in is None:
                return None
            cost += came * price_in
        if went:
            if went < 0 or price_out is None:
                return None
            cost += went * price_out
        return (cost + _NANODOLLAR // 2) // _NANODOLLAR


def _without(whole: int, parts: tuple[tuple[int, int | None], ...]) -> tuple[int, int]:
    """What is left of the tokens, and what the parts cost that have prices of their own; less than nothing is left
    where parts are more than the whole, or less than nothing themselves.
    """
    rest, cost = whole, 0
    for tokens, amount in parts:
        if not 0 <= tokens <= whole:
            return -1, 0
        if amount is not None:
            rest -= tokens
            cost += tokens * amount
    return rest, cost


def read_amount(text: str) -> int:
    """A decimal number without a sign, such as "2.50" or ".075", as an amount.

    Raises:
        ValueError: It is not one.
    """
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * SCALE + int(fraction.ljust(15, "0")[:15])


def write_amount(amount: int) -> str:
    """Without zeros at its end, such as "2.5"."""
    whole, rest = divmod(amount, SCALE)
    return f"{whole}.{rest:015}".rstrip("0").rstrip(".")


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
    amounts = Amounts(*found)
    # Written for a thousand calls.
    return amounts if amounts.call is None else amounts._replace(call=1000 * amounts.call)
