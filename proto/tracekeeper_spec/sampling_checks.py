"""What must hold between the fields of `sampling`, and the values that are worked out; see `checks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekeeper_spec.sampling import (
    Adaptive,
    Day,
    DefaultType,
    Probabilistic,
    Sampling,
    SamplingDefault,
    SamplingRule,
    ScheduleEntry,
)
from tracekeeper_spec.schema import Finding, Values
from tracekeeper_spec.units import show


def make_schedule_entry(
    days: tuple[Day, ...] | None, from_: str, to: str, time_zone: str, probability: float
) -> ScheduleEntry:
    return ScheduleEntry(tuple(Day) if days is None else days, _minutes(from_), _minutes(to), time_zone, probability)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def make_probabilistic(probability: float, schedule: tuple[ScheduleEntry, ...] | None) -> Probabilistic:
    return Probabilistic(probability, schedule or ())


def make_default(type: DefaultType, probabilistic: Probabilistic | None, adaptive: Adaptive | None) -> SamplingDefault:
    return SamplingDefault(type, probabilistic or Probabilistic(), adaptive or Adaptive())


def make_sampling(
    decision_wait: float,
    rules: tuple[SamplingRule, ...] | None,
    default: SamplingDefault | None,
    max_spans_per_trace: int,
) -> Sampling:
    return Sampling(decision_wait, rules or (), default or SamplingDefault(), max_spans_per_trace)


def days_differ(values: Values) -> Iterator[Finding]:
    yield from _twins(values.get("days") or (), "days")


def groups_differ(values: Values) -> Iterator[Finding]:
    yield from _twins(values.get("group_by") or (), "groupBy")


def _twins(names: Sequence[str], field: str) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"{field}[{index}]", f"{show(str(name))} is in this list already", "remove it"


def probabilities_in_order(values: Values) -> Iterator[Finding]:
    low, high = values.get("min_probability"), values.get("max_probability")
    if low is not None and high is not None and low > high:
        yield (
            "minProbability",
            f"{low:.15g} is more than maxProbability, which is {high:.15g}",
            f"write {high:.15g} or less",
        )


def member_suits_type(values: Values) -> Iterator[Finding]:
    kind = values.get("type")
    for other, member in ((DefaultType.PROBABILISTIC, "probabilistic"), (DefaultType.ADAPTIVE, "adaptive")):
        if kind is not None and kind is not other and values.get(member) is not None:
            yield member, f"does not go with type: {kind}", f"remove it, or write type: {other}"


RESERVED = ("default", "overload", "max-spans", "unknown")
"""What metrics and the ledger call what is no rule of a config."""


def name_is_free(values: Values) -> Iterator[Finding]:
    name = values.get("name")
    if name in RESERVED:
        yield "name", f"{show(str(name))} stands for something else in metrics and in the ledger", "choose another name"


def tests_fit(values: Values) -> Iterator[Finding]:
    """The rules are looked at together: a trace's summary has a bit for each of their tests."""
    # The language takes 2 MB and as many hundredths of a second to import; rules have had it imported already.
    if not values.get("rules"):
        return
    from tracekeeper_spec.condition import TooManyTests, combine, compile_trace  # noqa: PLC0415

    try:
        combine([compile_trace(rule.match) for rule in values["rules"]])
    except TooManyTests as error:
        yield "rules", f"together, the conditions {error}", "use fewer or simpler conditions"
