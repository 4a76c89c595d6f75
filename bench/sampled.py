"""Whether a tail sampler kept what it had to: all traces with an error, all slow ones, its lot of the rest; whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tail import PROBABILITY

Run = Mapping[str, Any]
SPREAD = 4.0
"""Standard deviations that the lot may be off: a sound sampler exceeds it once in 16,000 runs."""
SINK = "a"


def total_share(runs: Sequence[Run]) -> float:
    """The share of spans that the sink got in these runs; 1 where nothing is sampled."""
    owed = sum(run["acknowledged"] for run in runs if "traces" in run)
    return float(sum(run["sinks"][SINK]["spans"] for run in runs) / owed) if owed else 1.0


def faults(run: Run) -> list[str]:
    """What is wrong with what arrived, one line each; empty when it may be compared."""
    got, side = run["sinks"][SINK], run["side"]
    found = []
    if torn := got["traces"] - got["whole"]:
        found.append(f"{side}: {torn:,} of {got['traces']:,} kept traces are torn")
    if got["forced"] != run["forced"]:
        found.append(f"{side}: kept {got['forced']:,} of {run['forced']:,} traces with an error or slow")
    lots, drawn = run["traces"] - run["forced"], got["whole"] - got["forced"]
    mean, deviation = lots * PROBABILITY, math.sqrt(lots * PROBABILITY * (1 - PROBABILITY))
    if abs(drawn - mean) > SPREAD * deviation:
        found.append(
            f"{side}: kept {drawn:,} of {lots:,} other traces, {mean:,.0f} ± {SPREAD * deviation:,.0f} expected"
        )
    return found
