"""A volume that is full before the log's quota is: spans that may give way make room, and no others do."""

from __future__ import annotations

import errno
import os
from itertools import pairwise
from pathlib import Path

import pytest

from forward_support.rig import Rig, backend, running
from forward_support.spans import request
from log_harness import ManualClock, open_log
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError, LogFull
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from waiting import attempted, until

SEGMENT = 32 << 10
CAPACITY = 256 << 10
BODY = bytes(2000)
DEAD = "http://127.0.0.1:9"


async def refused(log: Log, appends: int) -> list[int]:
    """The numbers of the appends that found no room."""
    found = []
    for number in range(appends):
        try:
            await log.append(BODY, 1)
        except LogFull as full:
            assert full.reason == "disk"
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("preallocates", "segment"),
    [(True, SEGMENT), (False, SEGMENT), (True, 4 * CAPACITY)],
    ids=["room is reserved", "room is not reserved", "the usual segment is larger than the volume"],
)
async def test_the_append_after_one_that_was_refused_has_the_room_of_the_oldest(
    preallocates: bool, segment: int
) -> None:
    files = SimulatedFiles(capacity=CAPACITY, preallocates=preallocates)
    log = open_log(files, quota=16 << 20, segment_size=segment, history=8 << 20)
    kept: list[int] = []

    def drop_oldest() -> None:
        cut = log.cut(log.watermark)
        kept.append(log.end.seq - cut.seq)
        log.release(cut)

    log.on_pressure(drop_oldest)
    found = await refused(log, 2000)
    assert all(later > earlier + 1 for earlier, later in pairwise(found))
    assert 0 < len(found) < 200
    assert log.begin.seq > 1500
    assert min(kept) > CAPACITY // 2 // 2100, "most of what was there stays"
    await log.close()


async def test_pressure_ends_when_the_volume_has_room_again() -> None:
    files, clock = SimulatedFiles(capacity=CAPACITY), ManualClock()
    log = open_log(files, clock, quota=16 << 20, segment_size=SEGMENT)
    pressed: list[int] = []
    log.on_pressure(lambda: pressed.append(log.end.seq))
    await refused(log, 200)
    assert pressed
    files.capacity = 8 << 20
    clock.advance(2)
    assert await refused(log, 20) == []
    pressed.clear()
    assert await refused(log, 1000) == []
    assert pressed == []
    await log.close()


async def test_nothing_is_pressed_for_by_history_that_gives_way() -> None:
    """Who has nothing pending loses nothing, whatever the volume holds."""
    log = open_log(SimulatedFiles(capacity=CAPACITY), quota=16 << 20, segment_size=SEGMENT, history=8 << 20)
    for _ in range(1000):
        log.release(await log.append(BODY, 1))
    await log.close()


class SmallVolume(SystemFiles):
    """The machine's files on a volume that has room for so many bytes of segments."""

    def __init__(self, directory: Path, capacity: int) -> None:
        self._directory, self._capacity = directory, capacity

    def allocate(self, handle: int, size: int) -> bool:
        used = sum(entry.stat().st_blocks * 512 for entry in self._directory.iterdir() if entry.is_file())
        if used + size > self._capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().allocate(handle, size)


async def put(rig: Rig) -> bool:
    """Whether a span was taken."""
    refused: list[LogError | None] = []
    body, _ = request(1, 10_000)
    rig.log.submit(body, 1, refused.append)
    await until(lambda: refused, "an answer")
    return refused == [None]


@pytest.mark.parametrize("when_full", ["Refuse", "DropOldest"])
async def test_the_config_decides_what_gives_way_on_a_full_volume(tmp_path: Path, when_full: str) -> None:
    files = SmallVolume(tmp_path, 1 << 20)
    async with running(tmp_path, files, quota=64 << 20, segment_size=64 << 10) as rig:
        await rig.apply([backend("dead", DEAD, circuitBreaker={"state": "ForcedOpen"})], buffer={"whenFull": when_full})
        while await put(rig):
            assert rig.log.end.seq < 200
        before = rig.log.end.seq
        if when_full == "Refuse":
            assert not await put(rig)
            assert (rig.entry("dead").account.dropped, rig.log.begin.seq) == ({}, 0)
            return
        for _ in range(100):
            await attempted(lambda: put(rig), "there is room again")
        assert rig.log.end.seq == before + 100
        assert rig.log.begin.seq > 0
        assert set(rig.entry("dead").account.dropped) == {"buffer_full"}
        rig.check_ledger()
