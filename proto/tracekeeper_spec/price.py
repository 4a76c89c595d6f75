"""What calls of models cost, where the book of prices is not to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """One price, in place of the book's. Amounts are dollars for a million tokens, as they were written ("2.50")."""

    model: str
    """Name of the model; one that ends in `*` is for all that begin so."""
    input_per_million: str
    output_per_million: str
    provider: str | None = None
    """Only for calls of this provider; None for those of any."""
    from_: str | None = None
    """The day, in UTC, from which it holds ("2026-03-01"); None: since ever."""
    cache_read_per_million: str | None = None
    """None, here and below: like the other tokens of input, or of output."""
    cache_write_per_million: str | None = None
    reasoning_per_million: str | None = None
    input_audio_per_million: str | None = None
    output_audio_per_million: str | None = None
    service_tier: str | None = None
    """Only for calls at this tier of service, in lower case; None for those at any."""


@dataclass(frozen=True, slots=True)
class ServiceTier:
    """What calls at a tier of service cost, such as those of a batch."""

    name: str
    times: str
    """So many times what the same call costs at the standard tier ("0.5")."""


@dataclass(frozen=True, slots=True)
class Price:
    """How spans get a price."""

    overrides: tuple[PriceOverride, ...] = ()
    service_tiers: tuple[ServiceTier, ...] = ()


NO_PRICE: Final = Price()
"""The book alone."""
