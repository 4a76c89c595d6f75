"""The book of prices that comes with this version: proto/tracekeeper_spec/prices.json, by scripts/generate_prices.py.

Which provider and which model a name means goes by the rules of genai-prices (types.py and data_snapshot.py there):
the first model that matches. Clauses are texts here: alternatives separated by spaces, each a name, or behind a mark a
beginning (`^`), an end (`$`), a part (`*`) or a regular expression (`~`); `&` joins what must hold at once, and `=` is
before names that begin with a mark. A price is a text for `read_tariff`, behind `@2026-03-01 ` or `@00:30-16:30 ` where
it holds from a day on or at a time of day (UTC); the last that holds is the price, and the first where none does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from tracekeeper_sidecar.price.tariff import Tariff, read_tariff

_DAY = 86400
_MARKS = "^$*~"
_ALIASES = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
}
"""Names that OpenTelemetry gives to providers, and that the book has under others."""
_FRAMEWORKS = frozenset(
    {
        "",
        "autogen",
        "crewai",
        "haystack",
        "langchain",
        "litellm",
        "llama_index",
        "llamaindex",
        "openai_agents",
        "pydantic_ai",
        "semantic_kernel",
        "spring_ai",
    }
)
"""What some instrumentation names instead of the provider: then the model's name has to tell it."""
_COMPACT_DATE = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=-|:|$)")


@dataclass(frozen=True, slots=True)
class Dated:
    """A price, and when it holds."""

    tariff: Tariff | None
    from_day: int | None = None
    """In days since 1970; None: since ever."""
    minutes: tuple[int, int] | None = None
    """Of each day, from and to, in UTC; None: at any time."""

    @property
    def always(self) -> bool:
        """Whether it holds at all times."""
        return self.from_day is None and self.minutes is None

    def holds(self, at: float) -> bool:
        """Whether it does at the Unix time `at` (seconds)."""
        if self.from_day is not None and at < self.from_day * _DAY:
            return False
        if self.minutes is None:
            return True
        start, end = self.minutes
        minute = at % _DAY / 60
        return (start <= minute < end) if start <= end else (minute >= start or minute < end)


class Book:
    """Prices by provider and model. What it says of a provider's models is read when somebody first asks."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.source: str = content["source"]
        self.dated: str = content["dated"]
        self._written: Mapping[str, Any] = content["providers"]
        self._clauses = [
            (name, _Clause(found["providers"]), _Clause(found["models"])) for name, found in self._written.items()
        ]
        self._shelves: dict[str, _Shelf] = {}

    @staticmethod
    @cache
    def packaged() -> Book:
        """The one that comes with this version, read once."""
        return Book(json.loads(files("tracekeeper_spec").joinpath("prices.json").read_bytes()))

    def provider(self, name: str) -> str:
        """What the book calls the provider `name`; `name` itself, in lower case, where it has none such."""
        wanted = name.lower().strip()
        wanted = _ALIASES.get(wanted, wanted)
        if wanted in self._written or wanted in _FRAMEWORKS:
            return wanted
        return next((found for found, providers, _ in self._clauses if providers.matches(wanted)), wanted)

    def prices(self, provider: str, model: str) -> tuple[Dated, ...]:
        """Those of `model` at `provider`, which is a name that `provider` has given; empty where it knows none."""
        wanted = model.lower()
        if provider in _FRAMEWORKS:
            provider, wanted = self._by_model(wanted)
        if provider not in self._written:
            return ()
        found = self._find(provider, wanted)
        if found is None:
            spelled = _COMPACT_DATE.sub(_with_dashes, wanted)
            found = self._find(provider, spelled) if spelled != wanted else None
        return found or ()

    def _by_model(self, model: str) -> tuple[str, str]:
        prefix, slash, rest = model.partition("/")
        if slash and prefix and (found := self.provider(prefix)) in self._written:
            return found, rest
        return next((name for name, _, models in self._clauses if models.matches(model)), ""), model

    def _find(self, provider: str, model: str) -> tuple[Dated, ...] | None:
        for name in (provider, *self._written[provider]["fallback"]):
            shelf = self._shelves.get(name)
            if shelf is None:
                shelf = self._shelves[name] = _Shelf(self._written[name]["book"])
            if (found := shelf.find(model)) is not None:
                return found
        return None


class _Shelf:
    """One provider's models. Names are looked up, and only clauses of models before that one are tried."""

    def __init__(self, book: Sequence[Sequence[str]]) -> None:
        self._book = book
        self._names: dict[str, int] = {}
        self._tests: list[tuple[int, _Test]] = []
        for place, (text, *_) in enumerate(book):
            clause = _Clause(text)
            for name in clause.names:
                self._names.setdefault(name, place)
            self._tests += [(place, test) for test in clause.tests]

    def find(self, model: str) -> tuple[Dated, ...] | None:
        last = self._names.get(model, len(self._book))
        for place, (mark, text) in self._tests:
            if place >= last:
                break
            # Of one model that nobody knows, hundreds are tried: the most frequent kind is not worth a call.
            if model.startswith(text) if mark == "^" else _holds(mark, text, model):
                last = place
                break
        return tuple(_read_dated(text) for text in self._book[last][1:]) if last < len(self._book) else None


_Test = tuple[str, str]
"""Mark and text."""


class _Clause:
    def __init__(self, text: str) -> None:
        parts = text.split()
        self.names = frozenset(part.removeprefix("=") for part in parts if part[0] not in _MARKS)
        self.tests: list[_Test] = [
            ("&", part) if "&" in part else (part[0], part[1:]) for part in parts if part[0] in _MARKS
        ]

    def matches(self, text: str) -> bool:
        return text in self.names or any(_holds(mark, wanted, text) for mark, wanted in self.tests)


def _holds(mark: str, wanted: str, text: str) -> bool:
    if mark == "^":
        return text.startswith(wanted)
    if mark == "$":
        return text.endswith(wanted)
    if mark == "*":
        return wanted in text
    if mark == "&":
        return all(_holds(part[0], part[1:], text) for part in wanted.split("&"))
    return re.search(wanted, text) is not None


def _read_dated(text: str) -> Dated:
    if not text.startswith("@"):
        return Dated(read_tariff(text))
    when, _, price = text[1:].partition(" ")
    if ":" not in when:
        return Dated(read_tariff(price), from_day=day_of(when))
    start, end = (60 * int(part[:2]) + int(part[3:]) for part in when.split("-"))
    return Dated(read_tariff(price), minutes=(start, end))


def day_of(text: str) -> int:
    """A day such as "2026-03-01", in days since 1970.

    Raises:
        ValueError: There is no such day.
    """
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def _with_dashes(found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    try:
        return f"-{datetime(year, month, day, tzinfo=UTC):%Y-%m-%d}"
    except ValueError:
        return found[0]
