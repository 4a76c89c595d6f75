"""Adaptive sampling over thousands of simulated seconds: the target, the floor of rare keys, and counts scaled up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import sqrt

import pytest

from sampling_world import Dice, Estimate, Load, Sidecar, World
from tracekeeper_sidecar.decide.key_rate import SURE
from tracekeeper_sidecar.decide.thresholds import ALL, threshold_of
from tracekeeper_sidecar.wire.probability import randomness
from tracekeeper_spec.sampling import Adaptive as Limits

LIMITS = Limits()
DEVIATIONS_999 = 3.2905
"""Standard deviations of the two-sided 99.9 % interval of a normal distribution."""
INTERVAL = 10
"""Seconds."""


def steady(second: int) -> Mapping[int, float]:
    return {1: 5000.0, 2: 300.0, 3: 10.0, 4: 0.2}


def bursts(second: int) -> Mapping[int, float]:
    times = 20.0 if second % 37 < 7 else 1.0
    return {1: 2000.0 * times, 2: 300.0 * times, 3: 10.0}


def flashes(second: int) -> Mapping[int, float]:
    return {1: 20_000.0 if second % 5 == 0 else 500.0}


def ramps(second: int) -> Mapping[int, float]:
    return {1: 500.0 + second % 200 * 100.0, 2: 3000.0 - second % 300 * 9.0}


def churn(second: int) -> Mapping[int, float]:
    """Every 13 seconds all keys are others, loud ones and quiet ones."""
    first = second // 13 * 7
    return {1 + (first + number) % 499: 2000.0 / (number + 1) for number in range(20)}


@pytest.mark.parametrize("load", [steady, bursts, flashes, ramps, churn])
def test_one_sidecar_holds_the_target(load: Load) -> None:
    world = World(LIMITS, lambda _: {"only": load}, seed=1).run(100 * INTERVAL)
    off = world.intervals_off(INTERVAL)
    assert len(off) <= 5, off


def uneven(number: int) -> Load:
    """One of several sidecars: louder or quieter than others, with its own keys, bursts and ramps."""
    scale = 40.0 * 1.6 ** (number % 7)

    def load(second: int) -> Mapping[int, float]:
        times = 10.0 if (second + 17 * number) % 61 < 5 else 1.0
        ramp = 0.5 + (second * (1 + number % 3) % 120) / 120.0
        return {1: scale * times, 2 + number % 5: scale * ramp, 10 + (second // 40 + number) % 50: 3.0}

    return load


@pytest.mark.parametrize("load", [bursts, ramps, churn])
def test_sidecars_to_which_everything_happens_at_the_same_time_hold_the_target(load: Load) -> None:
    """A floor that all have agreed on must not keep them from following."""
    loads = {f"pod-{each}": divided(load, 10) for each in range(10)}
    world = World(LIMITS, lambda _: loads, seed=9).run(30 * INTERVAL)
    off = world.intervals_off(INTERVAL)
    assert len(off) <= 1, off


def divided(load: Load, by: float) -> Load:
    return lambda second: {key: rate / by for key, rate in load(second).items()}


def test_what_the_floor_keeps_is_kept_by_every_sidecar() -> None:
    """Each has other keys besides the loud one, and another part of that. The floor rests as long as the load does."""
    loads = {
        f"pod-{each}": steadily({1: 400.0 * (1 + each % 4), 2 + each: 5.0 * each, 30: 20.0 * (each % 2)})
        for each in range(12)
    }
    world = World(LIMITS, lambda _: loads, seed=10).run(120)
    assert len(set(world.floors[20:])) == 1
    assert world.floors[-1] > 0.03, "the floor is not the minimum"
    for name, sidecar in world.sidecars.items():
        assert sidecar.adaptive.lowest >= world.floors[-1], name


def steadily(rates: Mapping[int, float]) -> Load:
    return lambda _: rates


def coming_and_going(loads: Mapping[str, Load]) -> Callable[[int], Mapping[str, Load]]:
    """A fifth of them is there only half of the time, each at other times; now and then a tenth goes at once."""

    def members(second: int) -> Mapping[str, Load]:
        rolled = second // 90 % 10
        return {
            name: load
            for each, (name, load) in enumerate(loads.items())
            if not (each % 5 == 0 and (second + 29 * each) % 100 < 50)
            and not (second % 90 < 20 and each % 10 == rolled)
        }

    return members


@pytest.mark.parametrize(
    ("number", "interval", "ticks", "quieter"), [(1, 10, 4, 1.0), (10, 10, 4, 1.0), (200, 3, 1, 4.0)]
)
def test_sidecars_that_come_and_go_share_the_target(number: int, interval: int, ticks: int, quieter: float) -> None:
    """Two hundred are quieter, or the lowest probability would keep as many as the target."""
    loads = {f"pod-{each}": divided(uneven(each), quieter) for each in range(number)}
    world = World(LIMITS, coming_and_going(loads), seed=2, ticks=ticks).run(100 * interval)
    assert max(second.offered for second in world.seconds) * LIMITS.min_probability < LIMITS.target_traces_per_second
    off = world.intervals_off(interval)
    assert len(off) <= 5, off


@pytest.mark.parametrize(("load", "kinds"), [(bursts, 1), (ramps, 1), (churn, 5)])
def test_two_hundred_sidecars_that_come_and_go_hold_the_target(load: Load, kinds: int) -> None:
    """To all of them it happens at the same time; a key is in one of so many `kinds` of pods."""
    loads = {f"pod-{each}": divided(part_of(load, each, kinds), 200 / kinds) for each in range(200)}
    world = World(LIMITS, coming_and_going(loads), seed=11, ticks=1).run(30 * INTERVAL)
    off = world.intervals_off(INTERVAL)
    assert len(off) <= 1, off


def part_of(load: Load, each: int, kinds: int) -> Load:
    return lambda second: {key: rate for key, rate in load(second).items() if (key + each) % kinds == 0}


def test_while_nobody_divides_the_sidecars_that_stay_keep_to_the_target() -> None:
    loads = {f"pod-{each}": uneven(each) for each in range(10)}
    world = World(LIMITS, lambda _: loads, seed=3, away=range(100, 500)).run(600)
    off = world.intervals_off(INTERVAL)
    assert len(off) <= 3, off


def test_minimum_and_maximum_probability_come_before_the_target() -> None:
    limits = replace(LIMITS, target_traces_per_second=10.0, min_probability=0.05)
    world = World(limits, lambda _: {"only": lambda _: {1: 2000.0}}, seed=4).run(200)
    kept = sum(second.kept for second in world.seconds[10:])
    assert kept == pytest.approx(0.05 * 2000 * 190, rel=0.03)
    limits = replace(LIMITS, max_probability=0.5)
    world = World(limits, lambda _: {"only": lambda _: {1: 200.0}}, seed=4).run(200)
    assert sum(second.kept for second in world.seconds) == pytest.approx(0.5 * 200 * 200, rel=0.03)


def test_quiet_keys_are_whole_and_loud_ones_pay_alike() -> None:
    world = World(LIMITS, lambda _: {"only": lambda _: {1: 20_000.0, 2: 2000.0, 3: 100.0, 4: 1.0}}, seed=5).run(300)
    only = world.sidecars["only"]
    for quiet in (3, 4):
        assert only.kept[quiet] >= 0.99 * only.estimates[quiet].traces
    for loud in (1, 2):
        assert only.kept[loud] / 300 == pytest.approx(450, rel=0.1)


def test_a_key_gets_one_trace_a_minute_however_small_the_budget() -> None:
    limits = replace(LIMITS, target_traces_per_second=1.0, min_probability=0.0)
    rare, loud = 60, 30
    loads = {key: 0.1 if key <= rare else 20.0 for key in range(1, rare + loud + 1)}
    world = World(limits, lambda _: {"only": lambda _: loads}, seed=6, ticks=2).run(1200)
    kept = world.sidecars["only"].kept
    # Of 20 minutes. A rare key's first trace after a minute comes 10 s late in the mean, which moves the next minute.
    assert all(kept[key] >= (15 if key <= rare else 18) for key in loads), kept
    # One trace a minute and key, or up to SURE where many are decided together.
    assert sum(second.kept for second in world.seconds) <= 1200 * 1.2 + 20 * (2 * rare + (1 + SURE) * loud)


@pytest.mark.parametrize("load", [bursts, churn, steady])
def test_counts_scaled_up_estimate_the_true_ones_by_key(load: Load) -> None:
    only = Sidecar(LIMITS, load, 0.0)
    dice = Dice(7)
    for second in range(600):
        only.pass_second(second, dice, ticks=4)
    outside = [key for key, each in only.estimates.items() if not within(each)]
    # 99.9 % of them are inside, so that of some hundred keys one may be outside, and is not far.
    assert len(outside) <= len(only.estimates) // 100
    assert within(total(list(only.estimates.values())))


def within(estimate: Estimate) -> bool:
    return abs(estimate.scaled - estimate.traces) <= DEVIATIONS_999 * sqrt(estimate.variance) + 1e-6 * estimate.traces


def total(estimates: list[Estimate]) -> Estimate:
    return Estimate(
        sum(each.traces for each in estimates),
        sum(each.scaled for each in estimates),
        sum(each.variance for each in estimates),
    )


def test_the_share_of_a_million_traces_that_a_threshold_keeps() -> None:
    dice, traces = Dice(8).random, 1_000_000
    numbers = [randomness(dice.randbytes(16)) for _ in range(traces)]
    kept = {}
    for probability in (0.5, 0.1, 0.01):
        threshold = threshold_of(probability)
        kept[probability] = {index for index, number in enumerate(numbers) if number >= threshold}
        deviation = sqrt(traces * probability * (1.0 - probability))
        assert abs(len(kept[probability]) - traces * probability) <= DEVIATIONS_999 * deviation
    assert kept[0.01] < kept[0.1] < kept[0.5], "what the lower probability keeps, the higher one keeps"
    assert all(number < ALL for number in numbers)
