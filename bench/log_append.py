"""Appends per second and CPU per append of the segment log alone, and what reading back costs.

    python bench/log_append.py [--directory DIR] [--seconds 5]

DIR should lie on the disk that matters: on tmpfs a sync costs nothing. Each job keeps a fixed number of appends in
flight, as concurrent senders do, while two readers follow and let go of what they have read, so that the log rotates
and deletes as in real life. `CPU µs` is for an append, `follow` for a reader and frame while it keeps up, `read` for a
frame that is read back from its file; `spans/CPU-s` is for all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sidecar"))

from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import MEMORY, Log

QUOTA = 1 << 30


@dataclass(frozen=True)
class Job:
    name: str
    spans: int
    size: int
    in_flight: int


@dataclass(frozen=True)
class Result:
    job: str
    appends_per_second: float
    spans_per_second: float
    megabytes_per_second: float
    cpu_us_per_append: float
    spans_per_cpu_second: float
    appends_per_commit: float
    sync_ms: float
    read_cpu_us_per_frame: float
    follow_cpu_us_per_frame: float
    anonymous_mb: float


JOBS = [
    Job("512 spans, 200 KB, 16 in flight", 512, 200_000, 16),
    Job("512 spans, 200 KB, 1 in flight", 512, 200_000, 1),
    Job("50 spans, 20 KB, 16 in flight", 50, 20_000, 16),
    Job("1 span, 400 B, 32 in flight", 1, 400, 32),
    Job("1 span, 400 B, 1 in flight", 1, 400, 1),
]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Senders:
    """Keep `in_flight` appends on their way, by callbacks alone, as a receiver does."""

    def __init__(self, log: Log, job: Job, deadline: float) -> None:
        self.done = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log, self._job, self._deadline = log, job, deadline
        self._payload = os.urandom(job.size)
        self._left = job.in_flight

    def start(self) -> None:
        for _ in range(self._job.in_flight):
            self._log.submit(self._payload, self._job.spans, self._answered)

    def _answered(self, error: LogError | None) -> None:
        assert error is None, error
        self.done += 1
        if time.monotonic() < self._deadline:
            self._log.submit(self._payload, self._job.spans, self._answered)
            return
        self._left -= 1
        if not self._left:
            self.finished.set_result(None)


class Followers:
    """Two entries that read what is committed and let go of it, without sending it anywhere."""

    def __init__(self, log: Log) -> None:
        self._log, self._readers = log, [log.reader(log.begin), log.reader(log.begin)]
        self.cpu = 0.0
        log.on_committed(self._read)

    def _read(self) -> None:
        began = time.thread_time()
        for reader in self._readers:
            while reader.read(512, 4 << 20) is not None:
                pass
        self.cpu += time.thread_time() - began
        self._log.release(self._log.end)


async def run(job: Job, directory: str, seconds: float, memory: int) -> Result:
    """One job on a fresh log."""
    shutil.rmtree(directory, ignore_errors=True)
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=QUOTA, memory=memory)
    began, cpu = time.monotonic(), _cpu()
    senders, followers = Senders(log, job, began + seconds), Followers(log)
    senders.start()
    await senders.finished
    elapsed, cpu, done = time.monotonic() - began, _cpu() - cpu, senders.done
    stats = log.stats()
    anonymous = _anonymous_mb()
    read_us = _read(log, job.spans)
    await log.close()
    shutil.rmtree(directory, ignore_errors=True)
    return Result(
        job.name,
        round(done / elapsed, 1),
        round(done * job.spans / elapsed),
        round(done * job.size / elapsed / 1e6, 1),
        round((cpu - followers.cpu) / done * 1e6, 1),
        round(done * job.spans / cpu),
        round(stats.appends / stats.commits, 1),
        round(stats.sync_seconds / stats.commits * 1e3, 3),
        round(read_us, 2),
        round(followers.cpu / done / 2 * 1e6, 2),
        round(anonymous, 1),
    )


def _read(log: Log, spans: int) -> float:
    """CPU microseconds per frame to read what is left, in batches of 512 spans or 4 MiB."""
    reader, frames, cpu = log.reader(log.begin), 0, _cpu()
    while (batch := reader.read(512, 4 << 20)) is not None:
        frames += batch.spans // spans
    reader.close()
    return (_cpu() - cpu) / max(1, frames) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default=None, help="where the log goes; default: a new one beside this file")
    parser.add_argument("--seconds", type=float, default=5.0, help="per job")
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes of the newest frames kept for readers")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of the table")
    options = parser.parse_args()
    directory = options.directory or tempfile.mkdtemp(prefix="log-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    columns = f"{'appends/s':>10} {'spans/s':>9} {'MB/s':>7} {'CPU µs':>7} {'spans/CPU-s':>11} {'/commit':>8}"
    header = f"{'job':34} {columns} {'sync ms':>8} {'read µs':>8} {'follow':>7} {'MB':>5}"
    if not options.json:
        print(header)
    for job in JOBS:
        found = asyncio.run(run(job, directory, options.seconds, options.memory))
        if options.json:
            print(json.dumps(asdict(found)))
        else:
            print(
                f"{found.job:34} {found.appends_per_second:10,.0f} {found.spans_per_second:9,} "
                f"{found.megabytes_per_second:7,.0f} {found.cpu_us_per_append:7,.1f} "
                f"{found.spans_per_cpu_second:11,.0f} "
                f"{found.appends_per_commit:8,.1f} {found.sync_ms:8.3f} {found.read_cpu_us_per_frame:8.2f} "
                f"{found.follow_cpu_us_per_frame:7.2f} {found.anonymous_mb:5.1f}"
            )


if __name__ == "__main__":
    main()
