"""What others keep is kept here, too, however far a trace is here; and others hear what they may leave out."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import ERRORS, FaultyFiles, sampling
from log_harness import ManualClock
from stage_rig import Rig, ids, running, section
from tracekeeper_sidecar.coordination import Hub, KeptBatch
from tracekeeper_sidecar.decide import decider as deciding
from tracekeeper_sidecar.decide import stage as stages
from tracekeeper_sidecar.model import Position
from traces_to_sample import trace

HALF = 8 << 52
NOTHING = {"type": "Probabilistic", "probabilistic": {"probability": 0}}


def fixed(probability: float) -> dict[str, Any]:
    return {"type": "Probabilistic", "probabilistic": {"probability": probability}}


def adaptive(**fields: Any) -> dict[str, Any]:
    return {"type": "Adaptive", "adaptive": fields}


class Told(Rig):
    """One that is told things."""

    rescues: list[tuple[bytes, Position, float]]

    @property
    def hub(self) -> Hub:
        return self.stage.coordinator

    def hear(self, *traces: list[Span], rule: str = "errors", threshold: int = 0, erase: bool = False) -> None:
        together = b"".join(spans[0].trace_id for spans in traces)
        self.hub.on_kept(KeptBatch(rule, threshold, erase, self.clock.now() - 1.0, together))

    def met(self) -> dict[str, int]:
        return {what: count for what, count in self.stage.health().told.items() if count}

    def told(self) -> list[tuple[str, int, bool, int]]:
        return [(batch.rule, batch.threshold, batch.erase, batch.traces) for batch in self.hub.kept()]

    def states(self) -> Iterator[tuple[str, str]]:
        """Id and tracestate of each span that is kept."""
        reader = self.kept.reader(self.kept.begin)
        while (batch := reader.read(1 << 20, 64 << 20)) is not None:
            for resource in ExportTraceServiceRequest.FromString(batch.body).resource_spans:
                for scope in resource.scope_spans:
                    yield from ((span.span_id.hex(), span.trace_state) for span in scope.spans)
        reader.close()


@asynccontextmanager
async def told(
    folder: Path, written: dict[str, Any], clock: ManualClock | None = None, files: FaultyFiles | None = None
) -> AsyncIterator[Told]:
    rescues: list[tuple[bytes, Position, float]] = []
    async with running(folder, written, files, clock, lambda *rescue: rescues.append(rescue)) as rig:
        rig.__class__ = Told
        assert isinstance(rig, Told)
        rig.rescues = rescues
        rig.hub.on_attached(True)
        yield rig


@pytest.fixture
def chance() -> random.Random:
    return random.Random(12)


async def test_what_comes_of_an_unknown_trace_later_follows(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling()) as rig:
        elsewhere, other = trace(chance), trace(chance)
        rig.hear(elsewhere)
        await rig.put([*elsewhere, *other])
        assert await rig.decided() == (ids(elsewhere), {"default": 4})
        assert rig.met() == {"unknown": 1} and not rig.rescues
        assert rig.stage.health().kept == {"errors": 1}


async def test_an_open_trace_is_kept_without_waiting_for_its_time(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling(wait="2m")) as rig:
        spans = trace(chance)
        await rig.put(spans[:3])
        await rig.until(lambda: rig.stage.health().open_traces == 1, "it is folded")
        begun = rig.clock.time
        rig.hear(spans)
        assert await rig.decided() == (ids(spans[:3]), {})
        assert rig.clock.time - begun < 60 and rig.met() == {"open": 1}


async def test_a_trace_that_waits_to_be_cut_is_kept_after_all(tmp_path: Path, chance: random.Random) -> None:
    """Decided, and held up by an older one."""
    async with told(tmp_path, sampling(wait="2m")) as rig:
        older, spans = trace(chance), trace(chance)
        await rig.put(older[:1])
        await rig.put(spans)
        await rig.until(lambda: rig.stage.health().left_out["default"] == 1, "it is decided")
        rig.hear(spans)
        assert rig.met() == {"overturned": 1} and not rig.rescues
        assert await rig.decided() == (ids(spans), {"default": 1})


async def test_what_is_cut_already_is_rescued_and_the_rest_follows(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling()) as rig:
        spans = trace(chance, 6)
        await rig.put(spans[3:])
        assert await rig.decided() == (set(), {"default": 3})
        rig.hear(spans, threshold=HALF, rule="premium")
        ((packed, until, decided),) = rig.rescues
        assert packed[:16] == spans[0].trace_id
        assert not rig.stage.verdict(packed[:16]), "a dump cannot know whether it has been rescued"
        assert until == rig.stage.reached and decided == rig.clock.now() - 1.0
        rig.hear(spans, threshold=HALF, rule="premium")
        assert len(rig.rescues) == 1, "it is handed on once"
        await rig.put(spans[:3])
        assert await rig.decided() == (ids(spans[:3]), {"default": 3})
        assert {state for _, state in rig.states()} == {"ot=th:8"}
        assert rig.met() == {"passed": 1, "kept": 1}


async def test_a_trace_of_which_a_part_is_cut_is_torn_nowhere(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "CUT_SPANS", 1)
    async with told(tmp_path, sampling(wait="2m")) as rig:
        spans, other = trace(chance, 6), trace(chance)
        await rig.put(spans[2:])
        await rig.put(other[:1])
        await rig.put(spans[:2])
        await rig.until(lambda: rig.stage.reached.seq == 4, "a part is cut")
        rig.hear(spans)
        assert [until.seq for _, until, _ in rig.rescues] == [4]
        kept, out = await rig.decided()
        assert kept == ids(spans[:2]) and out == {"default": 5}


async def test_a_verdict_that_comes_while_a_frame_is_being_written_counts_from_the_next_one_on(
    tmp_path: Path, chance: random.Random
) -> None:
    files = FaultyFiles()
    async with told(tmp_path, sampling(), files=files) as rig:
        spans = trace(chance, 6)
        await rig.put(spans[2:])
        files.broken = lambda operation, path: "/kept/" in path and operation == "write"
        await rig.until(lambda: rig.stage.problem, "the disk has failed")
        assert rig.stage.reached.seq == 0
        rig.hear(spans)
        assert [until.seq for _, until, _ in rig.rescues] == [4], "that part was to be left out"
        files.broken = lambda operation, path: False
        await rig.put(trace(chance))
        assert await rig.decided() == (set(), {"default": 8})
    async with told(tmp_path, sampling(), files=files, clock=rig.clock) as rig:
        await rig.put(spans[:2])
        assert await rig.decided() == (ids(spans[:2]), {"default": 8}), "the verdict is on disk"


async def test_the_lower_threshold_counts_and_what_is_told_is_not_told_on(
    tmp_path: Path, chance: random.Random
) -> None:
    async with told(tmp_path, sampling(ERRORS)) as rig:
        bad, good, capped = trace(chance, error=True), trace(chance), trace(chance)
        await rig.put([*bad, *good, *capped])
        await rig.until(lambda: rig.stage.health().open_traces == 3, "they are folded")
        rig.hear(bad, good, rule="premium", threshold=HALF)
        rig.hear(capped, rule="max-spans", erase=True)
        kept, _ = await rig.decided()
        assert kept == ids(bad, good, capped)
        states = dict(rig.states())
        assert {states[span.span_id.hex()] for span in bad} == {"ot=th:0"}
        assert {states[span.span_id.hex()] for span in good} == {"ot=th:8"}
        assert {states[span.span_id.hex()] for span in capped} == {""}
        assert rig.told() == [("errors", 0, False, 1)]
        assert rig.stage.health().kept == {"errors": 1, "unknown": 1, "max-spans": 1}


async def test_too_many_open_ones_are_decided_at_once(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "MOST_PROMISED", 2)
    async with told(tmp_path, sampling(wait="2m")) as rig:
        traces = [trace(chance) for _ in range(5)]
        await rig.put([spans[0] for spans in traces])
        await rig.until(lambda: rig.stage.health().open_traces == 5, "they are folded")
        rig.hear(*traces, rule="premium", threshold=HALF)
        await rig.until(lambda: rig.stage.health().open_traces == 2, "there was no room for three")
        kept, _ = await rig.decided()
        assert kept == ids(*(spans[:1] for spans in traces))


async def test_told_is_what_others_may_leave_out_and_nothing_else(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling(ERRORS, default=fixed(0.5))) as rig:
        assert rig.hub.report() is None, "there is no target to share"
        bad, good = [trace(chance, error=True) for _ in range(20)], [trace(chance) for _ in range(20)]
        for spans in [*bad, *good]:
            await rig.put(spans)
        await rig.decided()
        assert rig.told() == [("errors", 0, False, 20)]
        assert rig.stage.health().spread == {"handed_over": 20, "dropped": 0}


@pytest.mark.parametrize("attached", [True, False])
async def test_nothing_is_gathered_where_nobody_listens_or_the_id_says_it(
    tmp_path: Path, chance: random.Random, attached: bool
) -> None:
    written = {"decisionWait": "1s", "default": fixed(0.5)} if attached else sampling(ERRORS)
    async with running(tmp_path, written) as rig:
        if attached:
            rig.stage.coordinator.on_attached(True)
        for _ in range(10):
            await rig.put(trace(chance, error=True))
        await rig.decided()
        assert not rig.stage.coordinator.kept() and not rig.stage.health().spread.total()


async def test_a_trace_over_the_cap_is_told_as_one_without_a_probability(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, {**sampling(), "maxSpansPerTrace": 100}) as rig:
        await rig.put(trace(chance, 150))
        await rig.decided()
        assert rig.told() == [("max-spans", 0, True, 1)]


async def test_the_default_tells_what_is_below_the_floor_that_all_have(tmp_path: Path, chance: random.Random) -> None:
    """Alone it would keep all of them; the others keep at least those from the floor on."""
    async with told(tmp_path, sampling(default=adaptive(targetTracesPerSecond=1000))) as rig:
        rig.hub.on_share(1000.0, 3, 0.5)
        assert rig.stage.health().floor == 0.5
        traces = [trace(chance) for _ in range(100)]
        for spans in traces:
            await rig.put(spans)
        kept, _ = await rig.decided()
        assert kept == ids(*traces)
        below = {spans[0].trace_id for spans in traces if spans[0].trace_id[9] < 0x80}
        together = b"".join(batch.ids for batch in rig.hub.kept())
        assert {together[at : at + 16] for at in range(0, len(together), 16)} == below


async def test_reports_have_the_rates_by_key_and_shares_come_back(tmp_path: Path, chance: random.Random) -> None:
    written = sampling(default=adaptive(targetTracesPerSecond=100, groupBy=["service.name", "operation"]))
    async with told(tmp_path, written) as rig:
        assert (rig.stage.health().share, rig.stage.health().sidecars) == (100.0, 1)
        for _ in range(40):
            await rig.put(trace(chance))
        await rig.decided()
        rig.clock.advance(1.0)
        report = rig.hub.report()
        assert report is not None and set(report.keys) == {"shop, root"}
        assert report.keys["shop, root"] > 0.0 and report.lowest == 1.0
        rig.hub.on_share(25.0, 4, 0.05)
        rig.hub.on_share(-1.0, 4, 0.05)
        rig.hub.on_share(1.0, 0, 0.05)
        rig.clock.advance(1.0)
        rig.hub.report()
        health = rig.stage.health()
        assert (health.share, health.sidecars, health.floor) == (25.0, 4, 0.05)


async def test_rates_that_were_learned_are_there_after_a_restart(tmp_path: Path, chance: random.Random) -> None:
    written = sampling(default=adaptive(targetTracesPerSecond=10, groupBy=["service.name"]))
    async with told(tmp_path, written) as rig:
        rig.hub.on_share(5.0, 2, 0.02)
        for _ in range(20):
            await rig.put([span for _ in range(10) for span in trace(chance)])
            rig.clock.advance(3.0)
            await rig.decided()
        before = rig.hub.report()
        clock, granted = rig.clock, rig.stage.health().share
    assert before is not None and (tmp_path / "kept" / "rates.a").exists()
    async with told(tmp_path, written, clock) as rig:
        await rig.until(lambda: rig.hub.report() and rig.hub.report().keys, "they are there")  # type: ignore[union-attr]
        after = rig.hub.report()
        assert after is not None and after.keys.keys() == before.keys.keys()
        health = rig.stage.health()
        assert granted is not None and health.share == pytest.approx(granted, rel=0.5) and health.sidecars == 2
        assert not [note for note in rig.kept.recovery.notes if "rates" in note]


@pytest.mark.parametrize("damage", [b"", b"\xff" * 300, b"{}"])
async def test_saved_rates_that_are_damaged_are_learned_anew(
    tmp_path: Path, chance: random.Random, damage: bytes
) -> None:
    written = sampling(default=adaptive(targetTracesPerSecond=10))
    (tmp_path / "kept").mkdir()
    for name in ("rates.a", "rates.b"):
        (tmp_path / "kept" / name).write_bytes(damage)
    async with told(tmp_path, written) as rig:
        spans = trace(chance)
        await rig.put(spans)
        assert await rig.decided() == (ids(spans), {})


async def test_a_config_that_changes_keeps_what_others_have_told(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling(ERRORS, wait="5m")) as rig:
        waiting, unknown = trace(chance), trace(chance)
        await rig.put(waiting[:2])
        await rig.until(lambda: rig.stage.health().open_traces == 1, "it is folded")
        rig.hear(waiting, unknown, rule="premium", threshold=HALF)
        rig.stage.configure(section(sampling(wait="2m")))
        await rig.put([*waiting[2:], *unknown])
        kept, _ = await rig.decided()
        assert kept == ids(waiting, unknown)


async def test_a_batch_that_is_none_changes_nothing(tmp_path: Path, chance: random.Random) -> None:
    async with told(tmp_path, sampling()) as rig:
        spans = trace(chance)
        for batch in (
            KeptBatch("errors", 0, False, 0.0, spans[0].trace_id + b"x"),
            KeptBatch("errors", (1 << 56) + 1, False, 0.0, spans[0].trace_id),
            KeptBatch("errors", -1, False, 0.0, spans[0].trace_id),
        ):
            rig.hub.on_kept(batch)
        await rig.put(spans)
        assert await rig.decided() == (set(), {"default": 4})
        assert not rig.met()
