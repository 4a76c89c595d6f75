"""How long a commit waits for company. Pure: time comes in as numbers.

A commit costs a sync and two hand-overs between threads, whether it holds one request or fifty. So while requests
keep coming, commits begin some milliseconds apart and share those costs; a request that comes after a quiet time is
committed at once. Where waiting brings nobody, as with one sender who waits for each answer, it is soon tried only now
and then; and where all come at once, as from senders who have just been answered together, the wait shrinks to the time
in which they come.
"""

from __future__ import annotations

LONGEST = 0.012
"""Seconds between the beginnings of two commits while requests keep coming: what a request waits at most, and 83 syncs
a second for disks that count them."""
SHORTEST = 0.004
"""Seconds; the same, where what comes has come early."""
GROWTH = 1.1
"""Of the interval, after a wait in whose second half somebody came, too."""
LONGEST_REFRAIN = 64
"""Commits without waiting after waits that brought nobody, at most."""


class Pace:
    """Owned by the writer's thread."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._interval = LONGEST
        """Seconds between the beginnings of two commits, as learned."""
        self._refrain = 0
        """Commits that will not wait."""
        self._penalty = 1
        """How many those are after the next wait in vain."""

    def patience(self, now: float) -> float:
        """Seconds that a commit waits which could begin `now`, monotonic; 0 for at once."""
        left = self._began + self._interval - now
        if left <= 0:
            return 0.0
        if self._refrain:
            self._refrain -= 1
            return 0.0
        return left

    def waited(self, gained: int, seconds: float, quiet: float) -> None:
        """Learn from a wait of so many seconds: how many appends it has brought, and how long none of them came at its
        end."""
        if not gained:
            self._refrain = self._penalty
            self._penalty = min(LONGEST_REFRAIN, self._penalty * 2)
            return
        self._penalty = 1
        if quiet > seconds / 2:
            self._interval = max(SHORTEST, self._interval - quiet / 2)
        else:
            self._interval = min(LONGEST, self._interval * GROWTH)

    def begin(self, now: float) -> None:
        """A commit begins."""
        self._began = now
