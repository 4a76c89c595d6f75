"""A simulated world of sidecars that sample adaptively and share a target, much faster than in real time. They are told
their parts by what really divides it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp, log, sqrt

from tracekeeper_operator.control.groups import Group
from tracekeeper_sidecar.decide.adaptive import Adaptive
from tracekeeper_sidecar.decide.share import Share
from tracekeeper_sidecar.decide.thresholds import probability_of
from tracekeeper_spec.sampling import Adaptive as Limits

Load = Callable[[int], Mapping[int, float]]
"""Traces a second by key, in each second."""


class Dice:
    """Random numbers of known distributions, always the same ones for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def poisson(self, mean: float) -> int:
        if mean >= 30.0:
            return max(0, round(self.random.gauss(mean, sqrt(mean))))
        limit, number, product = exp(-mean), 0, self.random.random()
        while product > limit:
            number += 1
            product *= self.random.random()
        return number

    def binomial(self, tries: int, probability: float) -> int:
        if probability >= 1.0:
            return tries
        variance = tries * probability * (1.0 - probability)
        if variance >= 30.0:
            return min(tries, max(0, round(self.random.gauss(tries * probability, sqrt(variance)))))
        if probability > 0.5:
            return tries - self.binomial(tries, 1.0 - probability)
        if probability <= 0.0:
            return 0
        # From success to success: the tries between them are geometrically distributed.
        failure, number, tried = log(1.0 - probability), 0, 0
        while (tried := tried + 1 + int(log(1.0 - self.random.random()) / failure)) <= tries:
            number += 1
        return number


@dataclass
class Second:
    """What happened in one second, in all sidecars together."""

    offered: int = 0
    kept: int = 0


@dataclass
class Estimate:
    """Of the number of a key's traces, from the kept ones alone."""

    traces: int = 0
    scaled: float = 0.0
    """Sum of 1/p over the kept ones."""
    variance: float = 0.0
    """Of `scaled`, as theory has it: the sum of (1 - p) / p over all traces."""


class Sidecar:
    def __init__(self, limits: Limits, load: Load, now: float, sidecars: int = 1) -> None:
        self.load = load
        self.share = Share(limits.target_traces_per_second, sidecars)
        self.floor = 0.0
        self.adaptive = Adaptive(limits, now, self.share.at(now))
        self.estimates: dict[int, Estimate] = {}
        self.kept: Counter[int] = Counter()

    def pass_second(self, second: int, dice: Dice, ticks: int) -> tuple[int, int]:
        """Traces offered and kept."""
        offered = kept = 0
        rates = self.load(second)
        for _ in range(ticks):
            for key, rate in rates.items():
                traces = dice.poisson(rate / ticks)
                if traces:
                    taken = self._decide(key, traces, dice)
                    offered, kept = offered + traces, kept + taken
        now = second + 1.0
        self.adaptive.adjust(now, self.share.at(now), self.floor)
        return offered, kept

    def _decide(self, key: int, traces: int, dice: Dice) -> int:
        self.adaptive.count(key, traces)
        probability = probability_of(self.adaptive.threshold(key))
        kept = dice.binomial(traces, probability)
        estimate = self.estimates.setdefault(key, Estimate())
        estimate.traces += traces
        if probability:
            estimate.scaled += kept / probability
            estimate.variance += traces * (1.0 - probability) / probability
        self.kept[key] += kept
        return kept


@dataclass
class World:
    """Sidecars come and go by `members`; every `report_every` seconds each reports, at its own time, unless nobody is
    there to divide the target."""

    limits: Limits
    members: Callable[[int], Mapping[str, Load]]
    """Who is there in a second, with the load."""
    seed: int
    ticks: int = 4
    report_every: int = 2
    away: range = range(0)
    """Seconds in which nobody divides; who does so afterwards knows nothing of what was before."""
    sidecars: dict[str, Sidecar] = field(default_factory=dict)
    seconds: list[Second] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    """By second, as told."""
    messages: int = 0
    """That were needed to tell the parts."""

    def run(self, seconds: int) -> World:
        dice = Dice(self.seed)
        group = Group(self.limits)
        for second in range(len(self.seconds), len(self.seconds) + seconds):
            if second in self.away:
                group = Group(self.limits)
            self._join_and_leave(second, group)
            if second not in self.away:
                self._divide(second, group)
            parts = [sidecar.pass_second(second, dice, self.ticks) for sidecar in self.sidecars.values()]
            self.seconds.append(Second(sum(offered for offered, _ in parts), sum(kept for _, kept in parts)))
        return self

    def _join_and_leave(self, second: int, group: Group) -> None:
        members = self.members(second)
        for name in self.sidecars.keys() - members.keys():
            del self.sidecars[name]
            group.leave(name, second, for_good=True)
        for name in members:
            if name not in self.sidecars:
                self.sidecars[name] = Sidecar(self.limits, members[name], float(second), len(members))
            if second not in self.away and name not in group:
                group.join(name)

    def _divide(self, second: int, group: Group) -> None:
        for number, (name, sidecar) in enumerate(self.sidecars.items()):
            if (second + number) % self.report_every == 0:
                group.report(name, ((str(key), rate) for key, rate in sidecar.adaptive.rates().items()))
        group.divide(float(second))
        for name in group.due(len(group)):
            answer = group.answer(name)
            self.sidecars[name].share.grant(float(second), answer.traces_per_second, answer.sidecars)
            self.sidecars[name].floor = answer.floor
            self.messages += 1
        self.floors.append(group.floor)

    def intervals_off(self, length: int, tolerance: float = 0.2) -> list[tuple[int, int, float]]:
        """The intervals in which more or less was kept than should be, as (first second, kept, wanted).

        Wanted are in each second as many as the target, or all when there are not as many."""
        off = []
        target = self.limits.target_traces_per_second
        for first in range(0, len(self.seconds), length):
            interval = self.seconds[first : first + length]
            kept = sum(second.kept for second in interval)
            wanted = sum(min(target, second.offered) for second in interval)
            if abs(kept - wanted) > tolerance * wanted:
                off.append((first, kept, wanted))
        return off
