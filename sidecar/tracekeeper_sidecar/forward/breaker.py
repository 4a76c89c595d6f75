"""Circuit breaker: a pure state machine. Time comes in as monotonic seconds, randomness as a function.

    Closed ──threshold failures in a row──▶ Open ──open time over──▶ HalfOpen ──success──▶ Closed
                                             ▲                          │
                                             └────────── failure ───────┘

HalfOpen lets one call through at a time. A call that says nothing about the backend's health (a client fault, a
throttle, a cancelled call) gives its place back. Every call holds a permit of the era in which it began; the result
of a call from an earlier era is ignored, so that a late timeout cannot reopen what has just been seen to work.

The open time is drawn from [open_for, ceiling]; the ceiling starts at twice open_for and doubles with every opening
in a row, up to max_open_for. Drawing from the whole range is the "full jitter" of Brooker, "Exponential Backoff And
Jitter" (AWS Architecture Blog, 2015): a fleet that lost one backend does not come back to it as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """The breaker's state, as users see it."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When to open and for how long. All of them as in `circuitBreaker` of the TracingConfig."""

    failure_threshold: int = 5
    """Failures in a row that open the circuit."""
    open_for: float = 30.0
    """Seconds; the shortest open time."""
    max_open_for: float = 300.0
    """Seconds; the longest open time."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state."""

    source: Circuit
    target: Circuit
    reason: str
    """Why, in words for people."""
    open_for: float = 0.0
    """Seconds until the next probe, when `target` is Open."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back with exactly one of `success`, `failure` and `release`."""

    era: int


class Breaker:
    """One backend's circuit. Owned by one event loop; every method returns at once."""

    def __init__(
        self,
        settings: BreakerSettings,
        random: Callable[[], float],
        on_transition: Callable[[Transition], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.circuit = Circuit.CLOSED
        self.failures = 0
        """Failures in a row while closed."""
        self.transitions: Counter[str] = Counter()
        """Changes of state, by new state."""
        self.rejected = 0
        """Calls not allowed."""
        self._random, self._on_transition = random, on_transition
        self._era = 0
        self._openings = 0  # in a row, without a success between
        self._open_until = 0.0
        self._probing = False

    @property
    def probing(self) -> bool:
        """Half-open, with the one probe on its way."""
        return self._probing

    def allow(self, now: float) -> Permit | None:
        """Leave for one call, or None (counted as rejected)."""
        if self.circuit is Circuit.CLOSED:
            return Permit(self._era)
        if self.circuit is Circuit.OPEN and now >= self._open_until:
            self._change(Circuit.HALF_OPEN, "the open time is over: one call probes the backend")
        if self.circuit is Circuit.HALF_OPEN and not self._probing:
            self._probing = True
            return Permit(self._era)
        self.rejected += 1
        return None

    def success(self, permit: Permit) -> None:
        """The call worked."""
        if permit.era != self._era:
            return
        self.failures = 0
        if self.circuit is Circuit.HALF_OPEN:
            self._openings = 0
            self._change(Circuit.CLOSED, "the probe succeeded")

    def failure(self, permit: Permit, now: float, reason: str) -> None:
        """The call failed in a way that says that the backend is unwell."""
        if permit.era != self._era:
            return
        self.failures += 1
        if self.circuit is Circuit.HALF_OPEN:
            self._open(now, f"the probe failed: {reason}")
        elif self.failures >= self.settings.failure_threshold:
            self._open(now, f"{self.failures} failures in a row, the last one: {reason}")

    def release(self, permit: Permit) -> None:
        """The call said nothing about the backend's health: as if it had not been made."""
        if permit.era == self._era:
            self._probing = False

    def wait(self, now: float) -> float:
        """Seconds until a call may be allowed; 0 when one may be now, or when only a running probe can tell."""
        return max(0.0, self._open_until - now) if self.circuit is Circuit.OPEN else 0.0

    def hasten(self, now: float) -> None:
        """End a running open time now: the next call is the probe. For a last try before the process ends."""
        self._open_until = min(self._open_until, now)

    def _open(self, now: float, reason: str) -> None:
        low, high = self.settings.open_for, max(self.settings.open_for, self.settings.max_open_for)
        # The exponent is bounded because 2.0 ** 1024 overflows, and a backend may stay away for months.
        ceiling = min(high, low * 2.0 ** min(self._openings + 1, 64))
        open_for = low + (ceiling - low) * self._random()
        self._openings += 1
        self._open_until = now + open_for
        self._change(Circuit.OPEN, reason, open_for)

    def _change(self, target: Circuit, reason: str, open_for: float = 0.0) -> None:
        transition = Transition(self.circuit, target, reason, open_for)
        self.circuit = target
        self.failures = 0
        self._probing = False
        self._era += 1
        self.transitions[target] += 1
        self._on_transition(transition)
