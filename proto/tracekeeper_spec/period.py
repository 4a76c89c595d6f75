"""Days, weeks and months by the calendar of a time zone. Times are Unix seconds.

A day is from midnight to midnight as clocks on the wall show it: 23 or 25 hours where clocks are put forward or back.
Where midnight itself is left out, the day begins with the first moment that there is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from tracekeeper_spec.schedule import zone


class Period(StrEnum):
    """For how long a budget lasts."""

    DAY = "Day"
    WEEK = "Week"
    """From Monday on, as in ISO 8601."""
    MONTH = "Month"


class Span(NamedTuple):
    """One period."""

    begins: float
    ends: float
    """When the next one begins."""


def span_at(period: Period, time_zone: str, at: float) -> Span:
    """The period in which the moment `at` lies. A time zone that this machine does not know is UTC."""
    where = zone(time_zone)
    first = _first(period, datetime.fromtimestamp(at, where).date())
    begins = _midnight(first, time_zone)
    if at < begins:  # In the hour before a midnight that comes twice.
        first = _first(period, first - timedelta(days=1))
        begins = _midnight(first, time_zone)
    return Span(begins, _midnight(_next(period, first), time_zone))


def _first(period: Period, day: date) -> date:
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTH else day


def _next(period: Period, first: date) -> date:
    if period is Period.MONTH:
        return (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if period is Period.WEEK else 1)


def _midnight(day: date, time_zone: str) -> float:
    """When that day begins: the first of two midnights, and where clocks pass over midnight, the moment at which they
    do (PEP 495 reads such a time by the offset before)."""
    return datetime.combine(day, time(), zone(time_zone)).astimezone(UTC).timestamp()
