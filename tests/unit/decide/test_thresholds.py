"""Thresholds from probabilities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.decide.thresholds import ALL, probability_of, threshold_of


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
