"""Turns totals that only grow into those of the last five minutes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from tracekeeper_sidecar.clock import Clock

WINDOW = 300.0
"""Seconds that count as recent."""
STEP = 10.0
"""Seconds between the marks that the window moves by."""


class RecentCalls:
    """Marked regularly by its owner; asked at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, Counter[str]]] = deque([(clock.monotonic(), Counter())])

    def mark(self, totals: Counter[str]) -> None:
        """Remember how the totals stand now; to be called every few seconds."""
        now = self._clock.monotonic()
        if now - self._marks[-1][0] >= STEP:
            self._marks.append((now, totals.copy()))
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    def since_window(self, totals: Counter[str]) -> Mapping[str, int]:
        """What came on top of the totals as they stood when the window began."""
        return dict(totals - self._marks[0][1])
