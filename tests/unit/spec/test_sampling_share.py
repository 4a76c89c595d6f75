"""Dividing the target of adaptive sampling among sidecars, by what each has of which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_division import divide, sound_rate
from tracekeeper_spec.sampling import Adaptive as Limits
from tracekeeper_spec.sampling_share import LEAST, fill

LIMITS = Limits(target_traces_per_second=1000.0, min_probability=0.0)
SPARE = 1.0 - LEAST
RATES = st.floats(allow_nan=True, allow_infinity=True)
REPORTS = st.dictionaries(
    st.text(max_size=4), st.dictionaries(st.sampled_from("abcde"), RATES, max_size=5), min_size=1, max_size=20
)


def one_key(rates: Mapping[str, float]) -> dict[str, dict[str, float]]:
    return {name: {"key": rate} for name, rate in rates.items()}


def test_parts_are_in_proportion_to_the_rates_of_one_key() -> None:
    division = divide(LIMITS, one_key({"a": 3000.0, "b": 1000.0, "new": 0.0}) | {"idle": {}})
    parts = division.parts
    assert parts["a"] - parts["idle"] == pytest.approx(3.0 * (parts["b"] - parts["idle"]))
    assert parts["new"] == parts["idle"] == pytest.approx(LEAST * 250.0)
    assert division.floor == pytest.approx(SPARE * 1000.0 / 4000.0)


def test_parts_are_equal_when_nobody_has_anything() -> None:
    division = divide(LIMITS, one_key({"a": 0.0, "b": 0.0}))
    assert division.parts == {"a": 500.0, "b": 500.0}
    assert division.floor == LIMITS.min_probability
    assert divide(LIMITS, {}).parts == {}


def test_quiet_keys_are_whole_wherever_they_are_and_loud_ones_share_the_rest() -> None:
    division = divide(LIMITS, {"a": {"loud": 9000.0, "quiet": 30.0}, "b": {"loud": 1000.0, "other": 20.0}})
    level = SPARE * 1000.0 - 50.0
    least = LEAST * 500.0
    assert division.parts["a"] == pytest.approx(least + 30.0 + 0.9 * level)
    assert division.parts["b"] == pytest.approx(least + 20.0 + 0.1 * level)
    assert division.floor == pytest.approx(level / 10_000.0)


def test_a_key_is_as_loud_as_all_sidecars_have_it_together() -> None:
    """Each of a hundred sidecars alone would keep both keys whole."""
    division = divide(LIMITS, {f"pod-{each}": {"common": 100.0, f"own-{each}": 1.0} for each in range(100)})
    assert division.floor == pytest.approx((SPARE * 1000.0 - 100.0) / 10_000.0)
    assert list(division.parts.values()) == pytest.approx([10.0] * 100)


def test_the_bounds_of_the_config_come_before_the_target() -> None:
    division = divide(replace(LIMITS, min_probability=0.2), one_key({"a": 90_000.0, "b": 10_000.0}))
    assert division.floor == 0.2
    assert sum(division.parts.values()) == pytest.approx(1000.0)
    assert divide(replace(LIMITS, max_probability=0.5), one_key({"a": 10.0})).floor == 0.5


@given(st.floats(0.0, 1e9), REPORTS)
def test_parts_add_up_whatever_is_reported(target: float, reports: dict[str, dict[str, float]]) -> None:
    division = divide(replace(LIMITS, target_traces_per_second=target), reports)
    assert division.parts.keys() == reports.keys()
    assert sum(division.parts.values()) == pytest.approx(target)
    assert all(part >= LEAST * target / len(reports) * (1.0 - 1e-9) for part in division.parts.values())
    assert 0.0 <= division.floor <= 1.0


@given(REPORTS)
def test_every_part_is_enough_for_the_floor(reports: dict[str, dict[str, float]]) -> None:
    division = divide(LIMITS, reports)
    for name, keys in reports.items():
        asked = sum(sound_rate(rate) for rate in keys.values())
        assert division.parts[name] >= division.floor * asked * (1.0 - 1e-9)


@pytest.mark.parametrize("rate", [nan, inf, -inf, -1.0])
def test_a_report_that_is_no_rate_gets_the_least(rate: float) -> None:
    assert divide(LIMITS, one_key({"sound": 10.0, "other": rate})).parts["other"] == pytest.approx(LEAST * 500.0)


def test_the_same_probability_for_all_that_are_busy() -> None:
    rates = {f"pod-{number}": 100.0 * (number + 1) for number in range(50)}
    parts = divide(LIMITS, one_key(rates)).parts
    probabilities = [(parts[name] - LEAST * 20.0) / rate for name, rate in rates.items()]
    assert min(probabilities) == pytest.approx(max(probabilities))


def test_without_keys_nothing_is_kept_and_nothing_needs_a_floor() -> None:
    filled = fill(LIMITS, {"gone": 0.0})
    assert (filled.kept, filled.shares, filled.floor) == (0.0, {}, 0.0)
