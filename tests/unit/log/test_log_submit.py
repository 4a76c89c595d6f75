"""Appends by callback: each answered once, all of a commit in one turn of the loop, listeners last."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest

from log_harness import ManualClock, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import parts
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.varint import delimited
from waiting import turns

SPAN = delimited(2, delimited(1, b"t" * 16) + delimited(2, b"s" * 8) + delimited(5, b"n" * 4000))


class Held(SimulatedFiles):
    """The first sync waits for `leave`."""

    def __init__(self) -> None:
        super().__init__(sector=65536)
        self.entered, self.leave = threading.Event(), threading.Event()

    def fdatasync(self, handle: int) -> None:
        self.entered.set()
        self.leave.wait(30)
        super().fdatasync(handle)


async def test_all_of_a_commit_is_answered_before_the_listeners_hear() -> None:
    files, heard = Held(), []
    log = open_log(files)
    log.on_committed(lambda: heard.append("committed"))
    log.on_committed(lambda: heard.append("too"))
    log.submit(b"first", 1, lambda error: heard.append("first"))
    assert await asyncio.to_thread(files.entered.wait, 30)
    for name in ("a", "b", "c"):
        log.submit(name.encode(), 1, lambda error, name=name: heard.append(name))  # type: ignore[misc]
    assert heard == []
    files.leave.set()
    await log.append(b"last", 1)
    await turns()
    assert heard[:6] == ["first", "committed", "too", "a", "b", "c"]
    assert heard[6:] == ["committed", "too"]
    await log.close()


async def test_an_answer_that_fails_keeps_no_other_from_being_given() -> None:
    log, heard = open_log(SimulatedFiles()), []

    def fails(error: LogError | None) -> None:
        raise RuntimeError("a receiver's mistake")

    def fails_too() -> None:
        raise RuntimeError("another one")

    log.on_committed(fails_too)
    log.on_committed(lambda: heard.append("committed"))
    log.submit(b"x", 1, fails)
    log.submit(b"y", 1, lambda error: heard.append("answered"))
    await log.append(b"z", 1)
    assert "answered" in heard and "committed" in heard
    assert log.stats().queued_appends == 0
    assert payloads_of(read_all(log)) == [b"x", b"y", b"z"]
    await log.close()


async def test_refusals_are_answers_and_come_once() -> None:
    files, clock = SimulatedFiles(sector=65536), ManualClock()
    log = open_log(files, clock, quota=16 << 20)
    answers: list[LogError | None] = []
    log.submit(bytes(20 << 20), 1, answers.append)
    assert isinstance(answers.pop(), LogTooLarge)
    files.fault = lambda operation, path: OSError(errno.EIO, os.strerror(errno.EIO)) if operation == "create" else None
    for _ in range(3):
        log.submit(b"x", 1, answers.append)
    with pytest.raises(LogUnavailable):
        await log.append(b"y", 1)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 3
    files.fault = lambda operation, path: None
    await log.close()
    log.submit(b"late", 1, answers.append)
    assert isinstance(answers.pop(), LogUnavailable)
    assert len(answers) == 3


async def test_a_large_request_is_answered_once_with_what_is_stored() -> None:
    files = SimulatedFiles(sector=65536)
    log = open_log(files, quota=32 << 20)
    count = (12 << 20) // len(SPAN)
    body = delimited(1, delimited(2, SPAN * count))
    assert len(body) > parts.LARGE
    answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
    log.submit(body, count, answered.set_result, critical=True)
    assert await answered is None
    assert log.end.seq == count
    assert all(batch.critical for batch in read_all(log, max_spans=1 << 20))
    refused: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
    log.submit(delimited(1, delimited(2, SPAN * (2 * count))), 2 * count, refused.set_result)
    assert isinstance(await refused, LogFull)
    await log.close()


async def test_critical_spans_are_announced_and_marked_on_disk() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    urgent: list[Position] = []
    log.on_critical(urgent.append)
    await log.append(b"ordinary", 2)
    assert urgent == []
    log.submit(b"urgent", 3, lambda error: None, critical=True)
    await log.append(b"ordinary", 1)
    assert [place.seq for place in urgent] in ([5], [6])
    await log.close()
    log = open_log(files)
    assert [batch.critical for batch in read_all(log, max_spans=1)] == [False, True, False]
    await log.close()


async def test_a_listener_that_has_left_hears_nothing_more() -> None:
    log, heard = open_log(SimulatedFiles()), []

    def listener() -> None:
        heard.append("committed")

    log.on_committed(listener)
    await log.append(b"x", 1)
    await asyncio.sleep(0)
    assert heard == ["committed"]
    log.off_committed(listener)
    await log.append(b"y", 1)
    await asyncio.sleep(0)
    assert heard == ["committed"]
    await log.close()
