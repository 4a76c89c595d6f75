"""The retry schedule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.retry import LONGEST_SERVER_DELAY, RetrySchedule, server_delay

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
