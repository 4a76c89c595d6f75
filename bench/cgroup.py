"""A process within limits, as in a container: memory and CPU, by cgroup version 1 or 2. Needs root."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000
"""Microseconds of a period of the CPU's limit; what Kubernetes uses."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Folders that a process is put into; one under version 2."""

    folders: tuple[Path, ...]

    @property
    def prefix(self) -> list[str]:
        """What a command is prefixed with to run inside; its process id stays what it is."""
        enter = " && ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        return ["/bin/sh", "-c", f'{enter} && exec "$@"', "sh"]

    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            for folder in self.folders:
                if (folder / name).exists():
                    fields = dict(line.split() for line in (folder / name).read_text().splitlines())
                    return int(fields.get("oom_kill", 0))
        return 0


def available() -> str | None:
    """None, or why there can be no limits here."""
    if os.geteuid() != 0:
        return "it needs root"
    return None if _unified() or (ROOT / "memory").is_dir() else "there is no cgroup to put a process into"


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


@contextmanager
def limited(memory: int, cores: float) -> Iterator[Cgroup]:
    """A group with these limits, removed afterwards; all of its processes must have ended by then."""
    name = f"tracekeeper-bench-{os.getpid()}-{time.monotonic_ns()}"
    quota = int(cores * PERIOD)
    if _unified():
        (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
        files = {ROOT / name: {"memory.max": memory, "cpu.max": f"{quota} {PERIOD}"}}
    else:
        files = {
            ROOT / "memory" / name: {"memory.limit_in_bytes": memory},
            ROOT / "cpu" / name: {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota},
        }
    try:
        for folder, settings in files.items():
            folder.mkdir()
            for setting, value in settings.items():
                (folder / setting).write_text(str(value))
        yield Cgroup(tuple(files))
    finally:
        _remove(list(files))


def _remove(folders: Sequence[Path], limit: float = 5.0) -> None:
    deadline = time.monotonic() + limit
    for folder in folders:
        while folder.exists():
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)  # A process that was killed is still being reaped.
