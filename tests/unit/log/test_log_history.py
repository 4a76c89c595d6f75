"""What every entry has passed: kept while nothing needs its room, gone first, never in anybody's way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_harness import DIRECTORY, ManualClock, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import retention
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.retention import Limits
from tracekeeper_sidecar.log.segment import Segment
from tracekeeper_sidecar.log.slots import SLOTS
from tracekeeper_sidecar.model import Position
from waiting import until

SEGMENT = 16384
QUOTA = 1 << 20


async def fill(log: Log, count: int, size: int = 2000) -> None:
    for number in range(count):
        await log.append(b"%06d" % number + bytes(size - 6), 1)


def history_of(log: Log) -> int:
    return log.stats().history


async def test_passed_segments_stay_up_to_the_bound_oldest_gone_first() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=5 * SEGMENT)
    for _ in range(6):
        await fill(log, 30)
        log.release(log.end)
        await log.append(b"x", 1)
    await until(lambda: history_of(log) <= 5 * SEGMENT, "the writer, who deletes some behind each commit, is done")
    assert history_of(log) > 3 * SEGMENT
    assert log.begin.segment > 1
    kept = payloads_of(read_all(log, log.begin))
    assert len(kept) == log.end.seq - log.begin.seq > 30
    await log.close()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=5 * SEGMENT)
    assert payloads_of(read_all(log)) == kept
    await log.close()


async def test_history_gives_its_room_to_spans_and_is_never_a_cause_of_refusal() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 400)
    log.release(log.end)
    held = history_of(log)
    assert held > QUOTA // 2
    first = log.end
    sent = 0
    with pytest.raises(LogFull):
        while True:
            await fill(log, 1)
            sent += 1
    assert history_of(log) == 0
    assert sent * 2000 > QUOTA * 0.7
    assert len(payloads_of(read_all(log, first))) == sent
    assert files.largest <= QUOTA
    await log.close()


@pytest.mark.parametrize("pending", [0, 100])
async def test_history_gives_its_room_to_spans_before_anybody_says_after_a_restart_what_was_passed(
    pending: int,
) -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 400 - pending)
    passed = log.end
    await fill(log, pending)
    CursorStore(DIRECTORY, files).save("a", Cursor(passed))
    CursorStore(DIRECTORY, files).save("gone", Cursor(log.begin, removed=1.0))
    await log.close()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 400 - pending)
    kept = read_all(log, passed)
    assert len(payloads_of(kept)) == 400 and not lost_in(kept)
    await log.close()


async def test_a_cursor_that_cannot_be_read_takes_nothing_for_passed() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 400)
    for name in ("a", "b"):
        CursorStore(DIRECTORY, files).save(name, Cursor(log.end))
    await log.close()
    for slot in SLOTS:
        files.put(f"cursor.b.{slot}", b"damaged")
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    with pytest.raises(LogFull):
        await fill(log, 400)
    assert log.begin.seq == 0
    await log.close()


async def test_a_volume_that_is_full_takes_back_what_history_holds() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 100)
    log.release(log.end)
    files.capacity = files.used
    await fill(log, 90)
    log.release(log.end)
    assert files.used <= files.capacity
    assert len(payloads_of(read_all(log, Position(0, 0, 100)))) == 90
    await log.close()


async def test_a_volume_that_cannot_reserve_space_does_too() -> None:
    files, clock = SimulatedFiles(preallocates=False), ManualClock()
    log = open_log(files, clock, quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    await fill(log, 100)
    log.release(log.end)
    files.capacity = files.used
    refused = 0
    for _ in range(40):
        try:
            await fill(log, 1)
        except LogFull:
            refused += 1
            clock.advance(2)
    assert refused == 1
    await log.close()


async def test_what_a_best_effort_entry_has_before_it_outlives_history_and_goes_before_what_is_guaranteed() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=0)
    await fill(log, 200)
    lagging, guaranteed = Position(0, 0, 40), Position(0, 0, 150)
    log.prefer(lagging)
    log.release(guaranteed)
    await fill(log, 1)
    await fill(log, 1)
    assert 30 < log.begin.seq <= 40
    with pytest.raises(LogFull):
        while True:
            await fill(log, 1)
    assert 140 < log.begin.seq <= 150
    await log.close()


async def test_room_counts_history_and_pinned_does_not() -> None:
    log = open_log(SimulatedFiles(), quota=QUOTA, segment_size=SEGMENT, history=QUOTA)
    empty = log.room
    await fill(log, 200)
    assert log.room < empty - 380_000
    assert log.pinned > 390_000
    log.release(Position(0, 0, 190))
    assert log.room > QUOTA - retention.reserve_for(QUOTA) - 3 * SEGMENT
    assert log.pinned < 3 * SEGMENT
    stats = log.stats()
    assert (stats.room, stats.history) == (log.room, history_of(log))
    await log.close()


async def test_pressure_is_felt_before_the_log_is_full_and_dropping_the_oldest_keeps_it_open() -> None:
    log = open_log(SimulatedFiles(), quota=QUOTA, segment_size=SEGMENT, history=QUOTA // 2)
    dropped: list[Position] = []

    def drop() -> None:
        assert log.room < log.watermark
        dropped.append(Position(0, 0, log.begin.seq + (log.end.seq - log.begin.seq) // 4))
        log.release(dropped[-1])

    log.on_pressure(drop)
    await fill(log, 350)
    assert dropped == []
    await fill(log, 2000)
    assert len(dropped) > 5
    assert log.stats().problem == ""
    await log.close()


async def test_a_disk_that_does_not_delete_keeps_nobody_waiting() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=QUOTA, segment_size=SEGMENT, history=0)
    await fill(log, 100)
    files.fault = lambda operation, path: OSError(errno.EIO, os.strerror(errno.EIO)) if operation == "unlink" else None
    log.release(log.end)
    await fill(log, 100)
    assert log.begin.seq >= 90
    await log.close()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(64, 50_000)), max_size=20),
    st.integers(0, 60),
    st.integers(0, 300_000),
)
def test_no_more_history_goes_than_must(shape: list[tuple[int, int]], preferred: int, bound: int) -> None:
    segments, base = [], 0
    for number, (spans, size) in enumerate(shape):
        segments.append(Segment(number + 1, base, 0.0, size))
        base += spans
    passed = segments[: retention.releasable(segments, preferred)]
    count = retention.over_history(segments, preferred, bound)
    left = sum(segment.end for segment in passed[count:])
    assert left <= bound
    assert count == 0 or left + passed[count - 1].end > bound


@given(
    frame=st.integers(40, 100_000),
    used=st.integers(0, QUOTA),
    sizes=st.lists(st.integers(64, 50_000), max_size=12),
)
def test_as_little_is_deleted_as_makes_room(frame: int, used: int, sizes: list[int]) -> None:
    limits = Limits(QUOTA, SEGMENT, QUOTA)
    passed = [Segment(number, number, 0.0, size) for number, size in enumerate(sizes)]
    used = max(used, sum(sizes))
    count, size = retention.deletions_for(frame, limits, used, passed)
    freed = sum(segment.end for segment in passed[:count])
    assert size == (retention.next_segment_size(frame, limits, used - freed) if size is not None else None)
    if size is None:
        assert count == 0
        assert retention.next_segment_size(frame, limits, used - sum(sizes)) is None
    elif count:
        fewer = retention.next_segment_size(frame, limits, used - freed + passed[count - 1].end)
        assert fewer is None or fewer < max(SEGMENT, frame)


def test_a_shuffled_release_never_goes_back() -> None:
    segments = [Segment(number, number * 10, 0.0, 100) for number in range(1, 30)]
    chance = random.Random(1)
    for _ in range(200):
        seq = chance.randrange(320)
        count = retention.releasable(segments, seq)
        assert all(segment.base <= seq for segment in segments[1 : count + 1])
        assert count + 1 >= len(segments) or segments[count + 1].base > seq


async def test_a_log_that_is_made_smaller_lets_history_go_and_takes_no_more_than_that() -> None:
    clock = ManualClock()
    log = open_log(SimulatedFiles(), clock, quota=QUOTA, history=QUOTA // 2)
    await fill(log, 200)
    log.release(log.end)
    assert history_of(log) > QUOTA // 8
    log.resize(QUOTA // 2, QUOTA // 8)
    async with asyncio.timeout(30):
        while history_of(log) > QUOTA // 8:  # noqa: ASYNC110 - the writer does it
            await asyncio.sleep(0.005)
    with pytest.raises(LogFull):
        await fill(log, 400)
    assert log.stats().bytes <= log.stats().quota == QUOTA // 2
    with pytest.raises(LogTooLarge):
        await log.append(bytes(QUOTA // 2), 1)
    log.resize(QUOTA, 0)
    async with asyncio.timeout(30):
        while True:  # What was refused is tried again after a moment.
            with contextlib.suppress(LogFull):
                await fill(log, 1)
                break
            clock.advance(2)
    await fill(log, 100)
    with pytest.raises(LogUnavailable, match="too small"):
        log.resize(1, 0)
    await log.close()
