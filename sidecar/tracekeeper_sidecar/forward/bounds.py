"""What an entry may keep waiting, and for which reason it gives up what is beyond that. Pure.

expired       older than `buffer.maxAge`
lag           older than the `maxLag` of an entry that is BestEffort
max_spans     the oldest of more than `buffer.maxSpans`
buffer_full   the oldest, to make room for new ones: `whenFull: DropOldest`, or an entry that is BestEffort
"""

from __future__ import annotations

from dataclasses import dataclass

EXPIRED, LAG, MAX_SPANS, BUFFER_FULL = "expired", "lag", "max_spans", "buffer_full"

WORDS = {
    EXPIRED: "they were older than buffer.maxAge",
    LAG: "they had waited for longer than the maxLag of this BestEffort entry",
    MAX_SPANS: "more than buffer.maxSpans were pending; the oldest go first",
    BUFFER_FULL: "the buffer is full, and they were the oldest; see why no backend takes spans, or make it larger",
}
"""Each reason for people."""

LOOKS = 20
"""Looks at the oldest spans within the time that they have."""
SHORTEST, LONGEST = 0.25, 15.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one delivery entry. Without any, spans wait for ever."""

    max_age: float | None = None
    """Seconds."""
    max_lag: float | None = None
    """Seconds."""
    max_spans: int | None = None
    yields: bool = False
    """Whether its oldest spans make way for new ones when the log is full."""
    first: bool = False
    """Whether it does so before entries that are Guaranteed."""

    def verdict(self, age: float, pending: int) -> str | None:
        """Why spans that have waited for `age` seconds, as the oldest of `pending`, are given up; None if not."""
        if self.max_lag is not None and age > self.max_lag:
            return LAG
        if self.max_age is not None and age > self.max_age:
            return EXPIRED
        if self.max_spans is not None and pending > self.max_spans:
            return MAX_SPANS
        return None

    @property
    def interval(self) -> float | None:
        """Seconds after which the oldest spans want to be looked at again; None when they may wait for ever."""
        times = [time / LOOKS for time in (self.max_age, self.max_lag) if time is not None]
        if self.max_spans is not None:
            times.append(1.0)
        return min(LONGEST, max(SHORTEST, min(times))) if times else None
