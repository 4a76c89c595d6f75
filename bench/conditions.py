"""What further conditions cost tail sampling, ours alone: the same load with none, one and ten that no span fulfils."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compare import lost, unclosed
from jobs import CLOSED
from measure import measure
from sidecar import Sidecar
from spans import SPANS_PER_TRACE
from table import text
from tail import Tail

JOB = CLOSED
"""A closed loop of large requests: at an offered rate commits cost more than all conditions."""
COUNTS = (0, 1, 10)
ROUNDS = 2
"""In turn; the cheaper run of each number counts: other work on the machine only ever adds."""
HEAD = ("further conditions", "CPU a span, µs", "more a trace and condition, µs")


def run(seconds: float) -> dict[str, Any]:
    """So many rounds of one run for each number of conditions."""
    assert JOB.tail
    tails = [Tail(JOB.tail.wait, count) for count in COUNTS]
    runs = [measure(Sidecar, replace(JOB, tail=one), seconds) for _ in range(ROUNDS) for one in tails]
    wrong = [why for one in runs for why in lost(one) + unclosed(one)]
    costs = [one["cpu_seconds"] / one["acknowledged"] * 1e6 for one in runs]
    best = [min(costs[place :: len(COUNTS)]) for place in range(len(COUNTS))]
    return {"us_per_span": [round(cost, 3) for cost in best], "runs": runs, "missed": wrong}


def cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each number of conditions."""
    costs: Sequence[float] = found["us_per_span"]
    return [
        (str(count), f"{cost:.2f}", f"{(cost - costs[0]) * SPANS_PER_TRACE / count:.2f}" if count else "")
        for count, cost in zip(COUNTS, costs, strict=True)
    ]


def lines(found: Mapping[str, Any]) -> list[str]:
    """For the terminal."""
    return [*text(HEAD, cells(found)), "; ".join(found["missed"]) or f"{JOB.title}: the same traces kept each time"]
