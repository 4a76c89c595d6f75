"""Sampling at work over real logs: every span is counted once in the kept log, whatever traces look like."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import ERRORS, FaultyFiles, sampling
from log_harness import ManualClock
from stage_rig import Rig, ids, running, section
from tracekeeper_sidecar.decide import stage as stages
from traces_to_sample import START, request_of, trace

SLOW = {"name": "slow", "match": "trace.duration > 1m", "probability": 1}


@pytest.fixture
def chance() -> random.Random:
    return random.Random(11)


def has_open(rig: Rig, traces: int) -> bool:
    return rig.stage.health().open_traces == traces


async def test_a_root_that_never_comes_holds_a_trace_up_for_its_wait_only(
    tmp_path: Path, chance: random.Random
) -> None:
    async with running(tmp_path, sampling(wait="1m")) as rig:
        orphan, bad = trace(chance)[:3], trace(chance, error=True)
        await rig.put(orphan)
        await rig.put(bad)
        begun = rig.clock.time
        assert await rig.decided() == (ids(bad), {"default": 3})
        assert 59 < rig.clock.time - begun


async def test_without_rules_a_fixed_probability_decides_with_the_first_span(
    tmp_path: Path, chance: random.Random
) -> None:
    half = {"decisionWait": "30m", "default": {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}}
    async with running(tmp_path, half) as rig:
        traces = [trace(chance) for _ in range(200)]
        begun = rig.clock.time
        await rig.put([spans[0] for spans in traces])
        kept, out = await rig.decided()
        assert 60 < len(kept) < 140 and out == {"default": 200 - len(kept)}
        await rig.put([span for spans in traces for span in spans[1:]])
        whole, _ = await rig.decided()
        assert whole == ids(*(spans for spans in traces if spans[0].span_id.hex() in kept)), "a trace is torn"
        assert rig.clock.time - begun < 60


async def test_spans_that_start_after_their_end_make_no_trace_long(tmp_path: Path, chance: random.Random) -> None:
    async with running(tmp_path, sampling(SLOW)) as rig:
        odd = trace(chance)
        for span in odd:
            span.start_time_unix_nano, span.end_time_unix_nano = START + 10**12, START
        await rig.put(odd)
        assert await rig.decided() == (set(), {"default": 4})


async def test_clocks_that_are_hours_apart_decide_nothing_early_or_late(tmp_path: Path, chance: random.Random) -> None:
    """When spans came counts, not what they say; their difference is the trace's duration all the same."""
    async with running(tmp_path, sampling(SLOW, wait="30m")) as rig:
        apart, ancient = trace(chance), trace(chance)
        for span in apart[:2]:
            span.start_time_unix_nano -= 5 * 3600 * 10**9
        for span in ancient:
            span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
        await rig.put(apart)
        await rig.put(ancient)
        begun = rig.clock.time
        assert await rig.decided() == (ids(apart), {"default": 4})
        assert rig.clock.time - begun < 1800


async def test_a_trace_over_the_cap_is_kept_at_once_and_holds_up_no_other(
    tmp_path: Path, chance: random.Random
) -> None:
    async with running(tmp_path, {**sampling(wait="30m"), "maxSpansPerTrace": 100}) as rig:
        giant, good = trace(chance, 300), trace(chance)
        await rig.put(giant[:150])
        await rig.put(good)
        await rig.put(giant[150:299])
        begun = rig.clock.time
        assert await rig.decided() == (ids(giant[:299]), {"default": 4})
        assert rig.clock.time - begun < 1800
        assert rig.stage.health().kept == {"max-spans": 1}


async def test_a_trace_with_a_million_spans_passes_in_bounded_memory(tmp_path: Path) -> None:
    async with running(tmp_path, sampling(wait="30m")) as rig:
        # Cheap spans: nothing but ids, the same ones in each request.
        spans = [Span(trace_id=b"t" * 16, span_id=number.to_bytes(8), parent_span_id=b"p") for number in range(1, 4001)]
        body = request_of(spans)
        for _ in range(250):
            await rig.put_raw(body, 4000)
        await rig.until(lambda: rig.stage.reached.seq == 1_000_000, "everything is decided")
        assert rig.kept.end.seq == 1_000_000
        health = rig.stage.health()
        assert (health.open_traces, health.kept, health.left_out) == (0, {"max-spans": 1}, {})
        assert health.table_bytes < 2 << 20


