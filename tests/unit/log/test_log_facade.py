from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from log_harness import DIRECTORY, ManualClock, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import appender
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.segment import name_of
from tracekeeper_sidecar.model import Position
from waiting import turns, until


async def fill(log: Log, count: int, size: int = 1000, first: int = 0) -> list[bytes]:
    """Append `count` payloads of one span each, all different."""
    payloads = [b"%08d" % (first + index) + bytes(size - 8) for index in range(count)]
    for payload in payloads:
        await log.append(payload, 1)
    return payloads


async def begins_in(log: Log, segment: int) -> None:
    """Wait until the writer, which deletes behind its commits, has deleted what comes before."""
    await until(lambda: log.begin.segment >= segment, "what comes before is deleted")
    assert log.begin.segment == segment


async def test_what_was_appended_is_read_back_in_order_with_its_arithmetic() -> None:
    log = open_log(SimulatedFiles())
    assert log.begin == log.end
    sent = [os.urandom(size) for size in (0, 1, 5000, 70_000, 300_000, 12)]
    for spans, payload in enumerate(sent, 1):
        position = await log.append(payload, spans)
        assert position == log.end
    assert log.end.seq == 21
    batches = read_all(log)
    assert payloads_of(batches) == sent
    assert lost_in(batches) == 0
    assert batches[0].oldest == 1_700_000_000.0
    assert batches[-1].end == log.end
    await log.close()


async def test_concurrent_appends_share_commits_and_keep_their_order() -> None:
    log = open_log(SimulatedFiles())
    sent = [b"%d" % number for number in range(500)]
    await asyncio.gather(*(log.append(payload, 1) for payload in sent))
    assert payloads_of(read_all(log)) == sent
    stats = log.stats()
    assert stats.appends == 500
    assert stats.commits < 50
    await log.close()


async def test_batches_keep_to_both_limits_but_hold_at_least_one_frame() -> None:
    log = open_log(SimulatedFiles())
    for size in (100, 100, 100, 5000, 100):
        await log.append(bytes(size), 10)
    assert [batch.spans for batch in read_all(log, max_spans=20)] == [20, 20, 10]
    assert [batch.size for batch in read_all(log, max_bytes=200)] == [200, 100, 5000, 100]
    assert [batch.spans for batch in read_all(log, max_spans=1)] == [10] * 5
    await log.close()


async def test_nothing_is_read_before_it_is_durable() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await log.append(b"first", 1)
    with_sync = files.log.index("fdatasync " + name_of(1))
    assert files.log.index("write " + name_of(1)) < with_sync
    assert files.log.index("sync_directory data") < with_sync
    reader = log.reader(log.begin)
    assert reader.read(10, 1000) is not None
    assert reader.read(10, 1000) is None
    await log.append(b"second", 1)
    batch = reader.read(10, 1000)
    assert batch is not None
    assert batch.body == b"second"
    await log.close()


async def test_a_restart_keeps_everything_and_starts_a_new_segment() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    sent = await fill(log, 20)
    middle = read_all(log, max_spans=7)[0].end
    await log.close()
    log = open_log(files)
    assert log.recovery.frames == 20
    assert log.recovery.spans == 20
    assert log.recovery.notes == ()
    assert log.end.seq == 20
    assert payloads_of(read_all(log)) == sent
    more = await fill(log, 3, first=100)
    assert log.end.segment == 2
    assert payloads_of(read_all(log, middle)) == sent[7:] + more
    await log.close()


async def test_the_log_spreads_over_segments_and_release_deletes_only_whole_ones() -> None:
    files = SimulatedFiles()
    log = open_log(files, segment_size=16384)
    sent = await fill(log, 60)
    assert log.stats().segments > 3
    assert payloads_of(read_all(log)) == sent
    place = read_all(log, max_spans=25)[0].end
    log.release(place)
    await fill(log, 1, first=60)
    await begins_in(log, place.segment)
    assert log.begin.seq <= 25
    assert payloads_of(read_all(log, place)) == [*sent[25:], b"%08d" % 60 + bytes(992)]
    assert name_of(1) not in files.names
    log.release(Position(0, 0, 3))
    assert payloads_of(read_all(log, place))[0] == sent[25]
    await log.close()


