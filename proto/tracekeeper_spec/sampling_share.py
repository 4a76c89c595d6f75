"""How the target of adaptive sampling is divided among the sidecars that share it, by what each has to sample. Pure.

The target is filled like water over the keys of all sidecars together (`level`): what quiet keys have is kept whole,
the loud ones get equally many traces a second, within the config's bounds. Of each key's part a sidecar gets what it
has of the key's traces, so that a key is kept with about the same probability wherever its traces are.

The lowest probability of any key is the *floor*: a trace that it keeps is kept by every sidecar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Final

from tracekeeper_spec.level import level
from tracekeeper_spec.sampling import Adaptive

LEAST = 0.05
"""Share of an equal part that each sidecar gets whatever it reports: something to begin a burst with."""
MOST_RATE = 1e7
"""Traces a second of one key in one sidecar; a report of more counts as this."""
EMPTY: Final[Mapping[str, float]] = MappingProxyType({})
GRAIN = 1e6
"""Rates are whole multiples of one trace in so many seconds: sums of them are exact, whatever comes and goes."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How much is kept of what all sidecars have together."""

    shares: Mapping[str, float]
    """Probability by key, for keys that have traces."""
    gains: Mapping[str, float]
    """Traces kept, by key, for each one in its rate: less than its share where there are not as many."""
    kept: float
    """Traces a second, of all keys."""
    floor: float
    """The lowest probability of any key."""


def grains(rate: float) -> int:
    """What a reported rate counts as, in grains; a report is not to be trusted further than that."""
    return round(min(rate, MOST_RATE) * GRAIN) if isfinite(rate) and rate > 0.0 else 0


def fill(limits: Adaptive, rates: Mapping[str, float], coming: Mapping[str, float] = EMPTY) -> Filled:
    """The probability of each key, from the sums (traces a second) of what all sidecars have of it.

    `coming` is how many traces there are, for keys of which an earlier sampler took some out: `rates` is how many they
    stand for then. No more can be kept than there are, and each is kept by the same probability as the others of its
    key. Without any traces nothing is known, and the floor is the lowest probability that the config allows.
    """
    most = min(1.0, max(0.0, limits.max_probability))
    least = min(most, max(0.0, limits.min_probability))
    some = {key: rate for key, rate in rates.items() if rate > 0.0}
    budget = (1.0 - LEAST) * limits.target_traces_per_second
    there = {key: min(rate * most, coming.get(key, rate)) for key, rate in some.items()}
    at = level([(min(rate * least, there[key]), there[key]) for key, rate in some.items()], budget)
    shares = {key: most if there[key] <= at else min(most, max(least, at / rate)) for key, rate in some.items()}
    gains = {key: min(share, there[key] / some[key]) for key, share in shares.items()}
    kept = sum(gain * some[key] for key, gain in gains.items())
    return Filled(shares, gains, kept, min(shares.values(), default=least))
