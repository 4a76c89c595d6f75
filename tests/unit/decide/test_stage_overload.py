"""A stage that cannot keep up, or has no room: what it does then, and that it comes back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import sampling
from stage_rig import Rig, ids, running
from tracekeeper_sidecar.decide.overload import OverloadSettings
from traces_to_sample import trace

HALF = {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}
SMALL = OverloadSettings(open_traces=20, leave_after=10.0)


@pytest.fixture
def chance() -> random.Random:
    return random.Random(41)


def bad(chance: random.Random, *, high: bool) -> list[Span]:
    """A trace with an error; by its id it is kept at one half if `high`."""
    while True:
        spans = trace(chance, error=True)
        if (spans[0].trace_id[9] >= 0x80) == high:
            return spans


def overloaded(rig: Rig) -> bool:
    return rig.stage.health().overloaded


async def enter(rig: Rig, chance: random.Random, traces: int) -> None:
    """That many traces stay open."""
    await rig.put([trace(chance)[0] for _ in range(traces)])


async def test_in_overload_ids_decide_and_after_a_calm_time_rules_again(tmp_path: Path, chance: random.Random) -> None:
    low, high = bad(chance, high=False), bad(chance, high=True)
    async with running(tmp_path, sampling(wait="1h", default=HALF), overload=SMALL) as rig:
        await rig.put(low[:2])
        await enter(rig, chance, 18)
        await rig.until(lambda: rig.stage.health().open_traces == 19, "they are folded")
        begun = rig.clock.time
        await rig.until(lambda: rig.clock.time > begun + 2, "it has been looked at")
        assert not overloaded(rig), "one below the bound"
        await enter(rig, chance, 1)
        await rig.until(lambda: overloaded(rig), "that is one too many")
        entered = rig.clock.time
        await rig.put([*low[2:], *high])
        kept, out = await rig.decided()
        assert ids(high) <= kept and not ids(low) & kept, "no rule was asked"
        assert set(out) == {"overload"}
        states = {span.trace_state for span in rig.kept_spans()}
        assert states == {"ot=th:8"}
        # Nothing is open any more; the state stays for its time all the same, and another burst does not enter it anew.
        await rig.until(lambda: rig.clock.time > entered + 6, "some time passes")
        await enter(rig, chance, 30)
        await rig.decided()
        assert overloaded(rig)
        await rig.until(lambda: not overloaded(rig), "it is over")
        assert rig.clock.time - entered >= SMALL.leave_after
        health = rig.stage.health()
        assert health.overloads == {"open_traces": 1}
        assert health.overload_seconds == pytest.approx(rig.clock.time - entered, abs=2.0)
        again = bad(chance, high=False)
        await rig.put(again)
        kept, _ = await rig.decided()
        assert ids(again) <= kept
        assert rig.stage.health().kept["errors"] == 1


async def test_a_load_that_does_not_fall_keeps_it_up(tmp_path: Path, chance: random.Random) -> None:
    bounds = OverloadSettings(bytes=1, leave_after=2.0)
    async with running(tmp_path, sampling(wait="1s", default=HALF), overload=bounds) as rig:
        await rig.put(trace(chance))
        await rig.until(lambda: overloaded(rig), "a table takes more than a byte")
        begun = rig.clock.time
        await rig.until(lambda: rig.clock.time > begun + 20, "time passes")
        assert overloaded(rig), "the table keeps what it was given at the beginning"
        assert rig.stage.health().overloads == {"bytes": 1}


async def test_when_the_log_is_nearly_full_rules_are_asked_of_what_has_come(
    tmp_path: Path, chance: random.Random
) -> None:
    seen, unseen, good = bad(chance, high=False), bad(chance, high=False), trace(chance)
    async with running(tmp_path, sampling(wait="1h")) as rig:
        await rig.put([*seen[2:], *unseen[:2], *good[:2]])
        await rig.until(lambda: rig.stage.health().open_traces >= 2, "they are folded")
        assert not rig.stage.health().hurried
        begun = rig.clock.time
        for _ in range(3):
            rig.stage.hurry()
        assert rig.stage.health().hurried
        assert await rig.decided() == (ids(seen[2:]), {"default": 4})
        assert rig.clock.time - begun < 60
        await rig.until(lambda: rig.clock.time > begun + 60, "there is room again")
        assert not rig.stage.health().hurried
        assert rig.stage.health().hurries == 1 and not rig.stage.health().overloads
        rig.stage.hurry()
        assert rig.stage.health().hurries == 2


async def test_a_target_that_the_minimum_does_not_meet_is_told_when_it_lasts(
    tmp_path: Path, chance: random.Random
) -> None:
    adaptive = {"targetTracesPerSecond": 0.01, "minProbability": 0.5}
    rules = sampling(wait="1s", default={"type": "Adaptive", "adaptive": adaptive})
    async with running(tmp_path, rules) as rig:
        begun = rig.clock.time
        while not rig.stage.health().at_floor:
            await rig.put(trace(chance))
            await rig.decided()
            assert rig.clock.time < begun + 600, rig.stage.health()
        assert rig.clock.time - begun >= 60.0
        assert rig.stage.health().pinned >= 60.0