async def test_reading_goes_on_from_a_position_whose_segment_is_gone() -> None:
    files = SimulatedFiles()
    log = open_log(files, segment_size=16384)
    sent = await fill(log, 60)
    begin = log.begin
    place = read_all(log, max_spans=40)[0].end
    log.release(place)
    await fill(log, 1, first=60)
    await begins_in(log, place.segment)
    gone = log.begin.seq
    batches = read_all(log, begin)
    assert lost_in(batches) == gone
    assert payloads_of(batches)[:-1] == sent[gone:]
    await log.close()


async def test_numbers_and_counts_survive_a_restart_of_an_empty_log() -> None:
    files = SimulatedFiles()
    quota = 128 << 10
    log = open_log(files, quota=quota, segment_size=8192)
    await log.append(bytes(90_000), 5)
    log.release(log.end)
    # The first segment takes most of the quota, so it has to go before there is room for the next.
    await log.append(bytes(90_000), 7)
    assert [name for name in files.names if name.endswith(".seg")] == [name_of(2)]
    log.release(log.end)
    await log.close()
    files.unlink(f"{DIRECTORY}/{name_of(2)}")
    log = open_log(files, quota=quota, segment_size=8192)
    assert log.end.segment >= 2
    assert log.end.seq == 5
    await log.close()
    CursorStore(DIRECTORY, files).save("a", Cursor(Position(9, 64, 50)))
    log = open_log(files, quota=quota, segment_size=8192)
    assert (log.end.segment, log.end.seq) == (10, 50)
    assert "the end of the log" in log.recovery.notes[0]
    await log.append(b"x", 1)
    assert log.end.seq == 51
    await log.close()


