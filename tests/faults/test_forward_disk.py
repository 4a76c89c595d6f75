"""A disk that fails under the forwarder: reads, cursors, damage in the log. Spans wait, or are counted as lost."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from forward_support.rig import backend, running
from forward_support.servers import GrpcBackend, Serve
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from waiting import until


class FailingFiles(SystemFiles):
    """The machine's files, with faults that can be switched on."""

    def __init__(self) -> None:
        self.reads_fail = False
        self.cursors_fail = False
        self.stuck_cursor = "no such entry"
        """Entry whose cursor cannot be changed any more."""
        self.hung_cursor = ""
        """Entry whose cursor cannot be written until `hung` is set; `entered` is, when somebody waits."""
        self.entered, self.hung = threading.Event(), threading.Event()
        self.failing_cursor = "no such entry"
        """Entry whose cursor cannot be made."""
        self._cursors: set[int] = set()
        self._names: dict[int, str] = {}

    def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
        if create and f"/cursor.{self.failing_cursor}." in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        handle = super().open(path, write=write, create=create)
        if "/cursor." in path:
            self._cursors.add(handle)
        self._names[handle] = path
        return handle

    def close(self, handle: int) -> None:
        self._cursors.discard(handle)
        super().close(handle)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        if self.reads_fail and handle not in self._cursors:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return super().pread(handle, size, offset)

    def pwritev(self, handle: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self.hung_cursor and f"/cursor.{self.hung_cursor}." in self._names[handle]:
            self.entered.set()
            self.hung.wait(30)
        if f"/cursor.{self.stuck_cursor}." in self._names[handle]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.cursors_fail and handle in self._cursors:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().pwritev(handle, buffers, offset)


def damage_middle(directory: Path) -> None:
    """Overwrite 20 bytes in the middle of what the largest file holds."""
    segment = max(directory.glob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data = bytearray(segment.read_bytes())
    middle = len(data.rstrip(b"\0")) // 2
    data[middle : middle + 20] = b"\xff" * 20
    segment.write_bytes(data)


def damage_cursor(directory: Path, entry: str) -> None:
    """Overwrite both copies of a cursor."""
    slots = list(directory.glob(f"cursor.{entry}.*"))
    assert slots
    for slot in slots:
        slot.write_bytes(b"\xff" * 4096)


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


async def test_unreadable_log_is_tried_again(tmp_path: Path, server: GrpcBackend) -> None:
    files = FailingFiles()
    async with running(tmp_path, files, memory=0) as rig:
        await rig.apply([backend("one", server.endpoint)])
        await rig.put(10)
        await rig.settled()
        files.reads_fail = True
        await rig.put(10)
        await until(rig.forwarder.troubles, "health says so")
        assert "delivery one" in rig.forwarder.troubles()[0]
        assert os.strerror(errno.ENOMEM) in rig.forwarder.troubles()[0]
        assert rig.entry("one").pending == 10
        files.reads_fail = False
        await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)


async def test_cursor_that_cannot_be_saved_stops_no_delivery(tmp_path: Path, server: GrpcBackend) -> None:
    files = FailingFiles()
    async with running(tmp_path, files) as rig:
        await rig.apply([backend("one", server.endpoint)])
        files.cursors_fail = True
        await rig.put(10)
        await rig.settled()
        await until(rig.forwarder.troubles, "health says so")
        assert "cursor of delivery 'one' cannot be saved" in rig.forwarder.troubles()[0]
        assert rig.entry("one").saved.seq == 0
        await rig.put(10)
        await rig.settled()
        files.cursors_fail = False
        await until(lambda: rig.entry("one").saved.seq == 20, "the cursor is saved by itself when it can be")
        assert rig.forwarder.troubles() == []
    assert server.taken.ids == rig.sent


async def test_damage_is_dropped_and_counted(tmp_path: Path, server: GrpcBackend) -> None:
    async with running(tmp_path) as rig:
        for _ in range(30):
            await rig.put(10)
        sent = rig.sent
    damage_middle(tmp_path)
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", server.endpoint)])
        await rig.settled()
        dropped = rig.entry("one").account.dropped
        assert set(dropped) == {"damaged"}
        assert 10 <= dropped["damaged"] <= 20
    assert len(server.taken.ids) == len(sent) - dropped["damaged"]
    assert set(server.taken.ids) < set(sent)


async def test_damaged_cursor_sends_again_and_skips_nothing(tmp_path: Path, server: GrpcBackend) -> None:
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", server.endpoint)])
        await rig.put(10)
        await rig.settled()
        sent = rig.sent
    damage_cursor(tmp_path, "one")
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", server.endpoint)])
        await rig.settled()
        assert rig.entry("one").account.start == 0
    assert Counter(server.taken.ids) == Counter(sent + sent)


async def test_first_entries_of_which_only_some_could_be_saved_get_everything(
    tmp_path: Path, server: GrpcBackend
) -> None:
    files = FailingFiles()
    async with running(tmp_path, files) as rig:
        await rig.put(10)
        backends = [backend("b", server.endpoint), backend("c", server.endpoint)]
        files.failing_cursor = "c"
        with pytest.raises(LogUnavailable):
            await rig.apply(backends)
        assert rig.forwarder.entries() == ()
        files.failing_cursor = "no such entry"
        await rig.apply(backends)
        await rig.settled()
        assert [entry.account.start for entry in rig.forwarder.entries()] == [0, 0]
    assert Counter(server.taken.ids) == Counter(rig.sent * 2)


async def test_a_cursor_that_cannot_become_a_tombstone_keeps_no_config_out(
    tmp_path: Path, server: GrpcBackend, caplog: pytest.LogCaptureFixture
) -> None:
    files = FailingFiles()
    async with running(tmp_path, files) as rig:
        await rig.apply([backend("old", server.endpoint), backend("kept", server.endpoint)])
        files.stuck_cursor = "old"
        await rig.apply([backend("kept", server.endpoint)])
        assert [entry.name for entry in rig.forwarder.entries()] == ["kept"]
        assert "the cursors of former deliveries stay on disk as they are for now" in caplog.text
        await rig.put(10)
        await rig.settled()
        files.stuck_cursor = "no such entry"
        await rig.apply([backend("kept", server.endpoint)])
        tombstone = CursorStore(str(tmp_path), files).load("old")
        assert tombstone is not None and tombstone.removed


async def test_nothing_is_released_that_an_entry_about_to_begin_still_needs(
    tmp_path: Path, server: GrpcBackend
) -> None:
    files = FailingFiles()
    async with running(tmp_path, files, quota=4 << 20, segment_size=64 << 10) as rig:
        await rig.apply([backend("old", server.endpoint)])
        await rig.put(10)
        await rig.settled()
        files.hung_cursor = "new"
        applying = asyncio.ensure_future(rig.apply([backend("new", server.endpoint)]))
        assert await asyncio.to_thread(files.entered.wait, 20)
        for _ in range(20):
            await rig.put(50, size=300)
        assert rig.log.end.segment > 3
        await until(lambda: rig.entry("old").saved == rig.log.end, "the old one goes on, and its cursor is saved")
        files.hung.set()
        await applying
        await rig.settled()
        assert rig.entry("new").account.dropped == {}
        await until(lambda: rig.log.begin.seq > 10, "segments are released again")


async def test_a_disk_that_hangs_does_not_keep_the_last_word_of_a_drain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FailingFiles()
    async with running(tmp_path, files) as rig:
        await rig.apply([backend("one", "http://127.0.0.1:9")])
        await rig.put(10)
        files.hung_cursor = "one"
        try:
            async with asyncio.timeout(15):
                assert await rig.forwarder.drain(0.1) == {"one": 10}
        finally:
            files.hung.set()
    assert "10 spans of delivery 'one' stay on disk" in caplog.text
    assert "the cursors were not saved within 3 s: the disk hangs" in caplog.text
