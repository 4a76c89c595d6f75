"""How a budget stands: what was spent of it, whether that is a lot, and what it comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tracekeeper_spec.budget import NANO, Budget, Decision, Severity, Threshold
from tracekeeper_spec.period import Span

from .account import Account, span_of
from .burn import WINDOWS
from .ranking import Key, Place, Ranking

PACE = WINDOWS["6h"]
"""Seconds by which a forecast judges; less where the period is younger."""
LEAST = 300.0
"""Seconds by which it judges at least."""


class State(StrEnum):
    """From the best to the worst."""

    OK = "Ok"
    WARNING = "Warning"
    CRITICAL = "Critical"
    EXCEEDED = "Exceeded"


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget at one moment."""

    config: str
    """`namespace/name` of the config that wrote it."""
    namespace: str
    """Of the pods; empty where several share it."""
    budget: Budget
    span: Span
    spent: int
    """Billionths of a dollar, by all keys together."""
    tokens: int
    unpriced: int
    missed: int
    since: float
    """From when on it was counted."""
    forecast: int
    """What is spent at the end of the period if it goes on so."""
    burn: Mapping[str, float]
    """By window: the share of the limit that was spent in it. Without groups only."""
    keys: Ranking = field(default_factory=lambda: Ranking(1))
    ranks: Mapping[str, Ranking] = field(default_factory=dict)
    refused: int = 0
    """Namespaces whose statements wait, because there is no room."""
    silent: int = 0
    """Pods that live and whose sidecars have not been heard of for long."""

    @property
    def complete(self) -> bool:
        """Whether all that was spent is known."""
        return not (self.unpriced or self.missed or self.refused or self.silent)

    @property
    def state(self) -> State:
        """Of the whole; with groups, of the one that stands worst."""
        return state(self.budget, self.most)

    @property
    def allowed(self) -> bool:
        """The same for the decision: of a budget with groups, whether all keys may go on."""
        return allowed(self.budget, self.most)

    @property
    def used(self) -> float:
        """Share of the limit; with groups, that of the dearest key."""
        return self.most / self.budget.limit.nano

    @property
    def most(self) -> int:
        """What was spent; with groups, by the dearest key."""
        if not self.budget.groups:
            return self.spent
        return self.keys.most()

    def place(self, key: Key) -> Place:
        """What that key has spent; of a budget without groups, what all have."""
        return self.keys.of(key) if self.budget.groups else Place((), self.spent, 0)

    def words(self) -> str:
        """Why what was spent is not all known; empty when it is."""
        found = []
        if self.unpriced:
            found.append(f"{self.unpriced} calls of models whose price is not known")
        if self.missed:
            found.append(f"{self.missed} spans that no sidecar could look at in time")
        if self.refused:
            found.append(f"what pods of {self.refused} namespaces have spent, for which there is no room")
        if self.silent:
            found.append(f"what {self.silent} pods have spent whose sidecars were not heard of for 10 minutes")
        if self.since > self.span.begins:
            found.append("what was spent in this period before it was counted")
        return "without " + ", ".join(found) if found else ""


def state(budget: Budget, spent: int) -> State:
    """What so much means."""
    if spent >= budget.limit.nano:
        return State.EXCEEDED
    reached = {each.severity for each in budget.thresholds if reaches(budget, spent, each.percent)}
    if Severity.CRITICAL in reached:
        return State.CRITICAL
    return State.WARNING if Severity.WARNING in reached else State.OK


def reached(budget: Budget, spent: int) -> Threshold | None:
    """The highest threshold that so much reaches."""
    found = [each for each in budget.thresholds if reaches(budget, spent, each.percent)]
    return max(found, key=lambda each: each.percent, default=None)


def allowed(budget: Budget, spent: int) -> bool:
    """Whether no threshold that is reached says Deny."""
    return not any(
        each.decision is Decision.DENY and reaches(budget, spent, each.percent) for each in budget.thresholds
    )


def reaches(budget: Budget, spent: int, percent: int) -> bool:
    """Whether so much is so large a share of the limit."""
    return spent * 100 >= percent * budget.limit.nano


def standing(
    config: str, namespace: str, budget: Budget, account: Account, now: float, refused: int = 0, silent: int = 0
) -> Standing:
    """Of the account, or of the sum of those, that spend from one budget."""
    ledger = account.current(budget, now)
    return Standing(
        config,
        namespace,
        budget,
        span_of(budget, now),
        ledger.nano,
        ledger.tokens,
        ledger.unpriced,
        ledger.missed,
        account.since,
        forecast(span_of(budget, now), ledger.nano, account, now),
        {} if budget.groups else burn(budget, account, now),
        ledger.keys,
        ledger.ranks,
        refused,
        silent,
    )


def forecast(span: Span, spent: int, account: Account, now: float) -> int:
    """What was spent, and the pace of the last hours, or of the period where that is younger, until its end."""
    window = max(LEAST, min(PACE, now - span.begins))
    recent = min(spent, account.burn.spent(window, now))
    return spent + int(recent / window * max(0.0, span.ends - now))


def burn(budget: Budget, account: Account, now: float) -> dict[str, float]:
    """By window: the share of the limit that was spent in it."""
    return {name: account.burn.spent(seconds, now) / budget.limit.nano for name, seconds in WINDOWS.items()}


def dollars(nano: int) -> str:
    """A decimal number, with two places at least: `41.20`, `0.000125`."""
    whole, part = divmod(nano, NANO)
    text = f"{part:09d}".rstrip("0")
    return f"{whole}.{text.ljust(2, '0')}"
