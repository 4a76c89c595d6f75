"""The power goes in mid-stream, on real filesystems: ext4 and XFS on loop devices, shut down without flushing anything.

SIGKILL leaves the page cache behind, so it cannot show a sync that is missing; this can. `goingdown` is what
`xfs_io -x -c shutdown` asks the kernel for, and ext4 understands it too: from then on nothing reaches the disk, not
even the journal. Mounted again, the filesystem shows what a machine would find after its power had come back.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otlp_requests import request, span_ids
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

pytestmark = pytest.mark.cluster

GOINGDOWN = 0x8004587D
"""XFS_IOC_GOINGDOWN of <xfs/xfs_fs.h>; EXT4_IOC_SHUTDOWN is the same number."""
WITHOUT_THE_JOURNAL = 2
LOSSES = 6
SENDERS = 4
SPANS = 5
"""Spans a request."""
LEAST = 60
"""Requests acknowledged before the power goes."""
IMAGE_BYTES = 400 << 20
"""mkfs.xfs makes no filesystem of less than 300 MB. The image is sparse."""


class Disk:
    """A filesystem in a file."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._image, self.mounted = folder / "disk.img", folder / "disk"
        self.mounted.mkdir()
        with self._image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        _run(f"mkfs.{kind}", "-q", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mounted))
        self._is_mounted = True

    def unmount(self) -> None:
        if self._is_mounted:  # Remembered: nothing can be asked of a filesystem that has been shut down.
            _run("umount", str(self.mounted))
            self._is_mounted = False

    def lose_power(self) -> None:
        """What was not synced is gone."""
        handle = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, GOINGDOWN, struct.pack("I", WITHOUT_THE_JOURNAL))
        finally:
            os.close(handle)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(request.param, tmp_path)
    yield disk
    disk.unmount()


class Senders:
    """Applications that send until they are refused, and remember what they were told is safe."""

    def __init__(self, sidecar: RunningSidecar, first: int) -> None:
        self.acknowledged: list[int] = []
        """Seeds of the requests."""
        self._sidecar, self._over = sidecar, threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(first + lane,)) for lane in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, seed: int) -> None:
        while not self._over.is_set():
            try:
                if self._sidecar.post(SPANS, seed) != 200:
                    return
            except OSError:
                return
            self.acknowledged.append(seed)
            seed += SENDERS

    def join(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()


def ids_of(seeds: list[int]) -> set[str]:
    return {one.hex() for seed in seeds for one in span_ids(request(SPANS, seed=seed))}


@pytest.mark.timeout(180)
def test_no_acknowledged_span_is_lost_with_the_power(
    disk: Disk, sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    away, there = start_backend("--name", "away"), start_backend("--name", "there")
    away.fail("unavailable")
    sidecars.data = disk.mounted / "data"
    sidecars.write(manifest(otlp("away", "GRPC", away.grpc), otlp("there", "HTTP", there.http)))
    canary = disk.mounted / "canary"
    acknowledged: list[int] = []
    unsynced_lost = 0
    try:
        for loss in range(LOSSES):
            sidecar = sidecars.start("--storage-size=64Mi")
            senders = Senders(sidecar, (loss + 1) * 1_000_000)
            until(lambda: len(senders.acknowledged) >= LEAST, "requests are acknowledged", 60)  # noqa: B023
            canary.write_bytes(b"written, never synced")
            # What is answered later counts for nothing: with the power, the process that answers would be gone, too,
            # and ext4 may tell a sync that is under way right then that it has worked.
            acknowledged += senders.acknowledged
            disk.lose_power()
            senders.join()
            sidecar.kill()
            disk.unmount()
            disk.mount()
            unsynced_lost += not (canary.exists() and canary.read_bytes())
            canary.unlink(missing_ok=True)
        away.fail("ok")
        sidecar = sidecars.start("--storage-size=64Mi")
        book = sidecar.settled(60)
        sent = ids_of(acknowledged)
        missing = {name: len(sent - backend.ids()) for name, backend in (("away", away), ("there", there))}
        print(
            f"{LOSSES} losses of power: {len(sent)} spans acknowledged, {sum(missing.values())} missing; a file that "
            f"nobody synced was gone {unsynced_lost} times"
        )
        assert missing == {"away": 0, "there": 0}, book
        assert unsynced_lost, "the power was not lost: even what was never synced is there"
        assert sidecar.stop() == 0
    finally:
        sidecars.end()
