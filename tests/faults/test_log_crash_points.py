"""The machine stops after the Nth operation on the filesystem, for every N of a scenario, and loses unsynced writes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from log_harness import DIRECTORY, ManualClock, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.segment import name_of
from tracekeeper_sidecar.log.survey import survey
from tracekeeper_sidecar.model import Position

SENT = [b"%04d" % number + bytes(number * 37 % 3000) for number in range(24)]
SPANS = 2
CRASHES = 4
"""Different outcomes tried for each point: what was not synced may or may not have reached the disk."""
START = Cursor(Position(0, 0, 0))
HISTORY = 20_000


@dataclass
class Told:
    """What the outside world was told before the machine stopped."""

    acknowledged: list[bytes] = field(default_factory=list)
    attempted: list[bytes] = field(default_factory=list)
    saved: Cursor = START
    saving: Cursor | None = None


def cursor_at(position: Position, *acked: tuple[int, int]) -> Cursor:
    """A cursor whose ledger closes."""
    settled = position.seq + sum(length for _, length in acked)
    return Cursor(position, Account(delivered=Counter(tempo=settled)), acked)


async def scenario(files: SimulatedFiles, told: Told, history: int, memory: int) -> None:
    """Appends over several segments, settles spans out of order, saves cursors, releases, restarts in the middle."""
    clock = ManualClock()
    for half in (SENT[:12], SENT[12:]):
        log = open_log(files, clock, segment_size=16384, history=history, memory=memory)
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
            batch = log.reader(told.saved.position).read(10, 8000)
            assert batch is not None
            behind = log.end.seq - batch.end.seq
            told.saving = cursor_at(batch.end, *([(behind - SPANS, SPANS)] if behind > SPANS else []))
            store.save("primary", told.saving)
            told.saved, told.saving = told.saving, None
            log.release(batch.end)


async def verify(files: SimulatedFiles, told: Told) -> None:
    log = open_log(files)
    cursor = CursorStore(DIRECTORY, files).load("primary") or START
    assert cursor in (told.saved, told.saving)
    batches = read_all(log, cursor.position)
    got = payloads_of(batches)
    settled = cursor.position.seq // SPANS
    assert got in (told.acknowledged[settled:], told.attempted[settled:])
    assert lost_in(batches) == 0
    assert log.end.seq == SPANS * (settled + len(got)) >= cursor.reach
    await log.append(b"life goes on", SPANS)
    assert payloads_of(read_all(log, cursor.position)) == [*got, b"life goes on"]
    kept = payloads_of(read_all(log))
    assert kept == [*told.attempted[: settled + len(got)], b"life goes on"][-len(kept) :]
    await log.close()
    assert survey(DIRECTORY, files, everything=True).problems == []


@pytest.mark.parametrize(("history", "memory"), [(0, 0), (HISTORY, 1 << 20)])
async def test_stopping_at_every_operation_loses_nothing_acknowledged(history: int, memory: int) -> None:
    whole = SimulatedFiles()
    told = Told()
    await scenario(whole, told, history, memory)
    assert told.acknowledged == SENT
    await verify(whole.restart(), told)
    points = whole.operations
    kinds = Counter(entry.split()[0] for entry in whole.log)
    assert set(kinds) >= {"create", "allocate", "write", "fdatasync", "sync_directory", "truncate", "unlink"}
    for point in range(points):
        files, told = SimulatedFiles(), Told()
        files.stop_after = point
        try:
            await scenario(files, told, history, memory)
        except (LogError, OSError):
            pass
        for seed in range(CRASHES):
            await verify(files.crash(random.Random(point * CRASHES + seed)), told)
    print(f"{points} crash points ({dict(kinds)}), {points * CRASHES} crashes")


async def test_stopping_while_files_are_set_aside_and_removed_loses_nothing_that_could_be_read() -> None:
    """Opening renames what it cannot read and unlinks what holds nothing; each of its operations may be the last."""
    ruined = SimulatedFiles()
    for payload in SENT[4:7]:
        log = open_log(ruined)
        await log.append(payload, SPANS)
        await log.close()
    ruined.put(name_of(2), b"\xff" * 5000)
    ruined.put(name_of(9), bytes(16384))
    ruined.put(name_of(3), bytes(ruined.content(name_of(3))) + b"torn")
    whole = ruined.restart()
    begun = whole.operations
    await open_log(whole).close()
    points = whole.operations - begun
    kinds = {entry.split()[0] for entry in whole.log}
    assert kinds >= {"rename", "unlink", "sync_directory", "truncate", "fdatasync"}
    for point in range(points):
        files = ruined.restart()
        files.stop_after = point
        try:
            await open_log(files).close()
        except (LogError, OSError):
            pass
        for seed in range(CRASHES):
            after = files.crash(random.Random(point * CRASHES + seed))
            log = open_log(after)
            batches = read_all(log)
            assert payloads_of(batches) == [SENT[4], SENT[6]]
            assert (lost_in(batches), log.end.seq) == (SPANS, 3 * SPANS)
            aside = [name for name in after.names if name.endswith(".quarantined")]
            assert aside == [name_of(2) + ".quarantined"]
            assert log.end.segment > 3
            await log.append(b"life goes on", SPANS)
            await log.close()
    print(f"{points} crash points of an opening, {points * CRASHES} crashes")
