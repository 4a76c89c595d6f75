"""Divides the target of adaptive sampling among the sidecars of a config by what each has to sample. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

LEAST = 0.05
"""Share of an equal part that each sidecar gets whatever it reports: something to begin a burst with."""


def divide(target: float, reports: Mapping[str, float]) -> dict[str, float]:
    """Each sidecar's part of `target` (traces a second), by the rates that they report (traces a second).

    In proportion to the rates, so that all of them sample with the same probability and a trace that several of them
    saw gets one answer; with `LEAST` of an equal part besides. The parts add up to the target. Whoever joins is given
    with the rate 0 until it has reported; whoever has left is not given. A rate that is negative, infinite or no number
    counts as 0: a report is not to be trusted further than that.
    """
    if not reports:
        return {}
    rates = {name: rate if isfinite(rate) and rate > 0.0 else 0.0 for name, rate in reports.items()}
    equal = target / len(rates)
    most = max(rates.values())
    if most == 0.0:
        return dict.fromkeys(rates, equal)
    parts = {name: rate / most for name, rate in rates.items()}  # their sum cannot overflow
    whole = sum(parts.values())
    return {name: LEAST * equal + (1.0 - LEAST) * target * (part / whole) for name, part in parts.items()}
