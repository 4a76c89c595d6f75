"""Budgets in the statuses of TracingConfigs: `status.budgets`, a source of the teller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tracekeeper_spec.config import Section as SpecSection

from ..clock import Clock, timestamp
from ..plan import Assessed, Plan
from ..teller import Section
from .book import Book
from .standing import Standing, dollars

EVERY = 60.0
"""Seconds between two writes of what was spent, while no state changes."""
TICK = 5.0
"""Seconds between looks."""


class BudgetTeller:
    """What was said of a config stays as it is for a while, so that a status is not written for every cent."""

    conditions: tuple[str, ...] = ()
    members: tuple[str, ...] = ("budgets",)

    def __init__(
        self,
        book: Book,
        clock: Clock,
        on_news: Callable[[str], None],
        on_look: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        """`on_news` is told a namespace whose configs' statuses are to be written; `on_look` gets each standing."""
        self._book, self._clock, self._on_news, self._on_look = book, clock, on_news, on_look
        self._said: dict[str, tuple[float, str, list[dict[str, Any]]]] = {}
        """When, where and what, by a config's UID."""
        self._states: dict[tuple[str, str, str], tuple[object, int, float]] = {}
        """State, what was spent, and when it was told, by config, budget and namespace."""

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """None while it is not known."""
        budgets = item.spec.budgets or ()
        if not budgets or item.merged is None:
            self._said.pop(item.uid, None)
            return Section()
        author = item.merged.sections.get(SpecSection.BUDGETS)
        config = f"{author.namespace}/{author.name}" if author is not None else f"{plan.namespace}/{item.name}"
        if not all(self._book.is_read(budget, plan.namespace) for budget in budgets):
            return None
        found = [self._book.standing(config, budget, plan.namespace) for budget in budgets]
        now = [member(each) for each in found if each is not None]  # Of the others nothing is known.
        before = self._said.get(item.uid)
        if before is None or _matter(before[2]) != _matter(now) or self._clock.monotonic() >= before[0] + EVERY:
            self._said[item.uid] = before = self._clock.monotonic(), plan.namespace, now
        return Section(members={"budgets": before[2]})

    async def run(self) -> None:
        """Ask for a look at the statuses whose budgets have changed, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            await self.look()

    async def look(self) -> None:
        """Once."""
        now = self._clock.monotonic()
        seen = set()
        for standing in self._book.standings():
            key = standing.config, standing.budget.name, standing.namespace
            seen.add(key)
            self._on_look(standing)
            matter = (standing.state, standing.allowed, standing.complete, standing.span)
            before = self._states.get(key)
            if before is None or before[0] != matter or (before[1] != standing.spent and now >= before[2] + EVERY):
                self._states[key] = matter, standing.spent, now
                self._on_news(standing.namespace or standing.config.partition("/")[0])
            await asyncio.sleep(0)
        for key in self._states.keys() - seen:
            del self._states[key]


def member(standing: Standing) -> dict[str, Any]:
    """One item of `status.budgets`."""
    return {
        "name": standing.budget.name,
        "state": standing.state.value,
        "allowed": standing.allowed,
        "spent": dollars(standing.spent),
        "limit": dollars(standing.budget.limit.nano),
        "forecast": dollars(standing.forecast),
        "periodEnds": timestamp(standing.span.ends),
        "message": standing.words(),
    }


def _matter(said: list[dict[str, Any]]) -> object:
    return [
        (each["name"], each["state"], each["allowed"], each["limit"], each["periodEnds"], bool(each["message"]))
        for each in said
    ]
