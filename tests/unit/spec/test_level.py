"""Dividing a budget like water."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.level import level

DEMANDS = st.lists(
    st.tuples(st.floats(0.0, 1e6), st.floats(0.0, 1e6)).map(lambda pair: (min(pair), max(pair))), max_size=30
)


def filled(demands: list[tuple[float, float]], at: float) -> float:
    return sum(min(high, max(low, at)) for low, high in demands)


def test_small_demands_are_met_whole_and_large_ones_share_the_rest() -> None:
    assert level([(0.0, 1.0), (0.0, 10.0), (0.0, 500.0), (0.0, 90.0)], 111.0) == 50.0


def test_lower_bounds_come_first() -> None:
    assert level([(60.0, 100.0), (0.0, 100.0), (0.0, 100.0)], 100.0) == 20.0
    assert level([(60.0, 100.0), (50.0, 100.0)], 100.0) == 0.0


def test_enough_for_all_is_no_limit() -> None:
    assert level([(0.0, 3.0), (1.0, 2.0)], 5.0) == float("inf")
    assert level([], 0.0) == float("inf")


@given(DEMANDS, st.floats(0.0, 1e7))
def test_all_of_the_budget_is_given_out(demands: list[tuple[float, float]], budget: float) -> None:
    at = level(demands, budget)
    whole, least = sum(high for _, high in demands), sum(low for low, _ in demands)
    if at == float("inf"):
        assert whole <= budget
    elif at == 0.0 and least >= budget:
        assert filled(demands, at) == pytest.approx(least)
    else:
        assert filled(demands, at) == pytest.approx(budget, rel=1e-9, abs=1e-6)
