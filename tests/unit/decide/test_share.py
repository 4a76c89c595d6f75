"""A sidecar's own part of the target, also while nobody divides."""

from __future__ import annotations

from math import inf, nan

import pytest

from tracekeeper_sidecar.decide.share import GRACE, HALF_LIFE, SETTLE, Share


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
    for share, part in zip(shares, (20.0, 950.0, 15.0, 15.0), strict=True):
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


def test_the_floor_is_the_lowest_of_the_config_until_there_is_an_answer() -> None:
    share = Share(1000.0)
    assert share.floor_at(5.0, 0.01) == share.common_floor_at(5.0, 0.01) == 0.01
    assert share.grant(10.0, 500.0, 2, 0.2)
    assert share.floor_at(10.0, 0.01) == share.common_floor_at(10.0, 0.01) == 0.2
    assert share.floor_at(10.0, 0.3) == 0.3


def test_a_higher_floor_is_common_only_when_all_have_heard_of_it() -> None:
    share = Share(1000.0)
    share.grant(0.0, 500.0, 2, 0.1)
    share.grant(20.0, 500.0, 2, 0.3)
    assert share.floor_at(20.0, 0.01) == 0.3
    assert share.common_floor_at(20.0, 0.01) == share.common_floor_at(20.0 + SETTLE - 0.1, 0.01) == 0.1
    assert share.common_floor_at(20.0 + SETTLE, 0.01) == 0.3
    share.grant(40.0, 500.0, 2, 0.05)
    assert share.common_floor_at(40.0, 0.01) == 0.05, "a lower one counts at once"


def test_the_floor_fades_with_the_share() -> None:
    share = Share(1000.0)
    share.grant(0.0, 900.0, 2, 0.21)
    assert share.floor_at(GRACE, 0.01) == 0.21
    assert share.floor_at(GRACE + HALF_LIFE, 0.01) == pytest.approx(0.11)
    assert share.floor_at(1e6, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("floor", [nan, inf, -0.1, 1.5])
def test_a_floor_that_is_no_probability_is_no_answer(floor: float) -> None:
    share = Share(1000.0)
    assert not share.grant(1.0, 500.0, 2, floor)
    assert share.at(1.0) == 1000.0
