"""What a process uses, from /proc (proc(5))."""

from __future__ import annotations

import os
from typing import NamedTuple


class Usage(NamedTuple):
    cpu: float
    """Seconds, in user and system mode."""
    resident: int
    """Bytes of memory in RAM."""


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def usage_of(pid: int) -> Usage | None:
    """What the process has used; None where there is none, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name, in parentheses, may hold spaces and parentheses.
            fields = stat.read().rpartition(b")")[2].split()
        return Usage((int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE)
    except (OSError, IndexError, ValueError):
        return None
