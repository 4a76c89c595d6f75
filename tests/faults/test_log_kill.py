"""A writer is killed (SIGKILL) again and again while this process keeps the record of what it acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from log_harness import lost_in, payloads_of, read_all
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log

KILLS = 12
QUOTA = 64 << 20

WRITER = """
import asyncio, os, sys
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log

directory, first = sys.argv[1], int(sys.argv[2])

async def sender(log, lane):
    number = first + lane
    while True:
        await log.append(b"%012d" % number + os.urandom(number % 5000), 1)
        os.write(1, b"%d\\n" % number)
        number += 8

async def main():
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=int(sys.argv[3]), segment_size=1 << 20)
    await asyncio.gather(*(sender(log, lane) for lane in range(8)))

asyncio.run(main())
"""


def run_until_killed(directory: Path, first: int, after: int) -> set[int]:
    """Let a writer acknowledge `after` appends, kill it, and return all it has acknowledged."""
    command = [sys.executable, "-c", WRITER, str(directory), str(first), str(QUOTA)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        try:
            acknowledged = {int(writer.stdout.readline()) for _ in range(after)}
        finally:
            os.kill(writer.pid, signal.SIGKILL)
        # A line that the kill cut short was an acknowledgement on its way: the sender cannot count on it.
        rest = writer.stdout.read().split(b"\n")[:-1]
        return acknowledged | {int(line) for line in rest}


async def test_nothing_acknowledged_is_missing_after_many_kills(tmp_path: Path) -> None:
    chance = random.Random(4)
    acknowledged: set[int] = set()
    for kill in range(KILLS):
        acknowledged |= run_until_killed(tmp_path / "log", kill * 1_000_000, chance.randrange(1, 300))
        log = Log.open(str(tmp_path / "log"), files=SystemFiles(), clock=SystemClock(), quota=QUOTA)
        batches = read_all(log, max_spans=1000, max_bytes=4 << 20)
        numbers = [int(payload[:12]) for payload in payloads_of(batches)]
        assert acknowledged <= set(numbers)
        assert len(numbers) == len(set(numbers)) == log.end.seq
        assert lost_in(batches) == 0
        # What was stored without being acknowledged is at most what each of the eight senders had in flight.
        assert len(set(numbers) - acknowledged) <= 8 * (kill + 1)
        await log.close()
    print(f"{KILLS} kills, {len(acknowledged)} acknowledged, {len(numbers) - len(acknowledged)} stored besides")
