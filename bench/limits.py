"""The first three jobs inside 256 MiB of memory and a tenth of a core: what rate holds, and what happens beyond it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import cgroup
import procfs
from jobs import STEADY, Job
from measure import bench_folder, generate, settled
from processes import Programs
from sidecar import Sidecar
from sinks import Sinks
from table import text

MEMORY = 256 << 20
CORES = 0.1
BEYOND = Job("beyond", "beyond: 512 a request, 600 in flight", 512, 600)
"""More bytes in flight than are admitted: what is too much must be refused, politely."""
HEAD = ("inside 256 MiB and a tenth of a core", "spans/s", "p50 ms", "p99 ms", "peak MB", "refused", "drained after s")
POLITE = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}


def run(seconds: float) -> dict[str, Any]:
    """One run for each job; says why there is none where there can be none."""
    if reason := cgroup.available():
        return {"not_run": reason, "jobs": []}
    jobs = [_one(job, seconds) for job in (*STEADY[:3], BEYOND)]
    missed = [
        f"{job['job']}: {what}"
        for job in jobs
        for what, wrong in (
            ("a process was killed for want of memory", job["killed"]),
            (f"refused with {', '.join(job['refused'])}", set(job["refused"]) - POLITE),
        )
        if wrong
    ]
    return {"memory": MEMORY, "cores": CORES, "jobs": jobs, "missed": missed}


def _one(job: Job, seconds: float) -> dict[str, Any]:
    with cgroup.limited(MEMORY, CORES) as group, bench_folder() as folder, Programs(folder) as programs:
        sinks = Sinks(programs)
        side = Sidecar(programs, sinks.ports, prefix=group.prefix)
        side.start()
        begin = time.monotonic()
        side.ready()
        healthy = time.monotonic() - begin
        peak = procfs.Peak(side.pid)
        load = generate(side, job, seconds)
        settled(side, sinks, load["acknowledged"])
        drained = time.monotonic() - begin - healthy - load["seconds"]
        keys = ("acknowledged", "seconds", "refused", "p50_ms", "p99_ms")
        return {
            "job": job.name,
            "title": job.title,
            **{key: load[key] for key in keys},
            "healthy_seconds": round(healthy, 1),
            "drained_seconds": round(drained, 1),
            "acknowledged_per_second": round(load["acknowledged"] / load["seconds"]),
            "peak_mb": round(peak.stop() / 1e6, 1),
            "killed": group.killed(),
        }


def lines(found: Mapping[str, Any]) -> list[str]:
    """For the terminal."""
    if "not_run" in found:
        return [f"inside limits: NOT RUN, {found['not_run']}"]
    verdict = (
        "; ".join(found["missed"]) or "all delivered, nothing killed; what was too much waited, or was refused politely"
    )
    return [*text(HEAD, cells(found)), verdict]


def cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each job."""
    return [
        (
            job["title"],
            f"{job['acknowledged_per_second']:,}",
            *(f"{job[key]:.1f}" for key in ("p50_ms", "p99_ms", "peak_mb")),
            f"{sum(job['refused'].values()):,}",
            f"{job['drained_seconds']:.0f}",
        )
        for job in found["jobs"]
    ]
