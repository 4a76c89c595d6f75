"""A process by its number and its start time: numbers are used again, pairs are not."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine; `start` is in clock ticks since boot (field 22 of /proc/PID/stat)."""

    pid: int
    start: int

    @classmethod
    def this(cls) -> Process:
        """The calling process, numbered as the mounted /proc numbers it."""
        pid = int(os.readlink("/proc/self"))
        return cls(pid, _start_time(pid) or 0)

    @classmethod
    def load(cls, file: Path) -> Process | None:
        """Return what `save` wrote, or None when there is no such file or it is not whole."""
        try:
            pid, start = file.read_text().split()
            return cls(int(pid), int(start))
        except (FileNotFoundError, ValueError):
            return None

    def save(self, file: Path) -> None:
        """Write the process down."""
        file.write_text(f"{self.pid} {self.start}\n")

    def alive(self) -> bool:
        """Whether this very process still exists (a zombie does not count)."""
        return _start_time(self.pid) == self.start

    def kill(self) -> None:
        """Send SIGKILL, unless it is gone already."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)


def _start_time(pid: int) -> int | None:
    try:
        # The command may hold spaces and brackets: what follows the last bracket is regular.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
