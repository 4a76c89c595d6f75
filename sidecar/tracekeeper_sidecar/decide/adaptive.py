"""Adaptive sampling: a probability for each key such that about so many traces a second are kept in all. Pure.

    adaptive = Adaptive(spec.adaptive, now)
    once a second:           adaptive.adjust(now, share)
    for traces to decide:    adaptive.count(key, traces), then adaptive.threshold(key): kept when R >= threshold

**Who gets what.** The budget is divided like water over the keys' rates (`level`): a key that is quieter than the level
is kept whole, the loud ones get equally many traces a second, within `minProbability` and `maxProbability`.
These bounds come before the target: with a hundred times as many traces as the target and a minimum of 0.05, five times
the target is kept.

**How it follows.** Rates are moving averages that believe a change at once when it is more than noise. That alone would
be a second late, so within the second a budget that is spent makes all probabilities smaller, and again after each
further quarter of it; and what was kept too much or too little is made up for in the next seconds.

**The floor of rare keys.** A key of which nothing was surely kept for a minute gets its next trace through with
`maxProbability`. This does not bias counts: the threshold of a trace depends on the traces before it, never on its own
random number, so 1/p stays the number of traces that it stands for.

Known samplers do parts of this: Jaeger's adaptive sampler (a floor per operation), Honeycomb's dynsampler EMAThroughput
(a budget over keys, burst detection). Thresholds are rounded (`decide.thresholds`), and change only when a probability
moves by more than `DEAD_BAND`, so that they rest while the load does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isfinite, sqrt

from tracekeeper_sidecar.decide.key_rate import SURE, KeyRate
from tracekeeper_sidecar.decide.thresholds import ALL, threshold_of
from tracekeeper_spec.level import level
from tracekeeper_spec.sampling import Adaptive as Limits

MOST_RESTORED = 1e12
"""Traces a second: a larger number in a saved state is damage."""
SHARED = 0
"""The key of all traces whose key is one too many."""
MOST_KEYS = 500
"""Keys besides the shared one, at a time."""
DEAD_BAND = 0.03
"""Share of a probability by which a new one must differ."""
SLACK = 0.1
"""Share of a second's budget that may be kept beyond it before probabilities fall within the second."""
NOISE = 3.0
"""Standard deviations of a Poisson process that may be kept besides."""
STEP = 0.25
"""Share of a second's budget that each such fall grants until the next one."""
MOST_STEPS = 16
"""Falls within a second: traces are then 2**16 times as many as expected, and the minimum is all that is left."""
CORRECTION = 0.5
"""Share of what was kept too much or too little that the next second makes up for, and the most that it changes its
budget by, as a share of that."""
FIRST_PERIOD = 1.0
"""Seconds from the beginning to the first `adjust`; later on, a period is taken to be as long as the last one."""
LONGEST_PERIOD = 5.0
"""Seconds; after a longer pause the next period is not taken to be as long."""
QUIET_SHARE = 0.05
"""Share of the budget that quiet keys get even where loud ones take more than all of it at the minimum probability."""
MOST_DEBT = 1.5
"""Seconds of the budget: more is not made up for."""


