"""Where the log ended at which time, every few seconds: nobody has to read a whole segment to find a minute. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from tracekeeper_sidecar.model import Position

EVERY = 2.0
"""Seconds between two."""
MOST = 1024
"""As many are kept; with fewer, longer times go back to segments."""


class Milestones:
    """Owned by one event loop."""

    def __init__(self) -> None:
        self._stones: deque[tuple[float, Position]] = deque(maxlen=MOST)

    def note(self, now: float, end: Position, back: float) -> None:
        """The log ends there at the Unix time `now`. Those that are older than `back` seconds may be forgotten."""
        stones = self._stones
        if stones and now < stones[-1][0]:
            stones.clear()  # The clock was set back.
        if stones and now - stones[-1][0] < EVERY:
            return
        stones.append((now, end))
        while len(stones) > 1 and stones[1][0] < now - back:
            stones.popleft()

    def since(self, time: float, otherwise: Position) -> Position:
        """A place before all that came at that time or later; `otherwise` if there is none nearer."""
        index = bisect_right(self._stones, time, key=lambda stone: stone[0]) - 1
        return max(otherwise, self._stones[index][1]) if index >= 0 else otherwise
