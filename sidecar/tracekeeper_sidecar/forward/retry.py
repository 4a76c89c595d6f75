"""When to try again: a jittered schedule that honours what the backend asks for. Pure; randomness is a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SERVER_DELAY = 600.0
"""Seconds; a longer Retry-After is cut to this, because a backend's wrong clock must not silence us for a year."""
SERVER_DELAY_SPREAD = 0.1
"""Share of a server-sent delay added at random on top, never taken off: all of its clients were told the same."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Full jitter over a doubling ceiling (Brooker, "Exponential Backoff And Jitter", 2015)."""

    initial: float = 1.0
    """Seconds; ceiling of the first delay."""
    maximum: float = 30.0
    """Seconds; ceiling of every delay that we choose ourselves."""

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after failed attempt number `attempt` (0 is the first), in [0, ceiling]."""
        ceiling = min(self.maximum, self.initial * 2.0 ** min(attempt, 64))
        return ceiling * random()


def server_delay(asked: float, random: Callable[[], float]) -> float:
    """Seconds to stay away when a backend asked for `asked`: never less (up to the cap), a little more at random."""
    return min(max(asked, 0.0), LONGEST_SERVER_DELAY) * (1.0 + SERVER_DELAY_SPREAD * random())
