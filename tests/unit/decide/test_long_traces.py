"""Traces that go on for hours, as agents' do: the first verdict holds, and nothing waits longer than `decisionWait`."""

from __future__ import annotations

import random
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from forward_support.routed import sampling
from stage_rig import Rig, ids, running
from tracekeeper_sidecar.wire.remembered import MOST
from traces_to_sample import request_of, trace

ANY_ERROR = {"name": "errors", "match": "trace.errors > 0", "probability": 1}
WAIT = 30.0
BATCHES, EVERY = 10, 1200
"""Of the long traces, and seconds from the one to the next."""
SEGMENT = 256 << 10
TRAFFIC = 50
"""Other traces that come with each batch of the long ones."""


def failed(span: Span) -> Span:
    span.status.code = Status.STATUS_CODE_ERROR
    return span


async def handed_on(rig: Rig) -> float:
    """Let time pass until everything is decided and cut; seconds that took. What was cut the log may let go."""
    begun = rig.clock.time
    await rig.until(lambda: rig.stage.reached.seq == rig.log.end.seq, "everything is decided")
    rig.log.release(rig.stage.reached)
    return rig.clock.time - begun


async def test_a_trace_of_three_hours_follows_its_first_verdict_and_holds_no_segment_beyond_its_wait(
    tmp_path: Path,
) -> None:
    """Its root ends when all is over. The one that had no error at first has one in each batch from then on."""
    chance = random.Random(21)
    kept, out = trace(chance, BATCHES), trace(chance, BATCHES)
    failed(kept[0])
    for late in out[1:]:
        failed(late)
    others = 0
    async with running(tmp_path, sampling(ANY_ERROR, wait="30s"), segment_size=SEGMENT) as rig:
        begun = rig.clock.time
        for number in range(BATCHES):
            await rig.put([kept[number], out[number]])
            traffic = [trace(chance) for _ in range(TRAFFIC)]
            for spans in traffic:
                spans[0].attributes.add(key="filler").value.string_value = "x" * (2 * SEGMENT // TRAFFIC)
                await rig.put(spans)
            others += 4 * TRAFFIC
            assert rig.log.pinned > SEGMENT
            assert await handed_on(rig) < 2 * WAIT
            assert rig.log.pinned <= SEGMENT, "a segment is held, besides the one that is written to"
            assert rig.found() == (ids(kept[: number + 1]), {"default": others + number + 1})
            rig.clock.advance(EVERY)
        assert rig.clock.time - begun > 3 * 3600
        assert {span.trace_state for span in rig.kept_spans()} == {"ot=th:0"}
        health = rig.stage.health()
        assert health.late == 2 * (BATCHES - 1)
        assert health.kept == {"errors": 1}


async def test_with_the_longest_wait_what_comes_later_in_that_hour_counts(tmp_path: Path) -> None:
    """All that lies behind its first span waits as long, on disk; what comes after the hour follows."""
    chance = random.Random(22)
    slow, short = trace(chance, 10), trace(chance)
    failed(slow[5])
    async with running(tmp_path, sampling(ANY_ERROR, wait="1h")) as rig:
        begun = rig.clock.time
        await rig.put(slow[:1])
        await rig.put(short)
        for number in range(1, 9):
            rig.clock.advance(400)
            await rig.put([slow[number]])
            due = rig.clock.time + 3
            await rig.until(lambda: rig.clock.time >= due, "a short trace would have been decided")  # noqa: B023
        assert rig.stage.reached.seq == 0
        rig.clock.advance(300)
        await rig.until(lambda: rig.stage.reached.seq == rig.log.end.seq, "the hour is over")
        assert 3600 <= rig.clock.time - begun < 3700
        assert rig.found() == (ids(slow[:9]), {"default": 4})
        rig.clock.advance(7200)
        await rig.put([slow[9]])
        assert (await rig.decided())[0] == ids(slow)


async def pass_others(rig: Rig, traces: int, first: int) -> None:
    """So many traces of one span each, the cheapest there are."""
    for begin in range(first, first + traces, 4096):
        numbers = range(begin, min(begin + 4096, first + traces))
        spans = [Span(trace_id=number.to_bytes(16), span_id=number.to_bytes(8)) for number in numbers]
        await rig.put_raw(request_of(spans), len(spans))
    await rig.until(lambda: rig.stage.reached.seq == rig.log.end.seq, "they are decided")


async def test_late_spans_of_a_kept_trace_are_kept_for_131072_traces_and_lost_after_262144(tmp_path: Path) -> None:
    """And each late span begins that anew."""
    chance = random.Random(23)
    kept, given_up = trace(chance), trace(chance)
    for spans in (kept, given_up):
        failed(spans[0])
    async with running(tmp_path, sampling(ANY_ERROR, wait="1s")) as rig:
        # The worst case: it is the last one of those that are forgotten together.
        await pass_others(rig, MOST - 1, 1)
        await rig.put(kept[:1])
        await rig.decided()
        await pass_others(rig, MOST - 1, 1 << 20)
        await rig.put(kept[1:2])
        assert (await rig.decided())[0] == ids(kept[:2]), "it was to be remembered"
        await rig.put(given_up[:1])
        await rig.decided()
        await pass_others(rig, MOST - 2, 2 << 20)
        await rig.put(kept[2:3])
        assert (await rig.decided())[0] == ids(kept[:3], given_up[:1]), "its late span has renewed that"
        await pass_others(rig, MOST + 2, 3 << 20)
        before = rig.stage.health().late
        await rig.put(given_up[1:])
        assert (await rig.decided())[0] == ids(kept[:3], given_up[:1]), "it was to be forgotten"
        assert rig.stage.health().late == before, "what is left of it is a trace of its own"
