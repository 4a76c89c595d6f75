"""This sidecar's part of the target, with and without somebody who divides it. Pure; time is monotonic seconds.

While answers come, the last one holds. When none has come for `GRACE`, the part moves from there to an equal one, half
of the way in each `HALF_LIFE`: what was known about the others' load gets old, and if all of them move to equal parts
the sum is still the target.
"""

from __future__ import annotations

from math import exp2, isfinite

GRACE = 30.0
"""Seconds without an answer in which the last one holds as it is: longer than a new leader takes to answer."""
HALF_LIFE = 60.0
"""Seconds."""


class Share:
    """Before any answer the part is an equal one among as many sidecars as are known of, maybe this one alone."""

    def __init__(self, target: float, sidecars: int = 1) -> None:
        self.sidecars = max(1, sidecars)
        """Of the config, as last told."""
        self._target = target
        self._granted = self.fair
        self._at: float | None = None

    @property
    def fair(self) -> float:
        """An equal part, traces a second."""
        return self._target / self.sidecars

    @property
    def granted_at(self) -> float | None:
        """When the last answer came."""
        return self._at

    def grant(self, now: float, share: float, sidecars: int) -> bool:
        """An answer: `share` traces a second, among that many sidecars. False when it is no answer: nothing changes."""
        if not isfinite(share) or share < 0.0 or sidecars < 1:
            return False
        self._granted, self._at, self.sidecars = min(share, self._target), now, sidecars
        return True

    def retarget(self, target: float) -> None:
        """The policy has another target: the part grows or shrinks with it until the next answer."""
        self._granted = self._granted * target / self._target if self._target else target / self.sidecars
        self._target = target

    def at(self, now: float) -> float:
        """Traces a second to keep."""
        if self._at is None:
            return self.fair
        alone = max(0.0, now - self._at - GRACE)
        return self.fair + (self._granted - self.fair) * exp2(-alone / HALF_LIFE)
