"""What the calls of models may cost in a period: the section `budgets`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.period import Period as Period

NANO = 1_000_000_000
"""Amounts are counted in billionths of a dollar."""


class GroupBy(StrEnum):
    """What a budget's limit is for each value of."""

    NAMESPACE = "Namespace"
    AGENT = "Agent"
    MODEL = "Model"
    USER = "User"
    PROJECT = "Project"
    ENVIRONMENT = "Environment"


class Severity(StrEnum):
    """How bad it is that a threshold is reached; a label of alerts, so in lower case."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Decision(StrEnum):
    """What is answered to whoever asks whether one more call may be made."""

    ALLOW = "Allow"
    DENY = "Deny"


class Currency(StrEnum):
    """Prices are known in this one alone."""

    USD = "USD"


@dataclass(frozen=True, slots=True)
class Limit:
    amount: str
    """A decimal number above zero."""
    currency: Currency = Currency.USD

    @property
    def nano(self) -> int:
        """The amount in billionths."""
        whole, _, part = self.amount.partition(".")
        return int(whole) * NANO + int(part.ljust(9, "0") if part else 0)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Something is to be known, or done, from this share of the limit on."""

    percent: int
    severity: Severity = Severity.WARNING
    decision: Decision = Decision.ALLOW


THRESHOLDS = (
    Threshold(75, Severity.WARNING),
    Threshold(90, Severity.CRITICAL),
    Threshold(100, Severity.CRITICAL),
)
"""Of a budget that names none."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget."""

    name: str
    period: Period = Period.DAY
    time_zone: str = "Etc/UTC"
    limit: Limit = Limit("100")
    group_by: tuple[GroupBy, ...] = ()
    """The limit is for each group of their values by itself; without any, for all together."""
    thresholds: tuple[Threshold, ...] = THRESHOLDS
    """Of different shares, the lowest first."""
    unknown: Decision = Decision.ALLOW
    """The answer where nobody knows what was spent."""
    shared: bool = False
    """For a config that other namespaces inherit or are lent: one amount for all of them, and not one for each."""

    @property
    def groups(self) -> tuple[GroupBy, ...]:
        """What its keys are made of: the namespace is none of it, it has its own account."""
        return tuple(each for each in self.group_by if each is not GroupBy.NAMESPACE)


def make_budget(
    name: str,
    period: Period,
    time_zone: str,
    limit: Limit,
    group_by: tuple[GroupBy, ...] | None,
    thresholds: tuple[Threshold, ...] | None,
    unknown: Decision,
    shared: bool,
) -> Budget:
    """With what is worked out where it was not written."""
    ordered = tuple(sorted(thresholds or THRESHOLDS, key=lambda each: each.percent))
    return Budget(name, period, time_zone, limit, group_by or (), ordered, unknown, shared)
