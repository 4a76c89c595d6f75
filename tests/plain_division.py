"""The target divided among sidecars from all of their reports at once: what is to come of it report by report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracekeeper_spec.sampling import Adaptive
from tracekeeper_spec.sampling_share import GRAIN, LEAST, Filled, fill, grains


@dataclass(frozen=True, slots=True)
class Division:
    """The answer for all sidecars at a time."""

    parts: Mapping[str, float]
    """Traces a second by sidecar; they add up to the target."""
    floor: float
    """The probability below which no sidecar goes."""


def divide(limits: Adaptive, reports: Mapping[str, Mapping[str, float]]) -> Division:
    """By the rates (traces a second, by key) that each reports; whoever has not reported yet is there without keys."""
    sums: dict[str, float] = {}
    sound = {name: {key: sound_rate(rate) for key, rate in keys.items()} for name, keys in reports.items()}
    for keys in sound.values():
        for key, rate in keys.items():
            sums[key] = sums.get(key, 0.0) + rate
    filled = fill(limits, sums)
    parts = {name: part_of(limits, len(sound), keys, filled) for name, keys in sound.items()}
    return Division(parts, filled.floor)


def sound_rate(rate: float) -> float:
    """What a reported rate counts as."""
    return grains(rate) / GRAIN


def part_of(limits: Adaptive, sidecars: int, rates: Mapping[str, float], filled: Filled) -> float:
    """The part of one sidecar of so many, from its own rates and what is kept of all."""
    equal = limits.target_traces_per_second / max(1, sidecars)
    if not filled.kept > 0.0:
        return equal
    own = sum(filled.gains.get(key, 0.0) * rate for key, rate in rates.items())
    return LEAST * equal + (1.0 - LEAST) * limits.target_traces_per_second * min(1.0, own / filled.kept)
