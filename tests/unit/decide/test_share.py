"""Dividing the target among sidecars, and a sidecar's own part while nobody divides."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.decide.share import GRACE, HALF_LIFE, Share
from tracekeeper_spec.sampling_share import LEAST, divide

REPORTS = st.dictionaries(st.text(max_size=4), st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20)


def test_parts_are_in_proportion_to_the_rates() -> None:
    parts = divide(1000.0, {"a": 3000.0, "b": 1000.0, "new": 0.0, "idle": 0.0})
    assert parts["a"] - parts["idle"] == pytest.approx(3.0 * (parts["b"] - parts["idle"]))
    assert parts["new"] == parts["idle"] == pytest.approx(LEAST * 250.0)


def test_parts_are_equal_when_nobody_has_anything() -> None:
    assert divide(1000.0, {"a": 0.0, "b": 0.0}) == {"a": 500.0, "b": 500.0}
    assert divide(1000.0, {}) == {}


@given(st.floats(0.0, 1e9), REPORTS)
def test_parts_add_up_whatever_is_reported(target: float, reports: dict[str, float]) -> None:
    parts = divide(target, reports)
    assert parts.keys() == reports.keys()
    assert sum(parts.values()) == pytest.approx(target)
    assert all(part >= LEAST * target / len(reports) * (1.0 - 1e-9) for part in parts.values())


@pytest.mark.parametrize("rate", [nan, inf, -inf, -1.0])
def test_a_report_that_is_no_rate_gets_the_least(rate: float) -> None:
    parts = divide(1000.0, {"sound": 10.0, "other": rate})
    assert parts["other"] == pytest.approx(LEAST * 500.0)


def test_the_same_probability_for_all_that_are_busy() -> None:
    rates = {f"pod-{number}": 100.0 * (number + 1) for number in range(50)}
    parts = divide(1000.0, rates)
    probabilities = [(parts[name] - LEAST * 20.0) / rate for name, rate in rates.items()]
    assert min(probabilities) == pytest.approx(max(probabilities))


def test_before_any_answer_the_part_is_an_equal_one() -> None:
    assert Share(1000.0).at(1e6) == 1000.0
    assert Share(1000.0, sidecars=4).at(0.0) == 250.0
    assert Share(1000.0, sidecars=0).at(0.0) == 1000.0


def test_without_further_answers_the_part_becomes_an_equal_one() -> None:
    share = Share(1000.0)
    assert share.grant(10.0, 800.0, sidecars=10)
    assert share.at(10.0) == share.at(10.0 + GRACE) == 800.0
    assert share.at(10.0 + GRACE + HALF_LIFE) == pytest.approx(450.0)
    assert share.at(10.0 + GRACE + 40 * HALF_LIFE) == pytest.approx(100.0)
    assert share.grant(1e6, 20.0, sidecars=10)
    assert share.at(1e6 + GRACE + HALF_LIFE) == pytest.approx(60.0)


def test_parts_add_up_to_the_target_all_the_time_that_nobody_divides() -> None:
    shares = [Share(1000.0) for _ in range(4)]
    for share, part in zip(shares, divide(1000.0, {"a": 5.0, "b": 900.0, "c": 1.0, "d": 0.0}).values(), strict=True):
        share.grant(0.0, part, sidecars=4)
    for now in range(0, 1000, 7):
        assert sum(share.at(float(now)) for share in shares) == pytest.approx(1000.0)


@pytest.mark.parametrize(("part", "sidecars"), [(nan, 3), (inf, 3), (-1.0, 3), (5.0, 0)])
def test_an_answer_that_is_none_changes_nothing(part: float, sidecars: int) -> None:
    share = Share(1000.0)
    share.grant(0.0, 300.0, sidecars=2)
    assert not share.grant(1.0, part, sidecars)
    assert share.granted_at == 0.0
    assert share.at(1.0) == 300.0


def test_no_part_is_larger_than_the_target() -> None:
    share = Share(1000.0)
    share.grant(0.0, 5000.0, sidecars=2)
    assert share.at(0.0) == 1000.0


def test_another_target_changes_the_part_with_it() -> None:
    share = Share(1000.0)
    share.grant(0.0, 300.0, sidecars=2)
    share.retarget(100.0)
    assert share.at(0.0) == pytest.approx(30.0)
    assert share.fair == 50.0
    share.retarget(0.0)
    share.retarget(80.0)
    assert share.at(0.0) == 40.0
