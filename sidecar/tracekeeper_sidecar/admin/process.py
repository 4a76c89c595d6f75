"""What the kernel knows of this process, under the names that every client library of Prometheus uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tracekeeper_sidecar import metrics as m
from tracekeeper_sidecar.admin.openmetrics import Family, Sample

_STAT_AFTER_NAME = 3
"""Number of the first field that follows the name in /proc/PID/stat: proc_pid_stat(5)."""


def families(folder: Path = Path("/proc/self"), boot: Path = Path("/proc/stat")) -> Iterator[Family]:
    """From /proc; what cannot be read there has no sample."""
    stat = _stat(folder)
    ticks = os.sysconf("SC_CLK_TCK")
    yield m.PROCESS_CPU, _one((stat[14] + stat[15]) / ticks if stat else None)
    yield m.PROCESS_RESIDENT, _one(stat[24] * os.sysconf("SC_PAGE_SIZE") if stat else None)
    yield m.PROCESS_VIRTUAL, _one(stat[23] if stat else None)
    booted = _booted(boot)
    yield m.PROCESS_START, _one(booted + stat[22] / ticks if stat and booted is not None else None)
    yield m.PROCESS_FILES, _one(_open_files(folder))
    yield m.PROCESS_MAX_FILES, _one(_most_files(folder))


def _one(value: float | None) -> list[Sample]:
    return [] if value is None else [((), value)]


def _stat(folder: Path) -> dict[int, int]:
    """Fields by the numbers of the manual page. The name may hold spaces and brackets: what follows it counts."""
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return {}
    return {_STAT_AFTER_NAME + place: int(field) for place, field in enumerate(fields) if place}


def _booted(file: Path) -> float | None:
    """Unix time of the machine's start."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), None)


def _open_files(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))
    except OSError:
        return None


def _most_files(folder: Path) -> float | None:
    """The soft limit."""
    try:
        lines = (folder / "limits").read_bytes().splitlines()
    except OSError:
        return None
    found = next((line.split()[3] for line in lines if line.startswith(b"Max open files")), None)
    return None if found is None else float("inf") if found == b"unlimited" else float(found)
