"""Time as a parameter: nothing in the operator's own code reads the clock except through this."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people and certificates see, monotonic time for every wait and deadline."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        # Unlike time.monotonic() it goes on while the machine is suspended: who slept through a lead has lost it.
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the second, as the API server writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def microtime(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds, as Leases have it (MicroTime)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
