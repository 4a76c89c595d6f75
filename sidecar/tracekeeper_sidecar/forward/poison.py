"""Is it the request or the backend? Weighs failures that may be either's fault. Pure.

A backend that answers 500 or INTERNAL may be unwell, or may choke on this very request. If it were merely unwell, the
request would fail as often as others do; so the chance of its failing every time is that share to the power of its
tries. Below one in a million, the request is to blame; but never before two dozen tries, because the share is itself
only an estimate, and a few others may just have been lucky. While nothing else gets through, nothing is ever to blame.
"""

from __future__ import annotations

from dataclasses import dataclass

DOUBT = 1e-6
"""The chance of giving up a harmless request, when the backend fails at random."""
LEAST_TRIES = 24
"""Failures in a row before a request may be given up: at a backend that fails six times in ten, one request in 200,000
meets so many. Acknowledged spans are worth the minutes that this takes."""
SIZE_TRIES = 6
"""Tries after which a size is believed to be the reason, see `Blame.size_proven`."""


@dataclass(slots=True)
class Blame:
    """What one backend has done since it first failed on one request."""

    taken_before: int
    """Requests that it had taken by then."""
    failed_before: int
    """Requests that it had failed on by then, this one's first failure included."""
    tries: int = 1
    """Failures on this request."""

    def proven(self, taken: int, failed: int) -> bool:
        """Whether the request is to blame, given the backend's totals now."""
        others_taken = taken - self.taken_before
        others_failed = max(0, failed - self.failed_before - (self.tries - 1))
        if others_taken < 1 or self.tries < LEAST_TRIES:
            return False
        # Laplace's rule of succession: two imagined tries, one of each kind, keep a short record from being certain.
        share = (others_failed + 1) / (others_failed + others_taken + 2)
        return share**self.tries < DOUBT

    def size_proven(self, taken: int) -> bool:
        """Whether the request is too large for a backend that says so in doubtful words, and has never taken one as
        large. That it takes smaller ones meanwhile is evidence enough after a few tries."""
        return taken > self.taken_before and self.tries >= SIZE_TRIES
