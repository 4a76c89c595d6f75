"""Thresholds from probabilities, and the history of those that were in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.decide import thresholds
from tracekeeper_sidecar.decide.thresholds import ALL, History, probability_of, threshold_of


@pytest.mark.parametrize(
    ("probability", "threshold"),
    [
        (1.0, 0),
        (0.0, ALL),
        (0.5, ALL // 2),
        (0.25, ALL // 4 * 3),
        (1.5, 0),
        (-0.1, ALL),
        (float("inf"), 0),
        (2.0**-56, ALL - 1),
        (2.0**-58, ALL),
    ],
)
def test_exact_at_both_ends_and_at_powers_of_two(probability: float, threshold: int) -> None:
    assert threshold_of(probability) == threshold


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        threshold_of(float("nan"))


@given(st.floats(2.0**-40, 1.0))
def test_keeps_at_least_what_is_asked_and_hardly_more(probability: float) -> None:
    kept = probability_of(threshold_of(probability))
    assert probability * (1.0 - 2**-50) <= kept <= probability * (1.0 + 2.0**-15)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_higher_probability_has_no_higher_threshold(one: float, other: float) -> None:
    assert (threshold_of(max(one, other))) <= threshold_of(min(one, other))


@given(st.floats(0.001, 1.0))
def test_few_hexadecimal_digits(probability: float) -> None:
    assert len(f"{threshold_of(probability):014x}".rstrip("0")) <= 7


def test_history_says_what_held_when() -> None:
    history = History(100.0)
    assert history.at(5.0) is None
    history.note(10.0, 1)
    history.note(20.0, 2)
    history.note(30.0, 2)
    assert [history.at(time) for time in (9.9, 10.0, 19.9, 20.0, 1e9)] == [None, 1, 1, 2, 2]
    assert len(history) == 2, "what does not change takes no room"


def test_history_forgets_what_is_older_but_not_what_held_at_its_beginning() -> None:
    history = History(100.0)
    for time in range(0, 1000, 50):
        history.note(float(time), time)
    assert len(history) == 3
    assert history.at(850.0) == 850
    assert history.at(849.0) is None


def test_history_has_a_bound_and_bears_a_clock_that_goes_back() -> None:
    history = History(1e9)
    for number in range(thresholds.MOST_CHANGES + 10):
        history.note(float(number), number)
    assert len(history) == thresholds.MOST_CHANGES
    history.note(5.0, 7)
    assert history.at(thresholds.MOST_CHANGES + 9.0) == 7
