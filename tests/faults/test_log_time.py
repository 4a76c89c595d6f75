"""Time that jumps, stands still or crawls: nothing acknowledged is lost, nobody is told that it is, and none hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from log_harness import ManualClock, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from waiting import turns

YEAR = 365 * 86400.0
JUMPS = [YEAR, -2 * YEAR, 40 * YEAR, -30 * YEAR, 0.0, -0.001, 1e-9]


class TwoClocks(ManualClock):
    """The wall clock is set at will; monotonic time goes on by itself, as the kernel's does."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = self.time

    def now(self) -> float:
        return self.wall


async def test_a_wall_clock_that_jumps_changes_nothing_but_times() -> None:
    files, clock = SimulatedFiles(), TwoClocks()
    log = open_log(files, clock, segment_size=16384, history=60_000, memory=20_000)
    sent = []
    for number, jump in enumerate(JUMPS * 6):
        clock.wall += jump
        sent.append(b"%04d" % number + bytes(900))
        await log.append(sent[-1], 1)
        if number % 5 == 4:
            await log.close()
            log = open_log(files, clock, segment_size=16384, history=60_000, memory=20_000)
    batches = read_all(log, None, 1, 1)
    assert payloads_of(batches) == sent
    assert lost_in(batches) == 0
    times = [batch.oldest for batch in batches]
    assert max(times) - min(times) > 9 * YEAR
    log.release(log.end)
    await log.append(b"x", 1)
    await log.close()
    print(f"{len(sent)} jumps of the wall clock")


async def test_a_clock_before_the_epoch_is_no_reason_to_refuse() -> None:
    clock = TwoClocks()
    clock.wall = -5.0
    log = open_log(SimulatedFiles(), clock)
    await log.append(b"x", 1)
    assert payloads_of(read_all(log)) == [b"x"]
    await log.close()


async def test_a_refusal_ends_with_its_pause_however_the_wall_clock_jumps() -> None:
    files, clock = SimulatedFiles(capacity=0), TwoClocks()
    log = open_log(files, clock)
    with pytest.raises(LogFull):
        await log.append(b"x", 1)
    files.capacity = None
    clock.wall -= YEAR
    with pytest.raises(LogFull):
        await log.append(b"x", 1)
    clock.advance(2)
    await log.append(b"x", 1)
    await log.close()


class Crawling(SimulatedFiles):
    """Each sync waits until it is let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = threading.Semaphore(0)

    def fdatasync(self, handle: int) -> None:
        assert self.turns.acquire(timeout=30)
        super().fdatasync(handle)


async def test_a_sync_that_crawls_makes_larger_commits_and_answers_none_before_it_is_done() -> None:
    files = Crawling()
    log = open_log(files, memory=1 << 20)
    answered: list[int] = []
    for number in range(200):
        log.submit(b"%04d" % number, 1, lambda error, number=number: answered.append(number))  # type: ignore[misc]
        await turns()
    assert answered == []
    assert log.reader(log.begin).read(10, 10) is None
    for _ in range(200):
        files.turns.release()
    last = await log.append(b"last", 1)
    assert answered == list(range(200))
    assert last.seq == 201
    assert log.stats().commits <= 4
    await log.close()


WRITER = """
import asyncio, os, sys
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log

async def sender(log, lane):
    number = lane
    while True:
        await log.append(b"%012d" % number + bytes(number % 3000), 1)
        os.write(1, b"%d\\n" % number)
        number += 8

async def main():
    log = Log.open(sys.argv[1], files=SystemFiles(), clock=SystemClock(), quota=256 << 20, segment_size=1 << 20)
    await asyncio.gather(*(sender(log, lane) for lane in range(8)))

asyncio.run(main())
"""
STOPS = 10


def stop_and_go_on(directory: str) -> set[int]:
    """Let a writer be stopped and go on, then kill it. Returns what it has acknowledged."""
    acknowledged: set[int] = set()
    with subprocess.Popen([sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        try:
            for _ in range(STOPS):
                acknowledged |= {int(writer.stdout.readline()) for _ in range(60)}
                os.kill(writer.pid, signal.SIGSTOP)
                _, status = os.waitpid(writer.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status)
                # Nobody else gets the directory meanwhile: it would be handed numbers twice.
                with pytest.raises(LogUnavailable, match="in use by another process"):
                    Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=256 << 20)
                os.kill(writer.pid, signal.SIGCONT)
            acknowledged |= {int(writer.stdout.readline()) for _ in range(60)}
        finally:
            os.kill(writer.pid, signal.SIGKILL)
        return acknowledged | {int(line) for line in writer.stdout.read().split(b"\n")[:-1]}


async def test_a_process_that_is_stopped_and_goes_on_loses_nothing(tmp_path: Path) -> None:
    acknowledged = await asyncio.to_thread(stop_and_go_on, str(tmp_path / "log"))
    log = Log.open(str(tmp_path / "log"), files=SystemFiles(), clock=SystemClock(), quota=256 << 20)
    batches = read_all(log, max_spans=1000, max_bytes=4 << 20)
    numbers = [int(payload[:12]) for payload in payloads_of(batches)]
    assert acknowledged <= set(numbers)
    assert len(numbers) == len(set(numbers)) == log.end.seq
    assert lost_in(batches) == 0
    await log.close()
    print(f"{STOPS} stops, {len(acknowledged)} acknowledged")
