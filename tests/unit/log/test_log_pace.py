"""When a commit waits for company, for how long, and when it no longer does."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.log.pace import LONGEST, LONGEST_REFRAIN, SHORTEST, Pace

SYNC = 0.002
"""Seconds that a commit takes."""


def test_what_comes_after_a_quiet_time_is_committed_at_once() -> None:
    pace = Pace()
    assert pace.patience(100.0) == 0
    pace.begin(100.0)
    assert pace.patience(100.0 + LONGEST) == 0


def test_while_requests_keep_coming_commits_begin_an_interval_apart() -> None:
    pace = Pace()
    pace.begin(100.0)
    for _ in range(10):
        assert abs(pace.patience(100.0 + LONGEST / 4) - LONGEST * 3 / 4) < 1e-9
        pace.waited(1, LONGEST * 3 / 4, 0.0)


def test_a_sender_who_waits_for_each_answer_is_soon_held_up_only_now_and_then() -> None:
    pace = Pace()
    waits = 0
    for number in range(1000):
        now = 100.0 + number * LONGEST / 10
        if patience := pace.patience(now):
            waits += 1
            pace.waited(0, patience, patience)
        pace.begin(now)
    assert 1 <= waits <= 8 + 1000 // LONGEST_REFRAIN


def test_company_makes_it_wait_again() -> None:
    pace = Pace()
    pace.begin(100.0)
    for _ in range(20):
        if patience := pace.patience(100.0):
            pace.waited(0, patience, patience)
    while not pace.patience(100.0):
        pass
    pace.waited(3, 0.01, 0.0)
    assert pace.patience(100.0) > 0


def test_senders_who_are_answered_together_and_come_back_at_once_do_not_wait_for_nobody() -> None:
    waits = waits_of(200, together)[50:]
    assert max(waits) < 0.0075 and sum(waits) / len(waits) < 0.006


def test_those_who_come_at_even_times_share_the_longest_wait() -> None:
    assert min(waits_of(200, evenly)[50:]) >= LONGEST - SYNC - 2 / 600


def test_when_the_way_they_come_changes_it_learns_again() -> None:
    pace = Pace()
    for _ in range(30):
        pace.waited(5, 0.008, 0.007)
    pace.begin(100.0)
    assert abs(pace.patience(100.0) - SHORTEST) < 1e-9
    for _ in range(30):
        pace.waited(5, 0.004, 0.001)
    assert abs(pace.patience(100.0) - LONGEST) < 1e-9


@given(st.lists(st.tuples(st.floats(0, 0.02), st.integers(0, 3), st.floats(0, 1)), max_size=60))
def test_nobody_waits_longer_than_the_longest_interval(steps: list[tuple[float, int, float]]) -> None:
    pace, now = Pace(), 0.0
    for passed, gained, quiet in steps:
        now += passed
        patience = pace.patience(now)
        assert 0 <= patience <= LONGEST + 1e-9
        if patience:
            pace.waited(gained, patience, quiet * patience)
        pace.begin(now)


Coming = Callable[[float, float], float]
"""When the next request comes after the first time, if the last answers were given at the second."""


def together(after: float, answered: float) -> float:
    """32 senders who wait for their answers, and come back within 3.2 ms of them."""
    turn = int((after - answered) / 0.0001 + 1.5)
    return answered + turn * 0.0001 if turn <= 32 else math.inf


def evenly(after: float, answered: float) -> float:
    """600 a second, whatever is answered."""
    return (int(after * 600 + 1e-6) + 1) / 600


def waits_of(commits: int, come: Coming) -> list[float]:
    """The wait before each commit."""
    pace, answered, waits = Pace(), 1.0, []
    for _ in range(commits):
        last = come(answered, answered)
        now, gained = last, 0
        patience = pace.patience(now)
        while (following := come(last, answered)) <= now + patience:
            last, gained = following, gained + 1
        if patience:
            pace.waited(gained, patience, now + patience - last)
        pace.begin(now + patience)
        waits.append(patience)
        answered = now + patience + SYNC
    return waits
