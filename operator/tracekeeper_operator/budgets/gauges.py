"""Budgets as metrics: never by user, and by few keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from tracekeeper_spec.budget import NANO, GroupBy

from ..clock import Clock
from ..metrics import ControllerMetrics
from .book import Book
from .standing import Standing, State

EVERY = 15.0
"""Seconds between two looks."""
MOST_KEYS = 50
"""Of one budget; the others are one key."""
MOST_BUDGETS = 2000
"""That are shown, in all namespaces."""
OTHER = "other"
INCOMPLETE = "Incomplete"


class Line(NamedTuple):
    """One budget, or one key of it."""

    config: str
    budget: str
    key: str
    spent: int
    limit: int
    forecast: int


class Gauges:
    """Owned by the event loop of the control server."""

    def __init__(self, book: Book, clock: Clock, metrics: ControllerMetrics) -> None:
        self._book, self._clock, self._metrics = book, clock, metrics

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.refresh()
                await asyncio.sleep(EVERY)
        finally:
            self._clear()  # Whoever does not lead says nothing of it.

    async def refresh(self) -> None:
        """As the book is now."""
        found: list[Standing] = []
        for standing in self._book.standings():
            found.append(standing)
            if len(found) == MOST_BUDGETS:
                break
            await asyncio.sleep(0)
        now = self._clock.now()
        self._clear()
        for standing in found:
            for line in lines(standing, now):
                self._show(line)
            self._show_whole(standing)

    def _clear(self) -> None:
        metrics = self._metrics
        for gauge in (
            metrics.budget_spent,
            metrics.budget_limit,
            metrics.budget_forecast,
            metrics.budget_used,
            metrics.budget_burn,
            metrics.budget_state,
        ):
            gauge.clear()

    def _show(self, line: Line) -> None:
        labels = line.config, line.budget, line.key
        self._metrics.budget_spent.labels(*labels).set(line.spent / NANO)
        self._metrics.budget_limit.labels(*labels).set(line.limit / NANO)
        self._metrics.budget_forecast.labels(*labels).set(line.forecast / NANO)
        self._metrics.budget_used.labels(*labels).set(line.spent / line.limit)

    def _show_whole(self, standing: Standing) -> None:
        labels = standing.config, standing.budget.name, _place(standing)
        for window, share in standing.burn.items():
            self._metrics.budget_burn.labels(*labels, window).set(share)
        for each in State:
            self._metrics.budget_state.labels(*labels, each.value).set(int(standing.state is each))
        self._metrics.budget_state.labels(*labels, INCOMPLETE).set(int(not standing.complete))


def lines(standing: Standing, now: float) -> Iterator[Line]:
    """What is shown of a budget. Where users are among its groups, only the key that stands worst, without its name."""
    config, name, limit, place = standing.config, standing.budget.name, standing.budget.limit.nano, _place(standing)
    if not standing.budget.groups:
        yield Line(config, name, place, standing.spent, limit, standing.forecast)
        return
    keys = list(standing.keys)
    if GroupBy.USER in standing.budget.groups:
        most = keys[0].spent if keys else 0
        yield Line(config, name, place, most, limit, _ahead(standing, most, now))
        return
    for each in keys[:MOST_KEYS]:
        key = "/".join((place, *each.key) if place else each.key)
        yield Line(config, name, key, each.spent, limit, _ahead(standing, each.spent, now))
    if len(keys) > MOST_KEYS:  # The dearest of them: a limit is for each.
        most = keys[MOST_KEYS].spent
        key = f"{place}/{OTHER}" if place else OTHER
        yield Line(config, name, key, most, limit, _ahead(standing, most, now))


def _place(standing: Standing) -> str:
    """The namespace of its pods, where that is not the config's."""
    own = standing.config.partition("/")[0]
    return "" if standing.namespace in ("", own) else standing.namespace


def _ahead(standing: Standing, spent: int, now: float) -> int:
    """At the end of the period, if it goes on as it did since its begin."""
    gone = max(300.0, now - standing.span.begins)
    return spent + int(spent / gone * max(0.0, standing.span.ends - now))
