"""What one call of a model costs.

Prices are integers all the way: picodollars for a token, which is dollars for a million tokens times a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tracekeeper_spec.price import PriceOverride

MAX_TOKENS = 1_000_000_000
"""What no call has: more than this is a mistake of whoever counted, and has no price."""


class Usage(NamedTuple):
    """Tokens of one call. `input` and `output` are inclusive of their parts, as OpenTelemetry counts them."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0


class Tariff:
    """What tokens of one model cost at one time."""

    def cost(self, usage: Usage) -> int | None:
        """In nanodollars (1e-9 dollars), rounded half to even; None where that cannot be told: the parts are more than
        the whole, a number is negative or beyond `MAX_TOKENS`, or tokens of a kind without a price were used.
        """
        raise NotImplementedError


class Prices:
    """The overrides of a config before the book that comes with this version. Bounded in memory whatever it is asked.

    Not for several threads at once.
    """

    def __init__(self, overrides: Sequence[PriceOverride]) -> None:
        self._overrides = tuple(overrides)

    def tariff(self, provider: str, model: str, at: float) -> Tariff | None:
        """For a call of `model` at `provider` (as in `gen_ai.provider.name`, or empty) at the Unix time `at` (seconds);
        None where the price is unknown. Fast enough to be asked for every call: answers are remembered.
        """
        raise NotImplementedError
