"""This sidecar's part of the target, with and without somebody who divides it. Pure; time is monotonic seconds.

While answers come, the last one holds. When none has come for `GRACE`, the part moves from there to an equal one, half
of the way in each `HALF_LIFE`: what was known about the others' load gets old, and if all of them move to equal parts
the sum is still the target.

With its part a sidecar is told the *floor*: a probability below which no other sidecar goes either. Without an answer
it fades in the same way, to the lowest that the config allows.
"""

from __future__ import annotations

from collections import deque
from math import exp2, isfinite

GRACE = 90.0
"""Seconds without an answer in which the last one holds as it is. While all is well one comes within 15 s; an operator
that is replaced is away for up to 30 s, and hears everybody for another 30 s before it divides."""
HALF_LIFE = 60.0
"""Seconds."""
SETTLE = 10.0
"""Seconds after which a higher floor is taken to have come to all sidecars."""


class Share:
    """Before any answer the part is an equal one among as many sidecars as are known of, maybe this one alone."""

    def __init__(self, target: float, sidecars: int = 1) -> None:
        self.sidecars = max(1, sidecars)
        """Of the config, as last told."""
        self._target = target
        self._granted = self.fair
        self._at: float | None = None
        self._floors: deque[tuple[float, float]] = deque()
        """When it was told, and the floor: the newest one, and before it those of the last SETTLE seconds."""

    @property
    def fair(self) -> float:
        """An equal part, traces a second."""
        return self._target / self.sidecars

    @property
    def granted_at(self) -> float | None:
        """When the last answer came."""
        return self._at

    def grant(self, now: float, share: float, sidecars: int, floor: float = 0.0) -> bool:
        """An answer: `share` traces a second, among that many sidecars, none of which goes below the probability
        `floor`. False when it is no answer: nothing changes."""
        if not isfinite(share) or share < 0.0 or sidecars < 1 or not 0.0 <= floor <= 1.0:
            return False
        self._granted, self._at, self.sidecars = min(share, self._target), now, sidecars
        self._floors.append((now, floor))
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

    def floor_at(self, now: float, least: float) -> float:
        """The probability below which this sidecar must not go; `least` is the lowest that the config allows."""
        return self._faded(now, self._floors[-1][1], least) if self._floors else least

    def common_floor_at(self, now: float, least: float) -> float:
        """The floor that all sidecars can be taken to have by now: the lowest of the last seconds."""
        while len(self._floors) > 1 and self._floors[1][0] <= now - SETTLE:
            self._floors.popleft()
        lowest = min((floor for _, floor in self._floors), default=least)
        return self._faded(now, lowest, least)

    def _faded(self, now: float, floor: float, least: float) -> float:
        alone = 0.0 if self._at is None else max(0.0, now - self._at - GRACE)
        return max(least, least + (floor - least) * exp2(-alone / HALF_LIFE))
