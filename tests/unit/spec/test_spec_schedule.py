"""Probabilities by hour and weekday, at known moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.sampling import Day, Probabilistic, ScheduleEntry
from tracekeeper_spec.schedule import applies, find_zone, probability_at, zone

WEEK = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY)
OFFICE = ScheduleEntry(WEEK, 8 * 60, 18 * 60, "Europe/Berlin", 0.1)
NIGHTS = ScheduleEntry((Day.FRIDAY,), 22 * 60, 6 * 60, "America/New_York", 0.5)


def unix(text: str, name: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone(name)).timestamp()


@pytest.mark.parametrize(
    ("local", "there"),
    [
        ("2026-11-20T07:59:59", False),
        ("2026-11-20T08:00:00", True),
        ("2026-11-20T17:59:59", True),
        ("2026-11-20T18:00:00", False),
        ("2026-11-21T12:00:00", False),
        ("2026-07-20T08:00:00", True),
        ("2026-07-20T07:59:59", False),
    ],
)
def test_hours_are_those_of_the_time_zone_in_summer_and_in_winter(local: str, there: bool) -> None:
    assert applies(OFFICE, unix(local, "Europe/Berlin")) is there


@pytest.mark.parametrize(
    ("local", "there"),
    [
        ("2026-11-20T21:59:59", False),
        ("2026-11-20T22:00:00", True),
        ("2026-11-21T05:59:59", True),
        ("2026-11-21T06:00:00", False),
        ("2026-11-20T03:00:00", False),
        ("2026-11-21T23:00:00", False),
    ],
)
def test_hours_that_go_past_midnight_belong_to_the_day_on_which_they_begin(local: str, there: bool) -> None:
    assert applies(NIGHTS, unix(local, "America/New_York")) is there


def test_the_first_entry_that_applies_counts_and_else_the_general_probability() -> None:
    always = ScheduleEntry(probability=0.2)
    noon = unix("2026-11-20T12:00:00", "Europe/Berlin")
    assert probability_at(Probabilistic(0.7), noon) == 0.7
    assert probability_at(Probabilistic(0.7, (NIGHTS,)), noon) == 0.7
    assert probability_at(Probabilistic(0.7, (NIGHTS, OFFICE, always)), noon) == 0.1
    assert probability_at(Probabilistic(0.7, (always, OFFICE)), noon) == 0.2


def test_an_hour_that_comes_twice_counts_twice_and_one_that_is_left_out_not_at_all() -> None:
    two = ScheduleEntry((Day.SUNDAY,), 2 * 60, 3 * 60, "Europe/Berlin")
    back, forth = datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)
    minutes = [sum(applies(two, (day + timedelta(minutes=m)).timestamp()) for m in range(240)) for day in (back, forth)]
    assert minutes == [120, 0]


@given(st.floats(0, 4e9), st.integers(0, 1439), st.integers(0, 1440), st.sampled_from(["Etc/UTC", "Asia/Kathmandu"]))
def test_an_entry_and_its_complement_cover_each_moment_once(when: float, begin: int, end: int, name: str) -> None:
    if end == 1440 or begin == end:
        return
    these = ScheduleEntry(tuple(Day), begin, end, name), ScheduleEntry(tuple(Day), end, begin, name)
    assert sum(applies(entry, when) for entry in these) == 1


@pytest.mark.parametrize("name", ["", "Nowhere", "Europe", "../etc/passwd", "a" * 5000, "\0"])
def test_a_time_zone_that_is_not_known_here_is_taken_for_utc(name: str) -> None:
    assert find_zone(name) is None and zone(name) is UTC
