"""Whether a side masked what it had to, and nothing else: as the backends saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]
MASKING = ("redact", "all")
"""Pipelines that mask; the Collector's is called `redact`, too."""
PRICING = ("all",)


def faults(run: Run) -> list[str]:
    """What is wrong with what arrived, one line each; empty when it may be compared."""
    found = []
    for name, got in run["sinks"].items():
        due = got["spans"] if run["bare"] else 0
        masks, prices = run["steps"] in MASKING, run["steps"] in PRICING
        wanted = {"masked": due * masks, "bare": due * (not masks), "priced": got["spans"] * prices, "detected": 0}
        for what, number in wanted.items():
            if got[what] != number:
                found.append(f"{run['side']}: sink {name} got {got[what]:,} {what} values, {number:,} expected")
    return found


def share(runs: Sequence[Run]) -> float:
    """Masks for each span at the backends, in these runs."""
    sinks = [got for run in runs for got in run["sinks"].values()]
    spans = sum(got["spans"] for got in sinks)
    return float(sum(got["masked"] for got in sinks) / spans) if spans else 0.0
