"""Probabilities by hour and weekday."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from tracekeeper_spec.sampling import Day, Probabilistic, ScheduleEntry

_DAYS = tuple(Day)
"""In the order of datetime.weekday()."""


def probability_at(default: Probabilistic, unix_time: float) -> float:
    """The probability at `unix_time` (seconds): that of the first entry of the schedule that applies, else the general.

    Entries go by the clock on the wall of their time zone: in the night in which clocks are put back, an entry for an
    hour that comes twice applies twice.
    """
    for entry in default.schedule:
        if applies(entry, unix_time):
            return entry.probability
    return default.probability


def applies(entry: ScheduleEntry, unix_time: float) -> bool:
    """Whether `entry` is for the moment `unix_time` (seconds)."""
    local = datetime.fromtimestamp(unix_time, zone(entry.time_zone))
    minute, today = local.hour * 60 + local.minute, local.weekday()
    if entry.from_ < entry.to:
        return _DAYS[today] in entry.days and entry.from_ <= minute < entry.to
    # It goes on after midnight, and belongs to the day on which it began.
    began_today = _DAYS[today] in entry.days and minute >= entry.from_
    return began_today or (_DAYS[today - 1] in entry.days and minute < entry.to)


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone `name`; UTC where this machine does not know it, so that a sidecar goes on whatever it is told."""
    return find_zone(name) or UTC


def find_zone(name: str) -> tzinfo | None:
    """The time zone `name` of the IANA database, or None."""
    # Few configs have a schedule, and the module is not small.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        # ZoneInfoNotFoundError is a KeyError; names that are no path below the database are the others.
        return None
