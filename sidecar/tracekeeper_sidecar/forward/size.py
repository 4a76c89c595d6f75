"""What is known of the largest request that a backend takes, so that later ones are cut before they are sent. Pure.

Known are the largest size that was taken and the smallest that was refused. Between the two the limit is searched by
halving the gap, one refused request per step, until they are within a quarter of each other. A backend that names its
limit is believed. What is known is forgotten after a while, because limits are raised, and a request then tells anew.
"""

from __future__ import annotations

KEEP = 900.0
"""Seconds that a plain refusal is remembered."""
KEEP_DOUBTFUL = 60.0
"""Seconds that one is remembered that may as well have been a limit of rate."""


class SizeLimit:
    """One backend's, since it was connected. Sizes are bytes before compression, times monotonic seconds."""

    def __init__(self) -> None:
        self._taken = 0
        self._refused: int | None = None
        self._named: int | None = None
        self._certain = False
        self._until = 0.0

    def taken(self, size: int) -> None:
        """A request of `size` bytes was taken."""
        self._taken = max(self._taken, size)
        if self._refused is not None and size >= self._refused:
            self._refused = self._named = None

    def refused(self, size: int, now: float, *, certain: bool, named: int | None = None) -> None:
        """A request of `size` bytes was called too large; `named` is the limit that the backend spoke of."""
        if self._refused is None or now >= self._until or size < self._refused:
            self._refused = size
        self._named = named if named is not None and 0 < named < size else None
        if self._taken >= self._refused:
            self._taken = 0  # The limit has come down since.
        self._certain = certain
        self._until = now + (KEEP if certain else KEEP_DOUBTFUL)

    def most(self, now: float) -> int | None:
        """Bytes that the next request should have at most; None when nothing is known against any size."""
        if self._refused is None or now >= self._until:
            return None
        if self._named is not None:
            return self._named
        if 4 * self._taken >= 3 * self._refused or (self._taken and not self._certain):
            return self._taken
        return max(1, (self._taken + self._refused) // 2)