async def test_a_full_quota_refuses_and_takes_again_once_released() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    quota = 256 << 10
    log = open_log(files, clock, quota=quota)
    sent = 0
    with pytest.raises(LogFull, match=r"is full: .* hold spans that wait for delivery") as full:
        while True:
            await log.append(bytes(3000), 1)
            sent += 1
    assert full.value.reason == "quota"
    assert sent > 40
    assert files.largest <= quota
    with pytest.raises(LogFull):
        await log.append(bytes(3000), 1)
    assert log.end.seq == sent
    log.release(read_all(log, max_spans=sent // 2)[0].end)
    for _ in range(sent // 4):
        await log.append(bytes(3000), 1)
    assert files.largest <= quota
    await log.close()


async def test_a_frame_too_large_for_what_is_left_does_not_keep_smaller_ones_out() -> None:
    log = open_log(SimulatedFiles(), quota=128 << 10, segment_size=16384)
    await log.append(bytes(100), 1)
    with pytest.raises(LogFull):
        await log.append(bytes(112_000), 1)
    await log.append(bytes(100), 1)
    await log.close()


async def test_one_frame_may_exceed_the_segment_size_but_not_the_quota() -> None:
    files = SimulatedFiles()
    log = open_log(files, quota=1 << 20, segment_size=16384)
    large = os.urandom(500_000)
    await log.append(b"before", 1)
    await log.append(large, 1)
    await log.append(b"after", 1)
    assert payloads_of(read_all(log)) == [b"before", large, b"after"]
    with pytest.raises(LogTooLarge, match="can never fit"):
        await log.append(bytes(1 << 20), 1)
    assert files.largest <= 1 << 20
    await log.close()


async def test_the_quota_counts_files_that_are_not_the_logs() -> None:
    files = SimulatedFiles()
    files.put("core.4711", bytes(900 << 10))
    log = open_log(files, quota=1 << 20)
    assert "1 files in /data are not the log's and were left alone: core.4711" in log.recovery.notes
    with pytest.raises(LogFull):
        for _ in range(200):
            await log.append(bytes(1000), 1)
    assert files.largest <= 1 << 20
    assert "core.4711" in files.names
    await log.close()


def size_of_segments(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.seg"))


@pytest.mark.parametrize(("there", "left"), [(0, 600 << 10), (600 << 10, 0)])
async def test_the_quota_counts_dead_letters_and_leaves_them_room(tmp_path: Path, there: int, left: int) -> None:
    (tmp_path / "dead-letter").mkdir()
    (tmp_path / "dead-letter" / "one").write_bytes(bytes(there))
    log = Log.open(str(tmp_path), files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    log.leave(left)
    assert log.recovery.notes == ()
    with pytest.raises(LogFull):
        for _ in range(1000):
            await log.append(bytes(1000), 1)
    assert 100 << 10 < await asyncio.to_thread(size_of_segments, tmp_path) <= 424 << 10
    await log.close()


async def test_a_cancelled_append_disturbs_nobody() -> None:
    log = open_log(SimulatedFiles())
    tasks = [asyncio.create_task(log.append(b"%d" % number, 1)) for number in range(10)]
    await turns()
    tasks[3].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[3], asyncio.CancelledError)
    assert sum(isinstance(result, Position) for result in done) == 9
    assert payloads_of(read_all(log)) == [b"%d" % number for number in range(10)]
    assert log.stats().queued_appends == 0
    assert log.stats().queued_bytes == 0
    await log.close()


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "QUEUE_BYTES", 10_000)
    log = open_log(SimulatedFiles())
    tasks = [asyncio.create_task(log.append(bytes(4000), 1)) for _ in range(4)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in done if isinstance(result, LogUnavailable)]
    assert len(refused) == 2
    assert "the disk under /data is slow: 2 appends of 8000 bytes wait for it" in str(refused[0])
    await log.append(bytes(20_000), 1)
    await log.close()


async def test_closing_commits_what_is_queued_and_gives_space_back() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    tasks = [asyncio.create_task(log.append(b"%d" % number, 1)) for number in range(10)]
    await turns()
    await log.close()
    assert len(await asyncio.gather(*tasks)) == 10
    assert len(files.content(name_of(1))) < 1000
    with pytest.raises(LogUnavailable, match="is closed"):
        await log.append(b"late", 1)
    await log.close()
    log = open_log(files)
    assert len(payloads_of(read_all(log))) == 10
    await log.close()


@pytest.mark.parametrize("spans", [0, -1])
async def test_appends_without_spans_are_a_mistake_of_the_caller(spans: int) -> None:
    log = open_log(SimulatedFiles())
    with pytest.raises(ValueError, match="append of"):
        await log.append(b"x", spans)
    await log.close()


async def test_stats_on_a_real_filesystem_count_what_du_counts(tmp_path: Path) -> None:
    log = Log.open(str(tmp_path / "log"), files=SystemFiles(), clock=SystemClock(), quota=64 << 20)
    for _ in range(10):
        await log.append(bytes(1000), 2)
    CursorStore(str(tmp_path / "log"), SystemFiles()).save("a", Cursor(log.end))
    stats = log.stats()
    assert (stats.segments, stats.end_seq, stats.appends, stats.quota) == (1, 20, 10, 64 << 20)
    assert stats.bytes >= 4 << 20
    assert stats.sync_seconds > 0
    await log.close()
    assert sum(entry.stat().st_blocks * 512 for entry in (tmp_path / "log").iterdir()) < 100_000


async def test_a_directory_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    directory = str(tmp_path / "deep" / "log")
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    with pytest.raises(LogUnavailable, match="in use by another process"):
        Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    await log.close()
    again = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    await again.close()


def test_a_quota_that_can_hold_nothing_is_refused_at_once() -> None:
    with pytest.raises(LogUnavailable, match="storage size 1000 bytes is too small"):
        open_log(SimulatedFiles(), quota=1000)
