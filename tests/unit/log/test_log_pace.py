"""When a commit waits for company, and when it no longer does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.log.pace import INTERVAL, LONGEST_REFRAIN, Pace


def test_what_comes_after_a_quiet_time_is_committed_at_once() -> None:
    pace = Pace()
    assert pace.patience(100.0) == 0
    pace.begin(100.0)
    assert pace.patience(100.0 + INTERVAL) == 0


def test_while_requests_keep_coming_commits_begin_an_interval_apart() -> None:
    pace = Pace()
    pace.begin(100.0)
    for _ in range(10):
        assert abs(pace.patience(100.0 + INTERVAL / 4) - INTERVAL * 3 / 4) < 1e-9
        pace.waited(gained=1)


def test_a_sender_who_waits_for_each_answer_is_soon_held_up_only_now_and_then() -> None:
    pace = Pace()
    waits = 0
    for number in range(1000):
        now = 100.0 + number * INTERVAL / 10
        if pace.patience(now):
            waits += 1
            pace.waited(gained=0)
        pace.begin(now)
    assert 1 <= waits <= 8 + 1000 // LONGEST_REFRAIN


def test_company_makes_it_wait_again() -> None:
    pace = Pace()
    pace.begin(100.0)
    for _ in range(20):
        if pace.patience(100.0):
            pace.waited(gained=0)
    while not pace.patience(100.0):
        pass
    pace.waited(gained=3)
    assert pace.patience(100.0) > 0


@given(st.lists(st.tuples(st.floats(0, 0.02), st.integers(0, 3)), max_size=60))
def test_nobody_waits_longer_than_the_interval(steps: list[tuple[float, int]]) -> None:
    pace, now = Pace(), 0.0
    for passed, gained in steps:
        now += passed
        patience = pace.patience(now)
        assert 0 <= patience <= INTERVAL + 1e-9
        if patience:
            pace.waited(gained)
        pace.begin(now)