async def test_spans_that_come_late_follow_the_verdict_also_after_a_restart(
    tmp_path: Path, chance: random.Random
) -> None:
    bad, good, clock = trace(chance, 6, error=True), trace(chance, 6), ManualClock()
    async with running(tmp_path, sampling(), clock=clock) as rig:
        await rig.put(bad[3:])
        await rig.put(good[3:])
        assert await rig.decided() == (ids(bad[3:]), {"default": 3})
        await rig.put([bad[0], good[0]])
        assert await rig.decided() == (ids(bad[3:], bad[:1]), {"default": 4})
    async with running(tmp_path, sampling(), clock=clock) as rig:
        await rig.put([bad[1], good[1], bad[2], good[2]])
        assert await rig.decided() == (ids(bad), {"default": 6})


async def test_a_restart_folds_the_same_and_decides_at_the_same_time(tmp_path: Path, chance: random.Random) -> None:
    traces = [trace(chance, error=number % 3 == 0) for number in range(30)]
    clock = ManualClock()
    for number in range(3):
        async with running(tmp_path, sampling(wait="10m"), clock=clock) as rig:
            await rig.put([spans[number] for spans in traces])
            clock.advance(100)
    begun = clock.time
    async with running(tmp_path, sampling(wait="10m"), clock=clock) as rig:
        await rig.until(lambda: rig.stage.health().open_traces == 30, "they are all there")
        assert rig.stage.reached.seq == 0
        await rig.put([spans[3] for spans in traces[:15]])
        kept, out = await rig.decided()
    assert kept == ids(*(spans for spans in traces[:15:3])) and out == {"default": 15 * 3 + 10 * 4}
    assert 290 < clock.time - begun < 600


