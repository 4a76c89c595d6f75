"""The machine stops after the Nth operation on the filesystem, for every N of a scenario, and loses unsynced writes."""

from __future__ import annotations

import random

from log_harness import DIRECTORY, ManualClock, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position

SENT = [b"%04d" % number + bytes(number * 37 % 3000) for number in range(24)]
SPANS = 2
CRASHES = 4
"""Different outcomes tried for each point: what was not synced may or may not have reached the disk."""


class Told:
    """What the outside world was told before the machine stopped."""

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        self.attempted: list[bytes] = []
        self.saved = Position(0, 0, 0)
        self.saving: Position | None = None


async def scenario(files: SimulatedFiles, told: Told) -> None:
    """Appends over several segments, saves cursors, releases, restarts in the middle."""
    clock = ManualClock()
    for half in (SENT[:12], SENT[12:]):
        log = open_log(files, clock, segment_size=16384)
        try:
            await half_of_it(log, files, told, half)
        finally:
            await log.close()


async def half_of_it(log: Log, files: SimulatedFiles, told: Told, payloads: list[bytes]) -> None:
    store = CursorStore(DIRECTORY, files)
    for number, payload in enumerate(payloads):
        told.attempted.append(payload)
        await log.append(payload, SPANS)
        told.acknowledged.append(payload)
        if number % 4 == 3:
            batch = log.reader(told.saved).read(10, 8000)
            assert batch is not None
            told.saving = batch.end
            store.save("primary", Cursor(batch.end))
            told.saved, told.saving = batch.end, None
            log.release(batch.end)


async def verify(files: SimulatedFiles, told: Told) -> None:
    log = open_log(files)
    cursor = CursorStore(DIRECTORY, files).load("primary")
    position = cursor.position if cursor else Position(0, 0, 0)
    assert position in (told.saved, told.saving)
    batches = read_all(log, position)
    got = payloads_of(batches)
    settled = position.seq // SPANS
    assert got in (told.acknowledged[settled:], told.attempted[settled:])
    assert lost_in(batches) == 0
    assert log.end.seq == SPANS * (settled + len(got))
    await log.append(b"life goes on", SPANS)
    assert payloads_of(read_all(log, position)) == [*got, b"life goes on"]
    await log.close()


async def test_stopping_at_every_operation_loses_nothing_acknowledged() -> None:
    whole = SimulatedFiles()
    told = Told()
    await scenario(whole, told)
    assert told.acknowledged == SENT
    await verify(whole.restart(), told)
    points = whole.operations
    kinds = {entry.split()[0] for entry in whole.log}
    assert kinds >= {"create", "allocate", "write", "fdatasync", "sync_directory", "truncate", "unlink"}
    for point in range(points):
        files, told = SimulatedFiles(), Told()
        files.stop_after = point
        try:
            await scenario(files, told)
        except (LogError, OSError):
            pass
        for seed in range(CRASHES):
            await verify(files.crash(random.Random(point * CRASHES + seed)), told)
    print(f"{points} crash points, {points * CRASHES} crashes")
