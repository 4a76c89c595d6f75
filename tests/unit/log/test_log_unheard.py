"""Spans whose sender has gone while the disk made up its mind: none of them is booked nowhere."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest

import otlp_requests
from log_harness import ManualClock, open_log
from receivers import export
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import Refused


class Gate(SimulatedFiles):
    """Syncs wait for `leave`, and then fail if told to."""

    def __init__(self) -> None:
        super().__init__(sector=65536)
        self.entered, self.leave = threading.Event(), threading.Event()
        self.fails = False

    def fdatasync(self, handle: int) -> None:
        self.entered.set()
        self.leave.wait(30)
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fdatasync(handle)


async def close(log: Log) -> None:
    """Close, after the commit under way has been settled."""
    await asyncio.wait([asyncio.ensure_future(log.close())])


@pytest.mark.parametrize("fails", [False, True])
async def test_spans_of_a_request_that_timed_out_are_counted_when_their_fate_is_known(fails: bool) -> None:
    files, ledger = Gate(), Intake()
    files.fails = fails
    log = open_log(files, ManualClock())
    receiver = Receiver(log.submit, ledger, Admission(1 << 20), lambda: False, append_timeout=0.05)
    answer = await export(receiver, otlp_requests.body(7))
    assert isinstance(answer, Refused)
    assert answer.reason == "timeout"
    assert ledger.refused == {}
    files.leave.set()
    await close(log)
    assert ledger.refused == ({"timeout": 7} if fails else {})
    assert ledger.received(log.end.seq) == 7
    assert ledger.refused_requests == {"timeout": 1}


async def test_all_parts_of_a_large_request_are_accounted_for_when_the_disk_fails_in_the_middle() -> None:
    files = Gate()
    log = open_log(files, ManualClock(), quota=32 << 20)
    body = otlp_requests.body(1500, text="x" * 1500)
    answers: list[LogError | None] = []
    log.submit(body, 1500, answers.append)
    assert await asyncio.to_thread(files.entered.wait, 30)
    assert answers == []
    files.fails = True
    files.leave.set()
    await close(log)
    assert len(answers) == 1
    assert answers[0] is not None
    assert answers[0].stored == log.end.seq < 1500
