"""Waits between tries: they grow, spread out, and end at a ceiling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_operator.backoff import Backoff


@given(st.integers(1, 60), st.floats(0, 1))
def test_waits_stay_within_bounds(failures: int, luck: float) -> None:
    backoff = Backoff(first=0.5, most=30.0, uniform=lambda low, high: low + (high - low) * luck)
    waits = [backoff.next() for _ in range(failures)]
    assert waits == sorted(waits)
    assert all(0.05 <= wait <= 30.0 for wait in waits)
    backoff.reset()
    assert backoff.next() == waits[0]


def test_the_servers_wish_is_honoured_up_to_the_ceiling() -> None:
    assert Backoff(uniform=min).next(7.0) == 7.0
    assert Backoff(uniform=min, most=30.0).next(3600.0) == 30.0
    assert Backoff(uniform=max, first=8.0).next(1.0) == 8.0


def test_waits_are_spread_out() -> None:
    assert len({Backoff().next() for _ in range(20)}) > 10
