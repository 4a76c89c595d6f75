"""How long a commit waits for company. Pure: time comes in as numbers.

A commit costs a sync and two hand-overs between threads, whether it holds one request or fifty. So while requests
keep coming, commits begin at least `INTERVAL` apart and share those costs; a request that comes after a quiet time is
committed at once. Where waiting brings nobody, as with one sender who waits for each answer, it is soon tried only now
and then.
"""

from __future__ import annotations

INTERVAL = 0.008
"""Seconds between the beginnings of two commits while requests keep coming: what a request waits at most, and 125 syncs
a second for disks that count them."""
LONGEST_REFRAIN = 64
"""Commits without waiting after waits that brought nobody, at most."""


class Pace:
    """Owned by the writer's thread."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._refrain = 0
        """Commits that will not wait."""
        self._penalty = 1
        """How many those are after the next wait in vain."""

    def patience(self, now: float) -> float:
        """Seconds that a commit waits which could begin `now`, monotonic; 0 for at once."""
        left = self._began + INTERVAL - now
        if left <= 0:
            return 0.0
        if self._refrain:
            self._refrain -= 1
            return 0.0
        return left

    def waited(self, gained: int) -> None:
        """Learn how many appends a wait has brought."""
        if gained:
            self._penalty = 1
        else:
            self._refrain = self._penalty
            self._penalty = min(LONGEST_REFRAIN, self._penalty * 2)

    def begin(self, now: float) -> None:
        """A commit begins."""
        self._began = now
