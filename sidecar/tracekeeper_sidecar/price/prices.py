"""What one call of a model costs: the overrides of a config, and else the book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from tracekeeper_sidecar.price.book import Book, Dated, day_of
from tracekeeper_sidecar.price.tariff import Amounts, read_amount
from tracekeeper_sidecar.price.tariff import Tariff as Tariff
from tracekeeper_sidecar.price.tariff import Usage as Usage
from tracekeeper_spec.price import NO_PRICE, Price, PriceOverride

MAX_REMEMBERED = 2_000
"""Pairs of provider and model."""
MAX_NAME = 256
"""Characters of a provider's or a model's name; longer ones are of no model."""
STANDARD = frozenset({"", "auto", "default", "on_demand", "standard", "standard_only"})
"""What providers call the tier of service that the book has the prices of."""
_OWN_MACHINES = frozenset({"llama.cpp", "llama_cpp", "lmstudio", "localai", "ollama", "sglang", "vllm"})
"""Programs that run models on somebody's own machines: their tokens cost nothing, which is not the same as unknown."""
_FREE = (Dated(Tariff(Amounts(0, 0))),)


class Found(NamedTuple):
    """A price, and where it comes from."""

    tariff: Tariff
    own: bool
    """It is an override."""
    source: str
    """`book` and its date, `override` and the day from which it holds, or `own machine`; and the tier of service."""
    book: str = ""
    """The book's date, where that and what the span says lead to the price: without a word of the config."""


class _Override(NamedTuple):
    order: tuple[bool, bool, bool, int, int]
    """What is greater comes first: a tier, a whole name, a provider, a later day, an earlier place in the list."""
    provider: str
    name: str
    whole: bool
    tier: str
    price: Dated

    def means(self, provider: str, model: str) -> bool:
        named = model == self.name if self.whole else model.startswith(self.name)
        return named and self.provider in ("", provider)


class _Known(NamedTuple):
    """Of one name, in the order in which they are tried."""

    overrides: tuple[_Override, ...]
    book: tuple[Dated, ...]


_NOTHING = _Known((), ())


class Prices:
    """The overrides of a config before the book that comes with this version. Bounded in memory whatever it is asked.

    The book is read when a price is first asked for. Not for several threads at once.
    """

    def __init__(self, said: Sequence[PriceOverride] | Price = NO_PRICE) -> None:
        """`said` is what a config says of prices, or its overrides alone."""
        price = said if isinstance(said, Price) else Price(tuple(said))
        self._overrides = price.overrides
        self._times = {tier.name: read_amount(tier.times) for tier in reversed(price.service_tiers)}
        self._book: Book | None = None
        self._first: list[_Override] = []
        self._known: dict[tuple[str, str], _Known] = {}

    def tariff(self, provider: str, model: str, at: float) -> Tariff | None:
        """For a call of `model` at `provider` (as in `gen_ai.provider.name`, or empty) at the Unix time `at` (seconds);
        None where the price is unknown. Fast enough to be asked for every call: answers are remembered.
        """
        return self.of_any(provider, (model,), at)

    def of_any(self, provider: str, models: Sequence[str], at: float, tier: str = "") -> Tariff | None:
        """The same for a model that has several names; see `find`."""
        found = self.find(provider, models, at, tier)
        return found.tariff if found is not None else None

    def find(self, provider: str, models: Sequence[str], at: float, tier: str = "") -> Found | None:
        """For a call at a tier of service (in small letters; empty for the standard one) of a model that has several
        names, such as the one asked for and the one that has answered: the override of the first that has one, else the
        price of the first that the book has. Empty names are passed over.
        """
        tier = "" if tier in STANDARD else tier
        known = [self._look(provider, model) for model in models if model]
        for own in (True, False) if tier else (False,):
            for found in known:
                for override in found.overrides:
                    if override.tier == (tier if own else "") and override.price.holds(at):
                        return self._told(override.price, tier, "override", own=True, exact=own)
        for found in known:
            # Where none of the book's prices holds, the first does, which is the last here.
            price = next((price for price in found.book if price.holds(at)), found.book[-1] if found.book else None)
            if price is not None and price.tariff is not None:
                if found.book is _FREE:
                    return Found(_FREE[0].tariff or price.tariff, False, "own machine")
                if tier and tier not in self._times:
                    return None
                assert self._book is not None
                return self._told(price, tier, f"book {self._book.dated}", own=False, exact=False)
        return None

    def always(self, provider: str, models: Sequence[str]) -> bool:
        """Whether the answer of `of_any` is the same at all times."""
        known = [self._look(provider, model) for model in models if model]
        dated = (price for found in known for price in (*(each.price for each in found.overrides), *found.book))
        return all(price.always for price in dated)

    def _told(self, price: Dated, tier: str, source: str, *, own: bool, exact: bool) -> Found:
        """`exact`: the price is for this very tier."""
        assert price.tariff is not None
        tariff = price.tariff
        if own and price.from_day is not None:
            source += f" {date(1970, 1, 1) + timedelta(days=price.from_day)}"
        if tier:
            source += f" {tier}"
            if not exact:
                tariff = _times(tariff, self._times.get(tier))
        return Found(tariff, own, source, self._book.dated if self._book is not None and not own and not tier else "")

    def _look(self, provider: str, model: str) -> _Known:
        key = (provider, model)
        known = self._known.get(key)
        if known is None:
            if len(provider) > MAX_NAME or len(model) > MAX_NAME:
                return _NOTHING
            known = self._find(provider, model)
            if len(self._known) >= MAX_REMEMBERED:
                # Nobody has so many models: whoever makes names up is not to grow what is remembered.
                self._known.clear()
            self._known[key] = known
        return known

    def _find(self, provider: str, model: str) -> _Known:
        if self._book is None:
            self._book = Book.packaged()
            found = (_read_override(override, place, self._book) for place, override in enumerate(self._overrides))
            self._first = sorted(found, reverse=True)
        name, wanted = self._book.provider(provider), model.lower()
        first = tuple(override for override in self._first if override.means(name, wanted))
        return _Known(first, _FREE if name in _OWN_MACHINES else self._book.prices(name, model)[::-1])


def _read_override(override: PriceOverride, place: int, book: Book) -> _Override:
    name = override.model.lower()
    whole = not name.endswith("*")
    amounts = (
        override.input_per_million,
        override.output_per_million,
        override.cache_read_per_million,
        override.cache_write_per_million,
        override.reasoning_per_million,
        override.input_audio_per_million,
        override.output_audio_per_million,
    )
    tariff = Tariff(Amounts(*(read_amount(text) if text is not None else None for text in amounts)))
    day = day_of(override.from_) if override.from_ is not None else None
    tier = override.service_tier or ""
    order = (bool(tier), whole, override.provider is not None, day if day is not None else -1_000_000, -place)
    provider = book.provider(override.provider) if override.provider is not None else ""
    return _Override(order, provider, name.removesuffix("*"), whole, tier, Dated(tariff, from_day=day))


def _times(tariff: Tariff, times: int | None) -> Tariff:
    """The same with all amounts so many times as high; `times` is an amount itself."""
    if times is None:
        return tariff
    return replace(
        tariff, base=tariff.base.times(times), tiers=tuple((start, each.times(times)) for start, each in tariff.tiers)
    )
