"""The retry schedule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.retry import (
    BUDGET_PER_SECOND,
    BUDGET_RESERVE,
    LONGEST_SERVER_DELAY,
    RetryBudget,
    RetrySchedule,
    server_delay,
)

chance = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0.01, 3600)


@given(seconds, seconds, st.integers(0, 10_000), chance)
def test_delay_stays_under_a_doubling_ceiling(initial: float, maximum: float, attempt: int, draw: float) -> None:
    delay = RetrySchedule(initial, maximum).delay(attempt, lambda: draw)
    assert 0 <= delay <= min(maximum, initial * 2.0 ** min(attempt, 1000))


def test_delay_uses_the_whole_range() -> None:
    schedule = RetrySchedule(1.0, 30.0)
    assert [schedule.delay(n, lambda: 0.0) for n in range(3)] == [0.0, 0.0, 0.0]
    assert [schedule.delay(n, lambda: 1.0) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]


@given(st.floats(0, LONGEST_SERVER_DELAY), chance)
def test_never_earlier_than_the_backend_asks(asked: float, draw: float) -> None:
    assert asked <= server_delay(asked, lambda: draw) <= 1.1 * asked + 1e-9


@given(st.floats(allow_nan=False), chance)
def test_nobody_silences_us_for_long(asked: float, draw: float) -> None:
    assert 0 <= server_delay(asked, lambda: draw) <= 1.1 * LONGEST_SERVER_DELAY


def test_budget_lets_retries_be_a_share_of_all_calls() -> None:
    budget, retries = RetryBudget(0.2, 0.0), 0
    for _ in range(4000):
        budget.earn()
        retries += budget.take(0.0)
    assert 1000 <= retries <= 1000 + BUDGET_RESERVE


def test_spent_budget_grows_by_time_alone() -> None:
    budget = RetryBudget(0.2, 100.0)
    while budget.take(100.0):
        pass
    assert 0 < budget.wait(100.0) <= 1 / BUDGET_PER_SECOND
    assert not budget.take(100.0)
    assert budget.take(100.0 + budget.wait(100.0))


def test_budget_of_all_calls_is_none() -> None:
    budget = RetryBudget(1.0, 0.0)
    assert all(budget.take(0.0) for _ in range(1000))
    assert budget.wait(0.0) == 0.0


@given(st.floats(0.01, 0.99), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_retries_never_exceed_what_calls_and_time_have_earned(share: float, calls: list[tuple[float, bool]]) -> None:
    budget, now, first, retries = RetryBudget(share, 0.0), 0.0, 0, 0
    for pause, retry in calls:
        now += pause
        if retry:
            retries += budget.take(now)
        else:
            budget.earn()
            first += 1
        assert retries <= BUDGET_RESERVE + first * share / (1 - share) + now * BUDGET_PER_SECOND + 1e-6
