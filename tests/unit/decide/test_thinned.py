"""Traces of which an earlier sampler has taken some out: the target holds, and what is kept stands for all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import pytest

from forward_support.routed import sampling
from stage_rig import section
from tracekeeper_sidecar.decide.decider import Decider
from tracekeeper_sidecar.decide.rules import Numbers, Rules
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.decide.thresholds import probability_of
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.probability import Tracestate
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import KEEP, SHUTDOWN, THRESHOLD, Traces
from traces_to_sample import START, request_of, trace

TARGET, SECONDS, SETTLED = 60, 60, 10
DEVIATIONS_999 = 3.2905
"""Standard deviations of the two-sided 99.9 % interval of a normal distribution."""


@dataclass
class Kept:
    traces: int = 0
    scaled: float = 0.0
    """As many as they stand for by the `th` that they leave with."""
    variance: float = 0.0
    offered: float = 0.0
    """Before the earlier sampler."""


class Rig:
    """One sidecar that samples adaptively."""

    def __init__(self) -> None:
        limits = {"targetTracesPerSecond": TARGET, "minProbability": 0.0001}
        rules = Rules(section(sampling(default={"type": "Adaptive", "adaptive": limits})), Numbers())
        self.time, self.chance, self.table = 0.0, random.Random(31), Traces(seed=1)
        spread = Spread(str, lambda: self.time)
        self.decider = Decider(rules, Remembered(), Told(), spread, 0.0, 0.0)
        self._folder = Folder(self.table, keys=self.decider.keys)
        self._tracestate = Tracestate()

    def pass_second(self, loads: Sequence[tuple[int, str, int]]) -> Kept:
        """Of each load so many traces, that came with the threshold in a tracestate."""
        kept = Kept()
        offers = [(state, came) for traces, state, came in loads for _ in range(traces)]
        self.chance.shuffle(offers)
        for state, came in offers:
            self._decide(state, came, kept)
        self.time += 1.0
        self.decider.tick(self.time, self.time)
        return kept

    def _decide(self, state: str, came: int, kept: Kept) -> None:
        (span,) = trace(self.chance, 1, state=state)
        span.trace_id = self.chance.randbytes(9) + self.chance.randrange(came, 1 << 56).to_bytes(7)
        self._folder.fold(request_of([span]), START // 10**6)
        (slot,) = self.table.due(SHUTDOWN)
        self.decider.decide(self.table, [slot])
        verdict = self.table.verdict(slot)
        assert verdict is not None
        self.table.remove(slot)
        stands_for = 1.0 / probability_of(came)
        kept.offered += stands_for
        threshold = max(came, verdict & THRESHOLD)
        share = probability_of(threshold) * stands_for
        kept.variance += stands_for**2 * (1.0 - share) / share
        if verdict & KEEP:
            kept.traces += 1
            leaves, _ = self._tracestate.parse(self._tracestate.at(state.encode(), verdict & THRESHOLD))
            assert leaves == threshold
            kept.scaled += 1.0 / probability_of(leaves)


TENTH, HALF = ("ot=th:e6666", int("e6666000000000", 16)), ("ot=th:8", 1 << 55)
LOADS = {
    "all of them one in ten": [(600, *TENTH)],
    "some of them": [(150, *TENTH), (450, "", 0)],
    "less than the target, and all of it loud": [(50, *TENTH)],
    "some of them, of which few are to be left out": [(40, *TENTH), (20, *HALF), (40, "vendor=1", 0)],
}


@pytest.mark.parametrize("loads", LOADS.values(), ids=LOADS.keys())
def test_the_target_holds_and_counts_scaled_up_are_right(loads: list[tuple[int, str, int]]) -> None:
    rig = Rig()
    seconds = [rig.pass_second(loads) for _ in range(SECONDS)]
    wanted = min(TARGET, sum(traces for traces, _, _ in loads))
    settled = [second.traces for second in seconds[SETTLED:]]
    assert 0.8 * wanted <= sum(settled) / len(settled) <= 1.2 * wanted, settled
    offered = sum(second.offered for second in seconds)
    off = sum(second.scaled for second in seconds) - offered
    assert abs(off) <= DEVIATIONS_999 * sqrt(sum(second.variance for second in seconds)) + 0.001 * offered


def test_what_is_reported_is_what_there_was_before_and_what_there_is() -> None:
    rig = Rig()
    for _ in range(20):
        rig.pass_second([(100, *TENTH), (100, "", 0)])
    adaptive = rig.decider.adaptive
    assert adaptive is not None
    assert list(adaptive.rates().values()) == pytest.approx([1100.0], rel=0.01)
    assert list(adaptive.coming().values()) == pytest.approx([200.0], rel=0.01)
    assert adaptive.lowest == pytest.approx(TARGET / 1100.0, rel=0.1), "one probability for all"
