"""CPU time and anonymous memory of a process and its children, read from /proc."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2
"""Which clock of a process: time on a processor. clock_getcpuclockid(3) composes the number; Python has no call."""


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, those that still live."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # It ended while we looked.
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, ended and awaited children included."""
    total = 0.0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            # A process' own clock counts nanoseconds, proc(5) ticks: at rest there is less than a tick to see.
            total += time.clock_gettime(~one << 3 | CPUCLOCK_SCHED)
        except OSError:
            continue
        total += sum(int(ticks) for ticks in fields[13:15]) / TICKS  # cutime, cstime
    return total


def anonymous_bytes(pid: int) -> int:
    """RssAnon of the tree: what only this process holds, without files in the page cache."""
    total = 0
    for one in tree(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon:"))
    return total


class Peak:
    """Samples a tree's anonymous memory until stopped, and keeps the highest value in bytes."""

    def __init__(self, pid: int, every: float = 0.05) -> None:
        self._pid, self._every = pid, every
        self._stop = threading.Event()
        self.first = self.highest = anonymous_bytes(pid)
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self.highest = max(self.highest, anonymous_bytes(self._pid))

    def stop(self) -> int:
        """Stop sampling; returns the highest."""
        self._stop.set()
        self._thread.join(5)
        return self.highest


class Consumption:
    """Samples a tree's CPU time until stopped, so that parts of a run can be told apart afterwards."""

    def __init__(self, pid: int, every: float = 0.25) -> None:
        self._pid, self._every = pid, every
        self._stop = threading.Event()
        self.samples = [(time.monotonic(), cpu_seconds(pid))]
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self.samples.append((time.monotonic(), cpu_seconds(self._pid)))

    def stop(self) -> None:
        """To be called while the tree still lives, else the newest sample misses what it took."""
        self._stop.set()
        self._thread.join(5)
        self.samples.append((time.monotonic(), cpu_seconds(self._pid)))

    def share(self, begin: float, end: float) -> float:
        """Of a core, between two monotonic times; evenly between two samples."""
        return (self._at(end) - self._at(begin)) / (end - begin)

    def _at(self, when: float) -> float:
        place = min(max(1, bisect_left(self.samples, (when, 0.0))), len(self.samples) - 1)
        (before, used), (after, more) = self.samples[place - 1 : place + 1]
        part = (when - before) / (after - before) if after > before else 0.0
        return used + (more - used) * min(1.0, max(0.0, part))
