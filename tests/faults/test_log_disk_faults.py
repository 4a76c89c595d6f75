"""A disk that is full, failing, read-only or odd: clear answers, no growth, nothing acknowledged lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from log_harness import ManualClock, append_at_last, lost_in, open_log, payloads_of, read_all
from simulated_files import Fault, SimulatedFiles
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.segment import DATA_START, name_of


def failing(operation: str, code: int, prefix: str = "") -> Fault:
    """A fault for every `operation` on files whose name starts with `prefix`."""

    def fault(found: str, path: str) -> OSError | None:
        hit = found == operation and os.path.basename(path).startswith(prefix)
        return OSError(code, os.strerror(code), path) if hit else None

    return fault


async def test_a_full_volume_refuses_without_growing_and_recovers_when_room_returns() -> None:
    files, clock = SimulatedFiles(capacity=64 << 10), ManualClock()
    log = open_log(files, clock, segment_size=16384)
    acknowledged = []
    with pytest.raises(LogFull, match="the volume of /data has no room for another segment") as full:
        for number in range(1000):
            await log.append(b"%05d" % number * 200, 1)
            acknowledged.append(b"%05d" % number * 200)
    assert full.value.reason == "disk"
    assert len(acknowledged) > 40
    used = files.used
    for _ in range(5):
        clock.advance(2)
        with pytest.raises(LogFull):
            await log.append(bytes(1000), 1)
    assert files.used <= used
    assert payloads_of(read_all(log)) == acknowledged
    files.capacity = 128 << 10
    clock.advance(2)
    await log.append(b"room again", 1)
    assert payloads_of(read_all(log)) == [*acknowledged, b"room again"]
    await log.close()
    assert payloads_of(read_all(open_log(files))) == [*acknowledged, b"room again"]


async def test_while_the_volume_is_full_it_is_not_asked_for_every_append() -> None:
    files, clock = SimulatedFiles(capacity=0), ManualClock()
    log = open_log(files, clock)
    for _ in range(50):
        with pytest.raises(LogFull):
            await log.append(b"x", 1)
    assert files.log.count("create " + name_of(1)) == 1
    assert len(files.log) < 10
    await log.close()


async def test_a_smaller_segment_is_made_when_the_usual_one_does_not_fit_on_the_volume() -> None:
    files = SimulatedFiles(capacity=40 << 10)
    log = open_log(files, segment_size=256 << 10)
    await log.append(bytes(1000), 1)
    assert len(files.content(name_of(2))) == 16384
    await log.close()


async def test_a_volume_that_cannot_reserve_space_may_fill_up_in_mid_write() -> None:
    files, clock = SimulatedFiles(capacity=20_000, preallocates=False), ManualClock()
    log = open_log(files, clock)
    acknowledged = []
    with pytest.raises(LogFull) as full:
        for number in range(100):
            await log.append(b"%05d" % number * 200, 1)
            acknowledged.append(b"%05d" % number * 200)
    assert full.value.reason == "disk"
    assert len(acknowledged) > 5
    assert payloads_of(read_all(log)) == acknowledged
    files.capacity = None
    clock.advance(2)
    await log.append(b"room again", 1)
    batches = read_all(log)
    assert payloads_of(batches) == [*acknowledged, b"room again"]
    assert lost_in(batches) == 0
    await log.close()


@pytest.mark.parametrize("operation", ["fdatasync", "write"])
async def test_a_failed_write_or_sync_is_never_repeated_on_that_file(operation: str) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock)
    await log.append(b"before", 1)
    files.fault = failing(operation, errno.EIO, name_of(1))
    with pytest.raises(LogUnavailable, match="cannot write to the log in /data: Input/output error"):
        await log.append(b"never acknowledged", 1)
    files.log.clear()
    with pytest.raises(LogUnavailable):
        await log.append(b"too soon", 1)
    clock.advance(2)
    await log.append(b"after", 1)
    assert not any(name_of(1) in entry for entry in files.log)
    assert log.stats().write_faults == 1
    batches = read_all(log)
    assert payloads_of(batches) == [b"before", b"after"]
    assert lost_in(batches) == 0
    await log.close()
    again = open_log(files.restart())
    assert payloads_of(read_all(again)) == [b"before", b"after"]
    await again.close()


async def test_frames_behind_a_failed_sync_are_passed_over_even_if_they_reached_the_disk() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock)
    await log.append(b"before", 1)

    def fault(operation: str, path: str) -> OSError | None:
        # Neither the sync nor the trimming works: the frame stays in the file, sound and unacknowledged.
        return OSError(errno.EIO, "I/O error") if operation in ("fdatasync", "truncate") else None

    files.fault = fault
    with pytest.raises(LogUnavailable):
        await log.append(b"never acknowledged", 1)
    files.fault = lambda operation, path: None
    clock.advance(2)
    await log.append(b"after", 1)
    after = open_log(files.restart())
    batches = read_all(after)
    assert payloads_of(batches) == [b"before", b"after"]
    assert lost_in(batches) == 0
    await after.close()
    # Nor do they stand in for acknowledged ones that damage took.
    damaged = files.restart()
    damaged.content(name_of(1))[DATA_START] ^= 1
    after = open_log(damaged)
    batches = read_all(after)
    assert payloads_of(batches) == [b"after"]
    assert lost_in(batches) == 1
    await after.close()
    await log.close()


async def test_a_disk_that_fails_for_long_leaves_no_heap_of_empty_segments() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock)
    await log.append(b"before", 1)
    files.fault = failing("fdatasync", errno.EIO, "0000")
    for _ in range(20):
        with pytest.raises(LogUnavailable):
            await log.append(b"x", 1)
        clock.advance(2)
    assert [name for name in files.names if name.endswith(".seg")] == [name_of(1)]
    files.fault = lambda operation, path: None
    assert (await log.append(b"after", 1)).segment == 21
    assert payloads_of(read_all(log)) == [b"before", b"after"]
    await log.close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
async def test_a_directory_that_turns_read_only_says_so(code: int) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, segment_size=16384)
    files.fault = failing("create", code)
    with pytest.raises(LogUnavailable, match="must be writable for the sidecar's user"):
        await log.append(b"x", 1)
    files.fault = lambda operation, path: None
    clock.advance(2)
    await log.append(b"x", 1)
    await log.close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
async def test_a_read_only_directory_is_refused_at_opening_with_what_to_do(code: int) -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await log.append(b"kept", 1)
    await log.close()
    files.fault = failing("create", code)
    with pytest.raises(LogUnavailable, match=r"cannot open the log in /data: .*; it must be writable"):
        open_log(files)
    files.fault = lambda operation, path: None
    log = open_log(files)
    assert payloads_of(read_all(log)) == [b"kept"]
    await log.close()


async def test_a_full_volume_at_opening_still_lets_the_backlog_be_read() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await log.append(b"kept", 1)
    await log.close()
    files.fault = failing("create", errno.ENOSPC)
    log = open_log(files)
    assert payloads_of(read_all(log)) == [b"kept"]
    with pytest.raises(LogFull):
        await log.append(b"more", 1)
    await log.close()


async def test_places_that_the_volume_cannot_read_cost_only_the_frames_on_them() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    sent = [b"%05d" % number * 300 for number in range(30)]
    for payload in sent:
        await log.append(payload, 1)

    def bad_page(operation: str, path: str) -> OSError | None:
        if operation != "pread":
            return None
        start, size = map(int, path.split("@")[1].split("+"))
        return OSError(errno.EIO, "bad page") if start < 12288 and start + size > 8192 else None

    files.fault = bad_page
    batches = read_all(log)
    kept = payloads_of(batches)
    assert [payload for payload in sent if payload not in kept] == sent[5:8]
    assert lost_in(batches) == 3
    files.fault = lambda operation, path: None
    await log.close()


async def test_a_reader_that_cannot_open_its_file_keeps_its_place() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await log.append(b"x", 1)
    reader = log.reader(log.begin)
    files.fault = failing("open", errno.EMFILE)
    with pytest.raises(LogUnavailable, match="cannot read the log in /data: Too many open files"):
        reader.read(1, 1)
    files.fault = lambda operation, path: None
    batch = reader.read(1, 1)
    assert batch is not None
    assert batch.body == b"x"
    reader.close()
    await log.close()


async def test_an_unforeseen_fault_in_the_writer_answers_its_appends_and_goes_on() -> None:
    class Surprise(SimulatedFiles):
        surprised = False

        def fdatasync(self, handle: int) -> None:
            if not self.surprised:
                self.surprised = True
                raise MemoryError
            super().fdatasync(handle)

    log = open_log(Surprise())
    with pytest.raises(LogUnavailable, match="unexpected MemoryError"):
        await log.append(b"x", 1)
    await log.append(b"y", 1)
    assert payloads_of(read_all(log)) == [b"y"]
    assert log.stats().queued_appends == 0
    await log.close()


def test_a_data_directory_that_is_a_file_or_lies_in_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(LogUnavailable, match=f"cannot open the log in {directory}: .*; it must be a directory"):
            Log.open(str(directory), files=SystemFiles(), clock=SystemClock(), quota=1 << 20)


async def test_things_under_our_names_that_are_no_files_are_set_aside_untouched(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    data = tmp_path / "log"
    data.mkdir()
    (data / name_of(1)).symlink_to(target)
    (data / name_of(2)).mkdir()
    (data / "cursor.a.a").mkdir()
    (data / "cursor.a.b").symlink_to(target)
    (data / "lost+found").mkdir()
    log = Log.open(str(data), files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    assert sum("not a regular file" in note for note in log.recovery.notes) == 2
    assert sum("is damaged" in note for note in log.recovery.notes) == 2
    assert (await log.append(b"x", 1)).segment == 3
    await log.close()
    assert target.read_bytes() == b"precious"
    assert (data / (name_of(1) + ".quarantined")).is_symlink()


async def test_unreadable_segments_do_not_keep_the_log_from_opening_and_are_not_deleted() -> None:
    files = SimulatedFiles()
    for payload in (b"one", b"two", b"three"):
        log = open_log(files)
        await log.append(payload, 1)
        await log.close()
    files.fault = failing("pread", errno.EIO, name_of(2))
    log = open_log(files)
    assert any("does not give its contents back" in note for note in log.recovery.notes)
    assert payloads_of(read_all(log)) == [b"one", b"three"]
    assert lost_in(read_all(log)) == 1
    assert name_of(2) + ".quarantined" in files.names
    await log.close()


async def test_an_unreadable_end_is_not_cut_off() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    for number in range(20):
        await log.append(b"%05d" % number * 200, 1)
    await log.close()
    size = len(files.content(name_of(1)))

    def bad_end(operation: str, path: str) -> OSError | None:
        if operation != "pread":
            return None
        start, wanted = map(int, path.split("@")[1].split("+"))
        return OSError(errno.EIO, "bad page") if start + wanted > 16384 else None

    files.fault = bad_end
    log = open_log(files)
    assert any("does not give" in note for note in log.recovery.notes)
    assert len(files.content(name_of(1))) == size
    await log.close()


FILE_LIMIT = """
import asyncio, resource, signal, sys
from log_harness import append_at_last
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogFull
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = Log.open(sys.argv[1], files=SystemFiles(), clock=SystemClock(), quota=16 << 20)
    await log.append(b"before", 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        await log.append(bytes(1 << 20), 1)
    except LogFull as full:
        print(full.reason, full)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await append_at_last(log, bytes(1 << 20), 1)
    batch = log.reader(log.begin).read(10, 10 << 20, detailed=True)
    print(len(batch.frames), batch.lost)
    await log.close()

asyncio.run(main())
"""


def test_a_real_kernel_that_refuses_to_let_files_grow(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("disk the volume of")
    assert second == "2 0"


async def test_the_hard_bound_on_a_real_filesystem_counts_what_others_put_there(tmp_path: Path) -> None:
    ballast = tmp_path / "log" / "ballast"
    ballast.parent.mkdir()
    ballast.write_bytes(bytes(2 << 20))
    quota = 3 << 20
    log = Log.open(str(tmp_path / "log"), files=SystemFiles(), clock=SystemClock(), quota=quota)
    sent = 0
    with pytest.raises(LogFull):
        while True:
            await log.append(os.urandom(10_000), 1)
            sent += 1
    charged = sum(entry.stat().st_blocks * 512 for entry in (tmp_path / "log").iterdir())
    assert 2 << 20 < charged <= quota
    ballast.unlink()
    await append_at_last(log, os.urandom(10_000), 1)
    assert len(payloads_of(read_all(log, max_bytes=1 << 24))) == sent + 1
    await log.close()
