"""Appends per second and CPU per append of the segment log alone, and what reading back costs.

    python bench/log_append.py [--directory DIR] [--seconds 5]

DIR should lie on the disk that matters: on tmpfs a sync costs nothing. Each job keeps a fixed number of appends in
flight, as concurrent senders do, and releases what it wrote, so that the log rotates and deletes as in real life.
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
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log

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
    appends_per_commit: float
    sync_ms: float
    read_cpu_us_per_frame: float
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


async def _append(log: Log, job: Job, payload: bytes, deadline: float) -> int:
    done = 0
    while time.monotonic() < deadline:
        await log.append(payload, job.spans)
        done += 1
        if done % 64 == 0:
            log.release(log.end)
    return done


async def run(job: Job, directory: str, seconds: float) -> Result:
    """One job on a fresh log."""
    shutil.rmtree(directory, ignore_errors=True)
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=QUOTA)
    payload = os.urandom(job.size)
    began, cpu = time.monotonic(), _cpu()
    counts = await asyncio.gather(*(_append(log, job, payload, began + seconds) for _ in range(job.in_flight)))
    elapsed, cpu, done = time.monotonic() - began, _cpu() - cpu, sum(counts)
    stats = log.stats()
    memory = _anonymous_mb()
    read_us = _read(log)
    await log.close()
    shutil.rmtree(directory, ignore_errors=True)
    return Result(
        job.name,
        round(done / elapsed, 1),
        round(done * job.spans / elapsed),
        round(done * job.size / elapsed / 1e6, 1),
        round(cpu / done * 1e6, 1),
        round(stats.appends / stats.commits, 1),
        round(stats.sync_seconds / stats.commits * 1e3, 3),
        round(read_us, 2),
        round(memory, 1),
    )


def _read(log: Log) -> float:
    """CPU microseconds per frame to read what is left, in batches of 512 spans or 4 MiB."""
    reader, frames, cpu = log.reader(log.begin), 0, _cpu()
    while (batch := reader.read(512, 4 << 20)) is not None:
        frames += len(batch.payloads)
    reader.close()
    return (_cpu() - cpu) / max(1, frames) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default=None, help="where the log goes; default: a new one beside this file")
    parser.add_argument("--seconds", type=float, default=5.0, help="per job")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of the table")
    options = parser.parse_args()
    directory = options.directory or tempfile.mkdtemp(prefix="log-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    columns = f"{'appends/s':>10} {'spans/s':>9} {'MB/s':>7} {'CPU µs':>7} {'/commit':>8}"
    header = f"{'job':34} {columns} {'sync ms':>8} {'read µs':>8} {'MB':>5}"
    if not options.json:
        print(header)
    for job in JOBS:
        found = asyncio.run(run(job, directory, options.seconds))
        if options.json:
            print(json.dumps(asdict(found)))
        else:
            print(
                f"{found.job:34} {found.appends_per_second:10,.0f} {found.spans_per_second:9,} "
                f"{found.megabytes_per_second:7,.0f} {found.cpu_us_per_append:7,.1f} {found.appends_per_commit:8,.1f} "
                f"{found.sync_ms:8.3f} {found.read_cpu_us_per_frame:8.2f} {found.anonymous_mb:5.1f}"
            )


if __name__ == "__main__":
    main()