class Adaptive:
    """Owned by one thread. `now` is monotonic seconds."""

    def __init__(self, limits: Limits, now: float, share: float | None = None, keys: int = MOST_KEYS) -> None:
        """`share`: traces a second to keep until the first `adjust`; without it, the whole target."""
        self.version = 0
        """Grows with every change of a threshold, except for a single trace let through for the floor of rare keys."""
        self._most_keys = keys
        self._keys: dict[int, KeyRate] = {}
        self._now = now
        self._share = limits.target_traces_per_second if share is None else share
        self._floor = 0.0
        self._debt = 0.0  # traces kept too much (or, below 0, too little)
        self._spent = 0.0  # expected keeps of the running period
        self._level = inf  # keeps a second up to which a key is whole
        self._budget = self._period = self._limit = 0.0
        self._steps = 0
        self.configure(limits)
        self._begin_period(self._share, FIRST_PERIOD)

    @property
    def floor(self) -> int:
        """The threshold that no key's is above: a trace with R >= floor is kept by every sidecar that shares it."""
        return threshold_of(self._least)

    @property
    def lowest(self) -> float:
        """The lowest probability in use: what a floor shared by several sidecars must not be above."""
        return min((rate.probability for rate in self._keys.values()), default=self._most)

    @property
    def pinned(self) -> bool:
        """Whether the target asks for less of some key than `minProbability` keeps of it."""
        return self._min < self._most and any(rate.probability <= self._min for rate in self._keys.values())

    @property
    def rate(self) -> float:
        """Traces a second that ask for a share of the budget: what this sidecar reports to get its own."""
        return sum(rate.weight for rate in self._keys.values())

    def rates(self) -> Mapping[int, float]:
        """The same by key."""
        return {key: rate.weight for key, rate in self._keys.items()}

    def coming(self) -> Mapping[int, float]:
        """Traces a second that there are, by key: fewer than `rates` where an earlier sampler took some out."""
        return {key: rate.traces for key, rate in self._keys.items()}

    def probabilities(self) -> Mapping[int, float]:
        """By key, for those that have had traces in the last minutes."""
        return {key: rate.probability for key, rate in self._keys.items()}

    def configure(self, limits: Limits) -> None:
        """The policy changed: its bounds hold at once, its target through the next `adjust`. Rates stay."""
        self._most = min(1.0, max(0.0, limits.max_probability))
        self._min = min(self._most, max(0.0, limits.min_probability))
        self._least = min(self._most, max(self._min, self._floor))
        for rate in self._keys.values():
            self._set(rate, rate.probability)

    def count(self, key: int, traces: int, weight: float | None = None) -> None:
        """These traces are decided now, by what `threshold(key)` answers after this call: the call may raise
        thresholds, and it may lower the key's own one for these traces alone.

        `key` is what the key reader gave out, SHARED for the rest. `weight` is how many traces they stand for, where an
        earlier sampler took some out: the sum of 1/p over them (p from their `th`); without it, just as many.
        """
        if traces <= 0:
            return
        stood = float(traces) if weight is None or not weight > traces else min(weight, float(traces * ALL))
        rate = self._keys.get(key) or self._meet(key, stood)
        rate.seen += traces
        rate.seen_weight += stood
        rate.passing = None
        kept = min(stood * rate.probability, traces)
        if self._spent + kept > self._limit:
            self._fall()
            kept = min(stood * rate.probability, traces)
        if rate.due:
            kept = self._let_through(rate, traces, stood)
        else:
            rate.expect(kept)
        self._spent += kept

    def threshold(self, key: int) -> int:
        """0 to 2**56. Traces of this key with R >= threshold are kept."""
        rate = self._keys.get(key) or self._keys.get(SHARED)
        if rate is None:
            return threshold_of(self._most)
        return rate.threshold if rate.passing is None else rate.passing

    def adjust(self, now: float, share: float, floor: float = 0.0) -> list[int]:
        """Once a second (any interval works): from now on keep `share` traces a second. Returns the keys that have been
        forgotten with that, because they have had no traces for long.

        `floor` is a probability below which no sidecar of the config goes, from whoever divides the target.
        A time that does not go on is ignored; so is a share that is no number.
        """
        elapsed = now - self._now
        if not elapsed > 0.0:
            return []
        self._settle_debt(elapsed)
        self._now = now
        if isfinite(share):
            self._share = max(0.0, share)
        self._floor = floor if isfinite(floor) else 0.0
        for rate in self._keys.values():
            rate.end_period(now, elapsed)
        forgotten = [key for key, rate in self._keys.items() if rate.idle(now)]
        for key in forgotten:
            del self._keys[key]
        self._least = self._affordable()
        self._debt = max(-MOST_DEBT * self._share, min(MOST_DEBT * self._share, self._debt))
        most = CORRECTION * self._share
        budget = self._share - max(-most, min(most, CORRECTION * self._debt))
        self._begin_period(budget, min(LONGEST_PERIOD, elapsed))
        for rate in self._keys.values():
            rate.end_minute(now, self._most)
        return forgotten

    def save(self, name: Callable[[int], str] = str) -> dict[str, object]:
        """A small JSON value. `name` says what a key is called: its number may be another one after a restart."""
        keys = {name(key): [round(rate.traces, 4), round(rate.weight, 4)] for key, rate in self._keys.items()}
        return {"version": 1, "share": self._share, "keys": keys}

    def restore(self, saved: object, key: Callable[[str], int] = int) -> bool:
        """Begin with the rates of an earlier process, and with its share until the first `adjust`. `key` says which
        number a name has now. False, with nothing changed, when `saved` is not what `save` makes."""
        try:
            share, rates = _read(saved)
            restored = {key(name): value for name, value in rates.items()}
        except (KeyError, TypeError, ValueError):
            return False
        self._share = share
        for number, (traces, weight) in restored.items():
            rate = self._keys.get(number) or self._meet(number, weight)
            rate.resume(traces, weight)
        self._begin_period(share, FIRST_PERIOD)
        return True

    def _meet(self, key: int, weight: float) -> KeyRate:
        """The state of a key not seen before: its own, or the shared one when there are too many."""
        if key != SHARED and len(self._keys) - (SHARED in self._keys) >= self._most_keys:
            shared = self._keys.get(SHARED)
            if shared is not None:
                return shared
            key = SHARED
        rate = self._keys[key] = KeyRate(self._most, threshold_of(self._most), self._now, self._now)
        self._set(rate, self._level / weight if weight > self._level else self._most)
        return rate

    def _let_through(self, rate: KeyRate, traces: int, weight: float) -> float:
        """The floor of rare keys. Of many traces at once, as many as make it certain that one is kept."""
        probability = max(rate.probability, min(self._most, SURE / traces))
        rate.passing = threshold_of(probability)
        rate.passed(self._now)
        return min(weight * probability, traces)

    def _affordable(self) -> float:
        """The least probability: the shared floor, unless that alone would take more than the share, because the load
        has grown since it was set. Then it costs coherence, until there is a new one, and not the target."""
        least = min(self._most, max(self._min, self._floor))
        taken = sum(min(least * rate.weight, rate.traces) for rate in self._keys.values())
        noise = NOISE * least * sqrt(sum(rate.weight for rate in self._keys.values()))
        return least if taken <= self._share * (1.0 + SLACK) + noise else self._min

    def _settle_debt(self, elapsed: float) -> None:
        """What the ended period kept beyond its share; a share that nobody asked for is not saved up."""
        possible = sum(min(rate.seen_weight * self._most, rate.seen) for rate in self._keys.values())
        self._debt += self._spent - min(self._share * elapsed, possible)

    def _begin_period(self, budget: float, period: float) -> None:
        """Probabilities from the averages. `budget` in keeps a second; `period` in seconds."""
        self._budget, self._period, self._spent, self._steps = budget, period, 0.0, 0
        demands = [self._bounds(rate.weight, rate.traces) for rate in self._keys.values()]
        self._fill(demands, budget)
        for rate in self._keys.values():
            probability = self._share_of(rate.weight, rate.traces)
            moved = abs(probability - rate.probability) > DEAD_BAND * rate.probability
            if moved or probability == self._most or rate.probability < self._least:
                self._set(rate, probability)
        least = sum(min(high, max(low, self._level)) for low, high in demands)
        usual = max(budget, least) * period
        self._limit = usual * (1.0 + SLACK) + NOISE * sqrt(usual)

    def _fall(self) -> None:
        """The second's budget is spent: smaller probabilities, as if as many traces came again as have come already."""
        self._steps += 1
        self._least = self._min  # The load has grown: the shared floor is none any more.
        if self._steps > MOST_STEPS:
            extra, self._level = inf, 0.0
        else:
            extra = max(self._limit - self._spent, STEP * self._budget * self._period)
            self._fill([self._bounds(rate.seen_weight, rate.seen) for rate in self._keys.values()], extra)
        self._limit = self._spent + extra
        for rate in self._keys.values():
            if rate.seen:
                self._set(rate, min(rate.probability, self._share_of(rate.seen_weight, rate.seen)))

    def _fill(self, demands: list[tuple[float, float]], budget: float) -> None:
        self._level = max(level(demands, budget), QUIET_SHARE * budget / (len(demands) or 1))

    def _bounds(self, weight: float, traces: float) -> tuple[float, float]:
        """The fewest and the most of these traces that may be kept."""
        most = min(weight * self._most, traces)
        return min(weight * self._least, most), most

    def _share_of(self, weight: float, traces: float) -> float:
        """The probability of a key of that rate."""
        most = min(weight * self._most, traces)
        return self._most if most <= self._level else self._level / weight

    def _set(self, rate: KeyRate, probability: float) -> None:
        rate.probability = min(self._most, max(self._least, probability))
        threshold = threshold_of(rate.probability)
        if threshold != rate.threshold:
            rate.threshold = threshold
            self.version += 1


def _read(saved: object) -> tuple[float, dict[str, tuple[float, float]]]:
    """Share and rates. Raises KeyError, TypeError or ValueError for anything that `save` does not make."""
    if not isinstance(saved, dict) or saved["version"] != 1 or not isinstance(saved["keys"], dict):
        raise ValueError("not a saved state of version 1")
    rates = {str(name): (float(traces), float(weight)) for name, (traces, weight) in saved["keys"].items()}
    numbers = [float(saved["share"]), *(number for pair in rates.values() for number in pair)]
    if not all(0.0 <= number <= MOST_RESTORED for number in numbers):
        raise ValueError("a rate is no number")
    return numbers[0], rates
