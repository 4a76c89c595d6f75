"""Section `sampling` of a TracingConfig as types; see `config` for how sections are read.

Sampling
  decision_wait: seconds              max_spans_per_trace: int
  rules: tuple[SamplingRule, …]       name, match: a condition about a trace, probability
  default: SamplingDefault            for traces that no rule matches
    type: DefaultType                 PROBABILISTIC or ADAPTIVE
    probabilistic: Probabilistic      probability, schedule: tuple[ScheduleEntry, …]
    adaptive: Adaptive                target_traces_per_second, per, bounds, group_by
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

EVERY_DAY_ENDS = 24 * 60
"""Minutes of a day: the latest `to` of a ScheduleEntry."""


class DefaultType(StrEnum):
    PROBABILISTIC = "Probabilistic"
    ADAPTIVE = "Adaptive"


class Per(StrEnum):
    """Whose traces share a target."""

    NAMESPACE = "Namespace"
    CONFIG = "Config"


class Day(StrEnum):
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """Traces for which `match` holds are kept with `probability`, unless an earlier rule matches them."""

    name: str
    match: str
    """Condition about a whole trace; see `condition.compile_trace`."""
    probability: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """A probability for some hours of some days; see `schedule.probability_at`."""

    days: tuple[Day, ...] = tuple(Day)
    """On which it begins."""
    from_: int = 0
    """Minutes after midnight."""
    to: int = EVERY_DAY_ENDS
    """Minutes after midnight, excluded; not after `from_`: on the next day."""
    time_zone: str = "Etc/UTC"
    """Of the IANA database."""
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Probabilistic:
    probability: float = 1.0
    """From 0 to 1, when no entry of `schedule` applies."""
    schedule: tuple[ScheduleEntry, ...] = ()
    """The first that applies counts."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Probabilities that follow the traffic, for each key."""

    target_traces_per_second: float = 1000.0
    per: Per = Per.NAMESPACE
    min_probability: float = 0.01
    max_probability: float = 1.0
    group_by: tuple[str, ...] = ("service.name",)
    """What a key is made of: attributes of the span or of its resource by name, and `operation`, the span's name."""


@dataclass(frozen=True, slots=True)
class SamplingDefault:
    """The member named after `type` counts; the other one has its defaults."""

    type: DefaultType = DefaultType.PROBABILISTIC
    probabilistic: Probabilistic = field(default_factory=Probabilistic)
    adaptive: Adaptive = field(default_factory=Adaptive)


@dataclass(frozen=True, slots=True)
class Sampling:
    decision_wait: float = 30.0
    """Seconds after a trace's first span at which it is decided at the latest."""
    rules: tuple[SamplingRule, ...] = ()
    """The first that matches counts."""
    default: SamplingDefault = field(default_factory=SamplingDefault)
    max_spans_per_trace: int = 100_000
    """A trace that has so many is decided at once, and kept."""
