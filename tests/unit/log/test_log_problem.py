"""`LogStats.problem`: what health says about a log that takes nothing now."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest

from log_harness import ManualClock, open_log
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogFull, LogUnavailable


async def test_a_full_buffer_is_a_problem_until_a_segment_is_given_back() -> None:
    log = open_log(SimulatedFiles(), ManualClock(), quota=128 << 10, segment_size=16384)
    assert log.stats().problem == ""
    with pytest.raises(LogFull):
        while True:
            await log.append(bytes(3000), 1)
    assert "the buffer in /data is full" in log.stats().problem
    log.release(log.end)
    assert log.stats().problem == ""
    await log.append(bytes(3000), 1)
    assert log.stats().problem == ""
    await log.close()


async def test_a_full_volume_is_a_problem_until_an_append_is_stored_again() -> None:
    files, clock = SimulatedFiles(capacity=0), ManualClock()
    log = open_log(files, clock)
    for _ in range(2):  # The second is refused during the pause, without a look at the disk.
        with pytest.raises(LogFull):
            await log.append(b"x", 1)
        assert "the volume of /data has no room" in log.stats().problem
    files.capacity = None
    clock.advance(2)
    await log.append(b"x", 1)
    assert log.stats().problem == ""
    await log.close()


@pytest.mark.parametrize(("operation", "code"), [("create", errno.EROFS), ("fdatasync", errno.EIO)])
async def test_a_disk_that_fails_is_a_problem_until_it_works_again(operation: str, code: int) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock)
    files.fault = lambda found, path: OSError(code, os.strerror(code)) if found == operation else None
    with pytest.raises(LogUnavailable):
        await log.append(b"x", 1)
    assert f"cannot write to the log in /data: {os.strerror(code)}" in log.stats().problem
    files.fault = lambda found, path: None
    clock.advance(2)
    await log.append(b"x", 1)
    assert log.stats().problem == ""
    await log.close()


class Hanging(SimulatedFiles):
    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = threading.Event(), threading.Event()

    def fdatasync(self, handle: int) -> None:
        self.entered.set()
        self.leave.wait(30)
        super().fdatasync(handle)


async def test_a_disk_that_does_not_answer_is_a_problem_while_it_lasts() -> None:
    files, clock = Hanging(), ManualClock()
    log = open_log(files, clock)
    appending = asyncio.ensure_future(log.append(b"x", 1))
    assert await asyncio.to_thread(files.entered.wait, 30)
    assert log.stats().problem == ""
    clock.advance(6)
    files.fault = lambda operation, path: pytest.fail(f"{operation} on a disk that hangs")
    assert log.stats().problem == "the disk under /data has not answered for 6 s; 1 appends of 1 bytes wait for it"
    files.fault = lambda operation, path: None
    files.leave.set()
    await appending
    await log.append(b"y", 1)
    assert log.stats().problem == ""
    await log.close()
