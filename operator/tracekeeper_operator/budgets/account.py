"""What pods of one namespace have spent of one budget, by period. Pure; times are Unix seconds.

A budget that several namespaces share is the sum of its accounts: so an account lies in one place, together with what
is known of the statements that it is made of, and is saved with them or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tracekeeper_spec.budget import Budget
from tracekeeper_spec.period import Span, span_at

from .burn import Burn
from .ranking import Key, Ranking

MOST_KEYS, FEW_KEYS = 1000, 100
"""Keys of a budget with groups, in its period; and where very many budgets have keys."""
DIMENSIONS = ("Agent", "Model", "User", "Project", "Environment", "Conversation")
"""What the dearest are known of, whatever a budget is grouped by."""
MOST_RANKED = 100
"""Of each of these."""
PAST = 2
"""Periods that are kept besides the newest one."""
LATE = 86_400.0
"""Seconds after the end of a period in which it still grows."""
QUARTER = 900
"""Seconds; rows are of one quarter of an hour."""
RECENT = 2
"""Quarters of an hour; what was spent within these burns now: a row does not say it better."""


class AccountKey(NamedTuple):
    config: str
    """`namespace/name` of the config that wrote the budget."""
    budget: str
    namespace: str
    """Of the pods."""


class Row(NamedTuple):
    """What calls cost that ended in one quarter of an hour."""

    quarter: int
    """Since 1970-01-01 UTC."""
    agent: str
    model: str
    user: str
    project: str
    nano: int
    """Billionths of a dollar."""
    tokens: int
    unpriced: int
    """Calls without a known price."""
    environment: str = ""


class Talk(NamedTuple):
    """One of the dearest conversations of a statement."""

    id: str
    nano: int


@dataclass(slots=True)
class Ledger:
    """One period of an account."""

    begins: float
    ends: float
    nano: int = 0
    tokens: int = 0
    unpriced: int = 0
    missed: int = 0
    """Spans of which nobody knows what they cost."""
    told: int = 0
    """Percent of the highest threshold of which people were told."""
    keys: Ranking = field(default_factory=lambda: Ranking(MOST_KEYS))
    """By the values of the budget's groups."""
    ranks: dict[str, Ranking] = field(default_factory=dict)
    """By DIMENSIONS."""

    saved: dict[str, Any] | None = None
    """As it is saved, in no order; None after a change. Never changed itself."""

    def rank(self, dimension: str, name: str, nano: int) -> None:
        """Somebody has spent so much more."""
        if nano:
            self.ranks.setdefault(dimension, Ranking(MOST_RANKED)).add((name,), nano)


class Account:
    """Lies where its pods' namespace does."""

    def __init__(self, key: AccountKey, since: float) -> None:
        self.key = key
        self.since = since
        """From when on it counts."""
        self.ledgers: dict[float, Ledger] = {}
        """By when they begin."""
        self.burn = Burn()
        self.shape: tuple[str, ...] = ()
        """What of the budget its ledgers depend on."""
        self.room = MOST_KEYS
        """Keys for which there is room in a period that begins."""
        self.last = since
        """When something was counted, or asked, last."""

    def follow(self, budget: Budget, now: float) -> None:
        """The budget is this now. With another calendar or other groups it begins anew."""
        shape = (budget.period, budget.time_zone, *budget.groups)
        if shape != self.shape:
            if self.shape:
                self.since = now
            self.shape = shape
            self.ledgers = {}
        self.last = now

    def ledger(self, budget: Budget, at: float, now: float) -> Ledger | None:
        """Of the period in which `at` lies; None when that has been over for too long."""
        span = span_at(budget.period, budget.time_zone, at)
        found = self.ledgers.get(span.begins)
        if found is not None:
            return found
        if now > span.ends + LATE and not span.begins <= now < span.ends:
            return None
        found = self.ledgers[span.begins] = Ledger(span.begins, span.ends, keys=Ranking(self.room))
        _, *past = sorted(self.ledgers, reverse=True)
        for old in past[PAST:]:
            del self.ledgers[old]
        for old in past[:PAST]:  # Nobody asks who spent what then.
            self.ledgers[old].keys, self.ledgers[old].ranks, self.ledgers[old].saved = Ranking(1), {}, None
        return found

    def current(self, budget: Budget, now: float) -> Ledger:
        """Of the period that is now; an empty one where nothing was spent."""
        span = span_at(budget.period, budget.time_zone, now)
        return self.ledgers.get(span.begins) or Ledger(*span)

    def add(self, budget: Budget, rows: list[Row], talks: list[Talk], missed: int, now: float) -> None:
        """Count a statement's rows."""
        self.follow(budget, now)
        by_quarter: dict[int, Ledger | None] = {}
        for row in rows:
            at = min(row.quarter * QUARTER, now)
            if row.quarter not in by_quarter:
                by_quarter[row.quarter] = self.ledger(budget, at, now)
            ledger = by_quarter[row.quarter]
            if ledger is None or now > ledger.ends + LATE:
                continue
            ledger.saved = None
            ledger.nano += row.nano
            ledger.tokens += row.tokens
            ledger.unpriced += row.unpriced
            if budget.groups:
                ledger.keys.add(key_of(budget, row), row.nano)
            for dimension, name in (
                ("Agent", row.agent),
                ("Model", row.model),
                ("User", row.user),
                ("Project", row.project),
                ("Environment", row.environment),
            ):
                ledger.rank(dimension, name, row.nano)
            recent = int(now // QUARTER) - row.quarter < RECENT
            self.burn.add(now if recent else at, row.nano, now)
        newest = self.ledger(budget, now, now)
        if newest is not None:
            newest.missed += missed
            newest.saved = None
            for talk in talks:
                newest.rank("Conversation", talk.id, talk.nano)


def key_of(budget: Budget, row: Row) -> Key:
    """The values of the budget's groups."""
    values = {
        "Agent": row.agent,
        "Model": row.model,
        "User": row.user,
        "Project": row.project,
        "Environment": row.environment,
    }
    return tuple(values[group] for group in budget.groups)


def span_of(budget: Budget, now: float) -> Span:
    """The budget's period that is now."""
    return span_at(budget.period, budget.time_zone, now)
