"""Adaptive sampling, one property at a time; without chance: what is expected to be kept is computed."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.decide.adaptive import SHARED, Adaptive
from tracekeeper_sidecar.decide.key_rate import FLOOR, FORGET, SURE
from tracekeeper_sidecar.decide.thresholds import ALL, probability_of, threshold_of
from tracekeeper_spec.sampling import Adaptive as Limits

LIMITS = Limits(target_traces_per_second=100.0, min_probability=0.0001)


def pass_seconds(adaptive: Adaptive, begin: int, seconds: int, loads: dict[int, int], batch: int = 10) -> list[float]:
    """Traces expected to be kept in each second, in which `loads` come in batches of at most so many."""
    kept = []
    for second in range(begin, begin + seconds):
        sum_kept = 0.0
        for key, traces in loads.items():
            for first in range(0, traces, batch):
                number = min(batch, traces - first)
                adaptive.count(key, number)
                sum_kept += number * probability_of(adaptive.threshold(key))
        adaptive.adjust(second + 1.0, LIMITS.target_traces_per_second)
        kept.append(sum_kept)
    return kept


def probability(adaptive: Adaptive, key: int) -> float:
    return probability_of(adaptive.threshold(key))


def settled(loads: dict[int, int], limits: Limits = LIMITS) -> Adaptive:
    adaptive = Adaptive(limits, 0.0)
    pass_seconds(adaptive, 0, 30, loads)
    return adaptive


def test_all_is_kept_while_it_is_below_the_target() -> None:
    adaptive = Adaptive(LIMITS, 0.0)
    assert adaptive.threshold(7) == 0
    assert pass_seconds(adaptive, 0, 20, {1: 60, 2: 30}) == [90.0] * 20
    assert adaptive.version == 0


def test_a_steady_load_meets_the_target_and_its_threshold_rests() -> None:
    adaptive = settled({1: 1000})
    assert probability(adaptive, 1) == pytest.approx(0.1, rel=0.05)
    version = adaptive.version
    assert sum(pass_seconds(adaptive, 30, 100, {1: 1000})) == pytest.approx(10_000, rel=0.05)
    assert adaptive.version <= version + 10


def test_loud_keys_get_alike_and_quiet_ones_all() -> None:
    adaptive = settled({1: 1000, 2: 400, 3: 15})
    assert probability(adaptive, 3) == 1.0
    assert 1000 * probability(adaptive, 1) == pytest.approx(400 * probability(adaptive, 2), rel=0.1)
    assert adaptive.lowest == pytest.approx(probability(adaptive, 1), rel=1e-3)
    assert adaptive.rate == pytest.approx(1415)
    assert adaptive.rates() == {1: pytest.approx(1000), 2: pytest.approx(400), 3: pytest.approx(15)}
    assert adaptive.probabilities()[3] == 1.0


@pytest.mark.parametrize("batch", [1, 10, 100_000])
@pytest.mark.parametrize("times", [10, 100])
def test_a_burst_is_met_within_its_first_second(batch: int, times: int) -> None:
    adaptive = settled({1: 1000})
    [kept] = pass_seconds(adaptive, 30, 1, {1: 1000 * times}, batch)
    assert kept <= 100 * 3.2, "as many as the target, and a quarter more with each doubling"
    after = pass_seconds(adaptive, 31, 10, {1: 1000 * times})
    assert kept + sum(after) == pytest.approx(1100, rel=0.1), "what was kept too much is made up for"


def test_what_a_burst_leaves_behind_is_over_within_seconds() -> None:
    adaptive = settled({1: 20_000})
    after = pass_seconds(adaptive, 30, 10, {1: 500})
    assert after[0] < 10
    assert sum(after) == pytest.approx(1000, rel=0.1)


def test_a_load_that_was_not_there_is_not_made_up_for() -> None:
    adaptive = settled({1: 10})
    assert max(pass_seconds(adaptive, 30, 10, {1: 5000})) <= 300


@pytest.mark.parametrize("intervals", [(0.05,), (0.25,), (1.0,), (4.0,), (0.8, 1.3), (0.1, 0.4, 0.2)])
def test_any_interval_between_adjustments_holds_the_target(intervals: tuple[float, ...]) -> None:
    adaptive = Adaptive(LIMITS, 0.0)
    now = kept = 0.0
    for step in range(200):
        elapsed = intervals[step % len(intervals)]
        for _ in range(round(1000 * elapsed / 10)):
            adaptive.count(1, 10)
            kept += 10 * probability(adaptive, 1)
        now += elapsed
        adaptive.adjust(now, 100.0)
    assert kept == pytest.approx(100 * now, rel=0.1)


def test_a_rare_key_gets_its_first_trace_of_each_minute_through_and_only_that() -> None:
    adaptive = Adaptive(replace(LIMITS, min_probability=0.0), 0.0, share=0.0)
    adaptive.count(1, 1)
    assert probability(adaptive, 1) == 1.0
    adaptive.count(1, 1)
    assert probability(adaptive, 1) < 0.5
    for second in range(1, int(FLOOR)):
        adaptive.adjust(float(second), 0.0)
    adaptive.count(1, 1)
    assert probability(adaptive, 1) < 0.5, "the minute is not over"
    adaptive.adjust(FLOOR + 1.0, 0.0)
    assert probability(adaptive, 1) < 0.5, "only for traces that are counted"
    adaptive.count(1, 1)
    assert probability(adaptive, 1) == 1.0
    adaptive.adjust(FLOOR + 2.0, 0.0)
    assert probability(adaptive, 1) < 0.5


def test_of_many_traces_at_once_only_as_many_are_let_through_as_make_one_certain() -> None:
    adaptive = Adaptive(replace(LIMITS, min_probability=0.0), 0.0, share=0.0)
    adaptive.count(1, 1000)
    assert 1000 * probability(adaptive, 1) == pytest.approx(SURE, rel=0.01)


def test_a_key_that_is_kept_often_enough_anyway_is_not_let_through() -> None:
    adaptive = settled({1: 1000})
    for second in range(30, 200):
        for _ in range(1000):
            adaptive.count(1, 1)
            assert probability(adaptive, 1) < 0.2
        adaptive.adjust(second + 1.0, 100.0)


def test_bounds_of_the_probability_hold() -> None:
    adaptive = settled({1: 1000, 2: 1}, replace(LIMITS, min_probability=0.25, max_probability=0.5))
    assert probability(adaptive, 1) == 0.25
    assert probability(adaptive, 2) == 0.5, "the loud key takes more than all, but not the quiet one's part"
    assert adaptive.floor == threshold_of(0.25)
    adaptive.configure(replace(LIMITS, min_probability=0.3, max_probability=0.4))
    assert probability(adaptive, 1) == pytest.approx(0.3, rel=1e-4)
    assert probability(adaptive, 2) == pytest.approx(0.4, rel=1e-4)


def test_it_is_told_when_the_target_asks_for_less_than_the_minimum_keeps() -> None:
    assert not settled({1: 1000, 2: 1}).pinned
    adaptive = settled({1: 1000, 2: 1}, replace(LIMITS, min_probability=0.25))
    assert adaptive.pinned
    adaptive.configure(replace(LIMITS, min_probability=0.05))
    assert not bool(adaptive.pinned)
    assert not settled({1: 1000}, replace(LIMITS, min_probability=1.0)).pinned, "all is to be kept"


def test_thresholds_rest_too_where_the_minimum_takes_more_than_the_target() -> None:
    adaptive = settled({1: 1000, 2: 3}, replace(LIMITS, min_probability=0.25))
    version = adaptive.version
    kept = pass_seconds(adaptive, 30, 50, {1: 1000, 2: 3})
    assert adaptive.version == version
    assert kept == pytest.approx([250 + 2.5] * 50, rel=0.01)


def test_a_key_that_fits_is_kept_whole_and_not_nearly() -> None:
    adaptive = settled({1: 110})
    pass_seconds(adaptive, 30, 30, {1: 102})
    assert 0.975 < probability(adaptive, 1) < 1.0
    pass_seconds(adaptive, 60, 30, {1: 97})
    assert adaptive.threshold(1) == 0


def test_a_shared_floor_raises_the_least_probability() -> None:
    adaptive = settled({1: 10_000})
    adaptive.count(1, 10_000)
    adaptive.adjust(31.0, 1900.0, floor=0.2)
    assert adaptive.floor == threshold_of(0.2)
    assert adaptive.threshold(1) == adaptive.floor
    adaptive.count(1, 10_000)
    adaptive.adjust(32.0, 100.0, floor=nan)
    assert probability(adaptive, 1) < 0.05


def test_a_shared_floor_holds_however_close_to_it_a_key_is() -> None:
    """Also where a probability rests, because it would hardly move."""
    adaptive = settled({1: 10_000})
    for second, floor in enumerate((0.2, 0.201, 0.202, 0.203), start=31):
        adaptive.count(1, 10_000)
        adaptive.adjust(second, 2000.0, floor=floor)
        assert probability(adaptive, 1) >= floor


def test_a_shared_floor_yields_to_a_load_for_which_it_was_not_made() -> None:
    adaptive = settled({1: 1000})
    for second in range(31, 34):
        adaptive.count(1, 1000)
        adaptive.adjust(second, 100.0, floor=0.1)
    assert probability(adaptive, 1) >= 0.1
    kept = 0.0
    for _ in range(100):
        adaptive.count(1, 100)
        kept += 100 * probability_of(adaptive.threshold(1))
    assert kept < 300, "ten times as many within one second"
    adaptive.adjust(34.0, 100.0, floor=0.1)
    assert probability(adaptive, 1) < 0.02
    for second in range(35, 60):
        adaptive.count(1, 1000)
        adaptive.adjust(second, 100.0, floor=0.1)
    assert probability(adaptive, 1) >= 0.1, "it holds again when the load is what it was"


def test_what_is_forgotten_is_told() -> None:
    adaptive = settled({1: 10, 2: 10})
    gone = []
    for second in range(31, 400):
        adaptive.count(2, 10)
        gone += adaptive.adjust(second, 100.0)
    assert gone == [1] and set(adaptive.rates()) == {2}


def test_traces_that_an_earlier_sampler_left_over_are_weighed() -> None:
    """1000 a second, of 10,000 before: a probability of 0.01 keeps a hundred of them."""
    adaptive = Adaptive(LIMITS, 0.0)
    for second in range(20):
        adaptive.count(1, 1000, weight=10_000.0)
        adaptive.adjust(second + 1.0, 100.0)
    assert probability(adaptive, 1) == pytest.approx(0.01, rel=0.05)
    assert adaptive.rate == pytest.approx(10_000)
    for second in range(20, 40):
        adaptive.count(1, 50, weight=500.0)
        adaptive.adjust(second + 1.0, 100.0)
    assert adaptive.threshold(1) == 0, "all 50 may stay, however many they stand for"


def test_a_weight_without_bounds_harms_nobody_for_long() -> None:
    adaptive = settled({1: 1000, 2: 20})
    adaptive.count(1, 1, weight=inf)
    adaptive.adjust(31.0, 100.0)
    assert pass_seconds(adaptive, 31, 30, {1: 1000, 2: 20})[-1] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("weight", [nan, -5.0, 0.0])
def test_a_weight_that_is_none_counts_as_the_traces_themselves(weight: float) -> None:
    adaptive = Adaptive(LIMITS, 0.0)
    adaptive.count(1, 20, weight)
    adaptive.adjust(1.0, 100.0)
    assert adaptive.rate == 20.0


def test_keys_beyond_the_bound_share_one() -> None:
    adaptive = Adaptive(LIMITS, 0.0, keys=3)
    for key in range(1, 1000):
        adaptive.count(key, 1)
    adaptive.adjust(1.0, 100.0)
    assert set(adaptive.rates()) == {SHARED, 1, 2, 3}
    assert adaptive.rates()[SHARED] == 996.0
    assert adaptive.threshold(500) == adaptive.threshold(SHARED) > 0


def test_keys_that_are_gone_make_room() -> None:
    adaptive = Adaptive(LIMITS, 0.0, keys=3)
    for key in (1, 2, 3):
        adaptive.count(key, 1)
    adaptive.adjust(1.0, 100.0)
    adaptive.count(3, 1)
    adaptive.adjust(1.0 + FORGET + 1.0, 100.0)
    assert set(adaptive.rates()) == {3}
    adaptive.count(4, 1)
    assert set(adaptive.rates()) == {3, 4}


def test_a_clock_that_goes_back_and_a_share_that_is_none_change_nothing() -> None:
    adaptive = settled({1: 1000})
    before = probability(adaptive, 1)
    for now, share in ((30.0, 5.0), (12.0, 5.0), (nan, 5.0)):
        adaptive.adjust(now, share)
    assert probability(adaptive, 1) == before
    for second, share in enumerate((nan, inf, -inf), 31):
        adaptive.count(1, 1000)
        adaptive.adjust(float(second), share)
    assert probability(adaptive, 1) == pytest.approx(before, rel=0.1)


def test_another_share_holds_from_the_next_second_on() -> None:
    adaptive = settled({1: 1000})
    adaptive.count(1, 1000)
    adaptive.adjust(31.0, 20.0)
    assert probability(adaptive, 1) == pytest.approx(0.02, rel=0.1)


def test_rates_outlive_the_process_by_name() -> None:
    before = settled({1: 1000, 2: 10})
    text = json.dumps(before.save(name={1: "billing", 2: "search"}.__getitem__))
    after = Adaptive(LIMITS, 1e6)
    assert after.restore(json.loads(text), key={"billing": 41, "search": 42}.__getitem__)
    after.count(41, 1)
    after.count(41, 1)
    assert probability(after, 41) == pytest.approx(probability(before, 1), rel=0.05)
    assert probability(after, 42) == 1.0
    assert after.rate == pytest.approx(before.rate)


@pytest.mark.parametrize(
    "saved",
    [
        None,
        [],
        {},
        {"version": 2, "share": 1.0, "keys": {}},
        {"version": 1, "share": 1.0, "keys": []},
        {"version": 1, "share": nan, "keys": {}},
        {"version": 1, "share": -1.0, "keys": {}},
        {"version": 1, "share": 1e300, "keys": {}},
        {"version": 1, "share": "much", "keys": {}},
        {"version": 1, "share": 1.0, "keys": {"1": 5}},
        {"version": 1, "share": 1.0, "keys": {"1": [1.0]}},
        {"version": 1, "share": 1.0, "keys": {"1": [1.0, inf]}},
        {"version": 1, "share": 1.0, "keys": {"one": [1.0, 1.0]}},
    ],
)
def test_what_cannot_be_restored_changes_nothing(saved: object) -> None:
    adaptive = settled({1: 1000})
    before = (adaptive.version, adaptive.rates(), adaptive.probabilities())
    assert not adaptive.restore(saved)
    assert (adaptive.version, adaptive.rates(), adaptive.probabilities()) == before


COUNTS = st.tuples(st.just("count"), st.integers(0, 30), st.integers(-1, 10**9), st.none() | st.floats())
ADJUSTMENTS = st.tuples(st.just("adjust"), st.floats(-5.0, 1000.0), st.floats(), st.floats())


@given(
    st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1e7), st.lists(st.one_of(COUNTS, ADJUSTMENTS), max_size=60)
)
def test_whatever_comes_thresholds_stay_within_their_bounds(
    least: float, most: float, target: float, steps: list[tuple[str, float, float, float]]
) -> None:
    adaptive = Adaptive(
        Limits(target_traces_per_second=target, min_probability=least, max_probability=most), 0.0, keys=8
    )
    now = 0.0
    for kind, first, second, third in steps:
        if kind == "count":
            adaptive.count(int(first), int(second), third)
        else:
            now += first
            adaptive.adjust(now, second, third)
        for key in range(31):
            assert 0 <= threshold_of(most) <= adaptive.threshold(key) <= adaptive.floor <= ALL
    assert len(adaptive.rates()) <= 9
