"""What one call of a model costs: the overrides of a config, and else the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tracekeeper_sidecar.price.book import Book, Dated, day_of
from tracekeeper_sidecar.price.tariff import Amounts, read_amount
from tracekeeper_sidecar.price.tariff import Tariff as Tariff
from tracekeeper_sidecar.price.tariff import Usage as Usage
from tracekeeper_spec.price import PriceOverride

MAX_REMEMBERED = 2_000
"""Pairs of provider and model."""
MAX_NAME = 256
"""Characters of a provider's or a model's name; longer ones are of no model."""
_OWN_MACHINES = frozenset({"llama.cpp", "llama_cpp", "lmstudio", "localai", "ollama", "sglang", "vllm"})
"""Programs that run models on somebody's own machines: their tokens cost nothing, which is not the same as unknown."""
_FREE = (Dated(Tariff(Amounts(0, 0))),)


class _Override(NamedTuple):
    order: tuple[bool, bool, int, int]
    """What is greater comes first: a whole name, a provider, a later day, an earlier place in the list."""
    provider: str
    name: str
    whole: bool
    price: Dated

    def means(self, provider: str, model: str) -> bool:
        named = model == self.name if self.whole else model.startswith(self.name)
        return named and self.provider in ("", provider)


class _Known(NamedTuple):
    """Of one name, in the order in which they are tried."""

    overrides: tuple[Dated, ...]
    book: tuple[Dated, ...]


_NOTHING = _Known((), ())


class Prices:
    """The overrides of a config before the book that comes with this version. Bounded in memory whatever it is asked.

    The book is read when a price is first asked for. Not for several threads at once.
    """

    def __init__(self, overrides: Sequence[PriceOverride]) -> None:
        self._overrides = tuple(overrides)
        self._book: Book | None = None
        self._first: list[_Override] = []
        self._known: dict[tuple[str, str], _Known] = {}

    def tariff(self, provider: str, model: str, at: float) -> Tariff | None:
        """For a call of `model` at `provider` (as in `gen_ai.provider.name`, or empty) at the Unix time `at` (seconds);
        None where the price is unknown. Fast enough to be asked for every call: answers are remembered.
        """
        return self.of_any(provider, (model,), at)

    def of_any(self, provider: str, models: Sequence[str], at: float) -> Tariff | None:
        """The same for a model that has several names, such as the one asked for and the one that has answered: the
        override of the first that has one, else the price of the first that the book has. Empty names are passed over.
        """
        known = [self._look(provider, model) for model in models if model]
        for found in known:
            for override in found.overrides:
                if override.holds(at):
                    return override.tariff
        for found in known:
            # Where none of the book's prices holds, the first does, which is the last here.
            price = next((price for price in found.book if price.holds(at)), found.book[-1] if found.book else None)
            if price is not None and price.tariff is not None:
                return price.tariff
        return None

    def always(self, provider: str, models: Sequence[str]) -> bool:
        """Whether the answer of `of_any` is the same at all times."""
        known = [self._look(provider, model) for model in models if model]
        return all(price.always for found in known for price in (*found.overrides, *found.book))

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
        first = tuple(override.price for override in self._first if override.means(name, wanted))
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
    order = (whole, override.provider is not None, day if day is not None else -1_000_000, -place)
    provider = book.provider(override.provider) if override.provider is not None else ""
    return _Override(order, provider, name.removesuffix("*"), whole, Dated(tariff, from_day=day))
