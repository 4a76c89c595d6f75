"""A condition of an alert after the checker: every name known, every comparison possible, no `!` left."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.alert.expression import Matcher
from tracekeeper_spec.alert.metric import BudgetMember, Metric, Unit


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric's value."""

    at: int
    metric: Metric
    bound: float | None = None
    """Of `slow_rate(…)`: seconds."""
    baseline: float | None = None
    """Of `rise(…, 24h)`: seconds. The value is divided by what it was in so long before the window."""

    @property
    def unit(self) -> Unit:
        return Unit.NUMBER if self.baseline is not None else self.metric.unit


@dataclass(frozen=True, slots=True)
class BudgetValue:
    at: int
    budget: str
    """Its name."""
    member: BudgetMember
    window: str = ""
    """Of `burn`."""

    @property
    def unit(self) -> Unit:
        return self.member.unit


@dataclass(frozen=True, slots=True)
class Compare:
    """`left sign right`; a number is always on the right."""

    at: int
    left: Measure | BudgetValue
    sign: str
    right: float | BudgetValue


@dataclass(frozen=True, slots=True)
class Filter:
    """A comparison of a label, which stands for what it is joined to with `&&`."""

    at: int
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class All:
    """`&&`. The filters are those of everything in `parts`."""

    parts: tuple[Test, ...]
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """`||`"""

    parts: tuple[Test, ...]


Test = Compare | All | Any
