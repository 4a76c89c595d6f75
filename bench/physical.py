"""How far the machine itself goes: bytes over the loopback, `fdatasync`, writing and reading back, one core each.

    python bench/physical.py [--directory DIR]

Plain system calls from Python with large buffers, nothing of ours: what no sidecar on this machine can beat.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CHUNK = 1 << 20
SYNCED = 200 << 10
"""Bytes written before each sync: a request of 512 spans."""
FILE = 256 << 20


def per_second(do: Callable[[], int], seconds: float) -> tuple[float, float]:
    """Units a second of wall time and of this thread's CPU time, where `do` says how many units it did."""
    begin, cpu, done = time.monotonic(), time.thread_time(), 0
    while time.monotonic() - begin < seconds:
        done += do()
    return done / (time.monotonic() - begin), done / max(1e-9, time.thread_time() - cpu)


def loopback(seconds: float) -> dict[str, float]:
    """One connection, one thread on each side: megabytes a second, and per CPU-second of both together."""
    left, right = _pair()
    stop = threading.Event()
    used = [0.0]

    def drain() -> None:
        buffer, begin = bytearray(CHUNK), time.thread_time()
        while right.recv_into(buffer) and not stop.is_set():
            pass
        used[0] = time.thread_time() - begin

    reader = threading.Thread(target=drain)
    reader.start()
    body, cpu = bytes(CHUNK), time.thread_time()
    wall, _ = per_second(lambda: left.send(body), seconds)
    mine = time.thread_time() - cpu
    stop.set()
    left.close()
    reader.join(10)
    right.close()
    return {"mb_per_second": round(wall / 1e6), "mb_per_cpu_second": round(wall * seconds / (mine + used[0]) / 1e6)}


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        return left, server.accept()[0]


def disk(directory: str, seconds: float) -> dict[str, float]:
    """Writes of a request each followed by fdatasync, preallocated; writes into the page cache and reads out of it."""
    with tempfile.TemporaryDirectory(prefix="physical-", dir=directory) as folder:
        handle = os.open(Path(folder) / "file", os.O_RDWR | os.O_CREAT)
        try:
            os.posix_fallocate(handle, 0, FILE)
            body, place = os.urandom(SYNCED), [0]

            def write(*, sync: bool) -> int:
                place[0] = (place[0] + SYNCED) % (FILE - SYNCED)
                written = os.pwrite(handle, body, place[0])
                if sync:
                    os.fdatasync(handle)
                return 1 if sync else written

            buffer = bytearray(CHUNK)
            _, write_cpu = per_second(lambda: write(sync=False), seconds)
            os.fdatasync(handle)
            synced, _ = per_second(lambda: write(sync=True), seconds)
            _, read_cpu = per_second(lambda: os.preadv(handle, [buffer], place[0] % CHUNK), seconds)
        finally:
            os.close(handle)
    return {
        "fdatasyncs_per_second": round(synced),
        "synced_mb_per_second": round(synced * SYNCED / 1e6),
        "write_mb_per_cpu_second": round(write_cpu / 1e6),
        "read_mb_per_cpu_second": round(read_cpu / 1e6),
    }


def run(directory: str, seconds: float = 1.0) -> dict[str, float]:
    """All of them."""
    return {**loopback(seconds), **disk(directory, seconds)}


def floor(figures: Mapping[str, float], size: float, backends: int = 2) -> float:
    """The CPU microseconds that moving a span of `size` bytes takes at least: in, to disk, and out to each backend.

    Half of what a byte over the loopback costs is the other side's; reading back comes out of the page cache.
    """
    moved = (1 + backends) / 2 / figures["mb_per_cpu_second"]
    kept = 1 / figures["write_mb_per_cpu_second"] + backends / figures["read_mb_per_cpu_second"]
    return size * (moved + kept)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="what the machine itself can do")
    parser.add_argument("--directory", default=str(Path(__file__).parent))
    print(json.dumps(run(parser.parse_args().directory), indent=2))


if __name__ == "__main__":
    main()
