"""Filesystem and clock are parameters: seen from the interpreter, a whole life of the log touches no real file.

The interpreter's audit events tell of every file that is opened, listed, renamed, removed or truncated through it. With
a simulated filesystem there must be none, whatever the log does. (`test_log_seams` reads the sources; this watches them
run.)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

LIFE = """
import asyncio, os, sys, time
from collections import Counter
from log_harness import DIRECTORY, ManualClock, open_log, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogFull
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.survey import survey

OURS = ("open", "os.", "shutil.", "tempfile.", "glob.", "mmap.", "fcntl.", "time.sleep")
seen = Counter()
watched = Counter()

def watch(event, details):
    watched[event] += 1
    if event.startswith(OURS) and event not in ("os.putenv", "os.fork"):
        seen[event, str(details[:1])] += 1

def forbidden(*_):
    raise AssertionError("the log read the machine's clock")

async def life():
    files, clock = SimulatedFiles(), ManualClock()
    for turn in range(3):
        log = open_log(files, clock, segment_size=16384, history=60_000, memory=20_000)
        for number in range(60):
            await log.append(bytes(1000), 2)
            clock.advance(1)
        place = read_all(log, log.begin, 30)[-1].end
        CursorStore(DIRECTORY, files).save("primary", Cursor(place, Account(delivered=Counter(tempo=place.seq))))
        CursorStore(DIRECTORY, files).note("primary", Cursor(place, Account(delivered=Counter(tempo=place.seq))))
        CursorStore(DIRECTORY, files).save_intake(Intake())
        log.release(place)
        await log.append(b"x", 1)
        log.stats()
        await log.close()
    first, second, *_ = (name for name in files.names if name.endswith(".seg"))
    files.content(first)[200] ^= 1
    files.put(second, b"ruined")
    log = open_log(files, clock, quota=200_000, segment_size=16384)
    read_all(log)
    try:
        while True:
            await log.append(bytes(9000), 1)
    except LogFull:
        pass
    await log.close()
    assert survey(DIRECTORY, files, everything=True).problems

async def main():
    await life()  # For what is imported on the way.
    sys.addaudithook(watch)
    real = {name: getattr(time, name) for name in ("time", "time_ns")}
    for name in real:
        setattr(time, name, forbidden)
    try:
        await life()
    finally:
        for name, function in real.items():
            setattr(time, name, function)
    found = dict(seen)
    assert not found, found
    open(os.devnull).close()
    assert sum(seen.values()) == 1, "the watch is blind"
    print(sum(watched.values()), "audit events, none of them of a file")

import logging
logging.disable(logging.CRITICAL)
asyncio.run(main())
"""


def test_a_whole_life_of_the_log_touches_no_real_file_and_no_real_clock() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIFE],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        cwd=TESTS,
        env={"PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout.strip())
