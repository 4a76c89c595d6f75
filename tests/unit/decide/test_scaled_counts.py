"""What a backend can tell from kept spans alone: how many there were of each kind, by the `th` that they say."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from math import sqrt
from pathlib import Path

from forward_support.routed import sampling
from stage_rig import running
from traces_to_sample import trace

DEVIATIONS = 4.42
"""Standard deviations of the two-sided 99.999 % interval of a normal distribution."""
SECONDS, TARGET, SPANS = 90, 40.0, 2
ADAPTIVE = {"targetTracesPerSecond": TARGET, "groupBy": ["operation"]}


def load(second: int) -> dict[str, int]:
    """Traces of each kind: a loud one with a burst, one that gets louder, one that is kept whole, a rare one."""
    loud = 1500 if 40 <= second < 50 else 200
    return {"loud": loud, "louder": 10 + second, "quiet": 4, "rare": int(second % 20 == 0)}


def probability(state: str) -> float:
    """That a kept span's tracestate tells."""
    assert state.startswith("ot=th:"), state
    return 1.0 - int(state.removeprefix("ot=th:").ljust(14, "0"), 16) / 2**56


async def test_counts_scaled_up_by_what_kept_spans_say_are_right_for_each_kind(tmp_path: Path) -> None:
    chance, kinds, true = random.Random(31), dict[bytes, str](), Counter[str]()
    default = {"type": "Adaptive", "adaptive": ADAPTIVE}
    written = {**sampling(wait="5s", default=default), "rules": []}
    async with running(tmp_path, written) as rig:
        for second in range(SECONDS):
            spans = []
            for kind, traces in load(second).items():
                for _ in range(traces):
                    made = trace(chance, SPANS)
                    made[-1].name = kind
                    kinds[made[0].trace_id] = kind
                    spans += made
                true[kind] += SPANS * traces
            chance.shuffle(spans)
            await rig.put(spans)
            due = rig.clock.time + 1.0
            await rig.until(lambda: rig.clock.time >= due, "a second has passed")  # noqa: B023 - used at once
        await rig.decided()
        kept = rig.kept_spans()
    scaled, variance = defaultdict[str, float](float), defaultdict[str, float](float)
    said = defaultdict[str, set[float]](set)
    for span in kept:
        kind, share = kinds[span.trace_id], probability(span.trace_state)
        said[kind].add(share)
        scaled[kind] += 1.0 / share
        # All spans of a trace are kept, or none.
        variance[kind] += SPANS * (1.0 - share) / share**2
    for kind, spans_of_it in true.items():
        deviation = sqrt(variance[kind])
        print(f"{kind}: {spans_of_it} spans, {scaled[kind]:.0f} by the kept ones, deviation {deviation:.0f}")
        # Of few traces, those kept do not show how much may have been left out: one trace more or less is chance.
        assert abs(scaled[kind] - spans_of_it) <= DEVIATIONS * deviation + SPANS + 1e-6 * spans_of_it, kind
        assert deviation < 0.1 * spans_of_it, "the interval says something"
    assert max(said["quiet"]) == max(said["rare"]) == 1.0
    assert len(said["loud"]) > 5 and max(said["loud"]) > 3 * min(said["loud"]), "the probability has followed the load"
    assert len(kept) < 0.2 * true.total()