async def test_after_a_long_time_down_traces_are_decided_when_they_are_whole(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their time is over when the first of their spans is read again; it goes by when the others came all the same."""
    clock, traces = ManualClock(), [trace(chance, error=True) for _ in range(10)]
    async with running(tmp_path, sampling(wait="1m"), clock=clock) as rig:
        for number in range(4):
            await rig.put([spans[number] for spans in traces])
    clock.advance(7200)
    monkeypatch.setattr(stages, "FOLDED_AT_ONCE", 1)
    monkeypatch.setattr(stages, "FOLD_SPANS", 1)
    async with running(tmp_path, sampling(wait="1m"), clock=clock) as rig:
        assert await rig.decided() == (ids(*traces), {})
        assert rig.stage.health().kept == {"errors": 10}


async def test_a_kept_log_that_refused_for_hours_is_no_overload(tmp_path: Path, chance: random.Random) -> None:
    files = FaultyFiles()
    async with running(tmp_path, sampling(wait="1s"), files) as rig:
        files.broken = lambda operation, path: "/kept/" in path and operation == "write"
        await rig.put(trace(chance))
        await rig.until(lambda: rig.stage.problem, "the disk has failed")
        bad = [trace(chance, error=True) for _ in range(3)]
        for spans in bad:
            await rig.put(spans)
        rig.clock.advance(7200)
        files.broken = lambda operation, path: False
        kept, _ = await rig.decided()
        assert kept == ids(*bad)
        assert not rig.stage.health().overloads


async def test_an_explicit_probability_decides_by_the_trace_id_alone(tmp_path: Path, chance: random.Random) -> None:
    half = {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}
    traces = [trace(chance) for _ in range(200)]
    async with running(tmp_path, sampling(default=half)) as rig:
        for spans in traces:
            await rig.put(spans)
        kept, _ = await rig.decided()
    assert kept == ids(*(spans for spans in traces if spans[0].trace_id[9] >= 0x80))


async def test_what_cannot_be_read_as_a_request_passes_as_it_is(tmp_path: Path, chance: random.Random) -> None:
    """It was acknowledged: nothing may be lost of it, nor held up behind it."""
    odd = b"\x0a\x05\x12"
    async with running(tmp_path, sampling()) as rig:
        await rig.put_raw(odd, 7)
        await rig.until(lambda: rig.stage.reached.seq == 7, "it has passed")
        bad = trace(chance, error=True)
        await rig.put(bad)
        await rig.until(lambda: rig.stage.reached.seq == 11, "what comes behind it is decided")
        reader = rig.kept.reader(rig.kept.begin)
        first, second = reader.read(1, 1), reader.read(1, 1)
        assert first is not None and second is not None
        assert (first.body, first.spans, second.spans) == (odd, 7, 4)
        reader.close()


async def test_a_request_with_more_traces_than_there_is_room_for_is_decided_by_trace_id(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "MOST_TRACES", 10)
    monkeypatch.setattr(stages, "SPARE", 5)
    half = {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}
    traces = [trace(chance) for _ in range(100)]
    async with running(tmp_path, sampling(default=half)) as rig:
        await rig.put([span for spans in traces for span in spans[:2]])
        await rig.decided()
        await rig.put([span for spans in traces for span in spans[2:]])
        kept, _ = await rig.decided()
    assert kept == ids(*(spans for spans in traces if spans[0].trace_id[9] >= 0x80))


async def test_a_new_config_meets_no_trace_that_was_folded_for_the_old_one(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes: a test of a rule that is gone must not count as one of a new rule."""
    monkeypatch.setattr(stages, "FOLD_SPANS", 1)
    old = {"name": "old", "match": 'span.name == "root"', "probability": 1}
    new = {"name": "new", "match": 'span.name == "nobody"', "probability": 1}
    for number in range(20):
        folder, clock = tmp_path / str(number), ManualClock()
        async with running(folder, sampling(old), clock=clock) as rig:
            for _ in range(8):
                await rig.put(trace(chance))
        clock.advance(60)
        async with running(folder, sampling(old), clock=clock) as rig:
            await asyncio.sleep(0.0005 * number)
            rig.stage.configure(section(sampling(new)))
            await rig.decided()
            assert set(rig.stage.health().kept) <= {"old"}


async def test_no_file_stays_open_when_the_config_changes_or_sampling_ends(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "WARM_BYTES", 0)
    files, clock = FaultyFiles(), ManualClock()
    async with running(tmp_path, sampling(wait="30m"), files, clock) as rig:
        await rig.put(trace(chance)[:3])
    async with running(tmp_path, sampling(wait="30m"), files, clock) as rig:
        await rig.until(lambda: rig.stage.health().open_traces, "it has read from files")
        for number in range(5):
            rig.stage.configure(section(sampling(wait=f"{30 - number}m")))
            await rig.put(trace(chance)[:3])
            await rig.until(partial(has_open, rig, number + 2), "it has read again")
        assert sum("/log/" in path for path in files.handles.values()) <= 3
        rig.task.cancel()
        await asyncio.wait((rig.task,))
        assert sum("/log/" in path for path in files.handles.values()) <= 1, "the log writes to one itself"


async def test_a_disk_that_fails_repeats_and_forgets_nothing(tmp_path: Path, chance: random.Random) -> None:
    files = FaultyFiles()
    traces = [trace(chance, error=number % 2 == 0) for number in range(40)]
    async with running(tmp_path, sampling(ERRORS), files) as rig:
        for number, spans in enumerate(traces):
            if number % 8 == 0:
                files.broken = lambda operation, path: "/kept/" in path and operation == "write"
            await rig.put(spans)
            if number % 8 == 4:
                await rig.until(lambda: rig.stage.problem, "the disk has failed")
                files.broken = lambda operation, path: False
                await rig.until(lambda: not rig.stage.problem, "it is well again")
        assert await rig.decided() == (ids(*traces[::2]), {"default": 80})
        assert not rig.stage.problem


async def test_a_kill_at_any_moment_repeats_and_forgets_nothing(tmp_path: Path, chance: random.Random) -> None:
    """The task is cancelled wherever it is, in the middle of a write too, and another one goes on from the disk."""
    clock, traces = ManualClock(), [trace(chance, error=number % 2 == 0) for number in range(60)]
    for number, spans in enumerate(traces):
        async with running(tmp_path, sampling(), clock=clock) as rig:
            await rig.put(spans)
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
                clock.advance(0.5)
        assert rig.kept.end.seq <= 4 * (number + 1)
    async with running(tmp_path, sampling(), clock=clock) as rig:
        assert await rig.decided() == (ids(*traces[::2]), {"default": 120})
