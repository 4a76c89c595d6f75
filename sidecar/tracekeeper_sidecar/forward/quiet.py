"""Keeps a repeated log line from drowning the others: one per key and interval, with the number left out."""

from __future__ import annotations

from collections.abc import Hashable

from tracekeeper_sidecar.clock import Clock

INTERVAL = 10.0
"""Seconds."""
MOST_KEYS = 256


class Quiet:
    """Remembers when each kind of line was last written. Keys are few: reasons, names of backends."""

    def __init__(self, clock: Clock, interval: float = INTERVAL) -> None:
        self._clock, self._interval = clock, interval
        self._written: dict[Hashable, tuple[float, int]] = {}

    def allow(self, key: Hashable) -> int | None:
        """When a line is due, the number of lines like it that were left out since the last one; else None."""
        now = self._clock.monotonic()
        last, suppressed = self._written.get(key, (float("-inf"), 0))
        if now - last < self._interval:
            self._written[key] = (last, suppressed + 1)
            return None
        if len(self._written) >= MOST_KEYS:
            self._written.clear()
        self._written[key] = (now, 0)
        return suppressed
