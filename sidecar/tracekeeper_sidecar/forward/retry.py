"""When to try again: a jittered schedule that honours what the backend asks for, and a budget. Pure; time and
randomness are parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SERVER_DELAY = 600.0
"""Seconds; a longer Retry-After is cut to this, because a backend's wrong clock must not silence us for a year."""
SERVER_DELAY_SPREAD = 0.1
"""Share of a server-sent delay added at random on top, never taken off: all of its clients were told the same."""
BUDGET_RESERVE = 10.0
"""Retries that may be saved up: a hiccup of a backend with little traffic is over before the budget is felt."""
BUDGET_PER_SECOND = 1.0
"""Retries that the budget grows by without any traffic: spans that wait must get through when nothing else comes."""


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


class RetryBudget:
    """Keeps retries below a share of all calls to one backend, as Finagle's RetryBudget does.

    Every first call earns a part of a retry, every retry costs a whole one; a few are saved up, and a trickle comes by
    itself. So a backend that fails everything sees hardly more calls than a healthy one.
    """

    def __init__(self, share: float, now: float) -> None:
        self.share = share
        """Of all calls, from 0 to 1; at 1 there is no limit."""
        self._saved, self._at = BUDGET_RESERVE, now

    def earn(self) -> None:
        """A first call is made."""
        if self.share < 1.0:
            self._saved = min(BUDGET_RESERVE, self._saved + self.share / (1.0 - self.share))

    def take(self, now: float) -> bool:
        """Whether a retry may be made now; if so it is paid for."""
        if self.left(now) < 1.0:
            return False
        if self.share < 1.0:
            self._saved -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Seconds until a retry may be made, if nothing else happens."""
        return max(0.0, (1.0 - self.left(now)) / BUDGET_PER_SECOND)

    def left(self, now: float) -> float:
        """Retries that may be made now."""
        if self.share >= 1.0:
            return BUDGET_RESERVE
        self._saved = min(BUDGET_RESERVE, self._saved + max(0.0, now - self._at) * BUDGET_PER_SECOND)
        self._at = now
        return self._saved
