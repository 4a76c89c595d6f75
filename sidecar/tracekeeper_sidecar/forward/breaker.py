"""Circuit breaker: a pure state machine. Time comes in as monotonic seconds, randomness as a function.

                     failures in a row, or a rate over the window
              Closed ─────────────────────────────────────────────▶ Open
                ▲                                                   │  ▲
                │ enough quick                        open time over │  │ a failed or
                │ successes in a row                                 ▼  │ slow probe
                └─────────────────────────────────────────────── HalfOpen

    ForcedOpen and Disabled are where the configuration puts it; only another configuration leads out of them.

HalfOpen lets one call through at a time. A call that says nothing about the backend's health (a client fault, a
throttle, a cancelled call) gives its place back. Every call holds a permit of the era in which it began; the result
of a call from an earlier era is ignored, so that a late timeout cannot reopen what has just been seen to work.

The rates are shares of the calls of a sliding window, as in resilience4j and Polly, and count once the window holds
`minimum_calls`; a backend that is plainly gone is met by the shorter way of failures in a row.

The open time is drawn from [open_for, ceiling]; the ceiling starts at twice open_for and doubles with every opening
in a row, up to max_open_for. Drawing from the whole range is the "full jitter" of Brooker, "Exponential Backoff And
Jitter" (AWS Architecture Blog, 2015): a fleet that lost one backend does not come back to it as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_sidecar.forward.window import Window


class Circuit(StrEnum):
    """The breaker's state, as users see it."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"
    FORCED_OPEN = "ForcedOpen"
    """Nothing is sent, because the configuration says so."""
    DISABLED = "Disabled"
    """Everything is sent, because the configuration says so."""


class Cause(StrEnum):
    """Why the state changed, as a metric's label."""

    FAILURES_IN_A_ROW = "failures_in_a_row"
    FAILURE_RATE = "failure_rate"
    SLOW_CALL_RATE = "slow_call_rate"
    OPEN_TIME_OVER = "open_time_over"
    PROBE_FAILED = "probe_failed"
    PROBE_SLOW = "probe_slow"
    PROBES_SUCCEEDED = "probes_succeeded"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When to open and for how long. All of them as in `circuitBreaker` of the TracingConfig."""

    failure_threshold: int = 5
    """Failures in a row that open the circuit."""
    open_for: float = 30.0
    """Seconds; the shortest open time."""
    max_open_for: float = 300.0
    """Seconds; the longest open time."""
    window: float = 30.0
    """Seconds of calls that the rates look at."""
    failure_rate: float = 0.5
    """Share of failed calls that opens the circuit."""
    slow_call_rate: float = 1.0
    """Share of slow calls that opens the circuit."""
    slow_call_duration: float = 8.0
    """Seconds; a call that takes longer is slow."""
    minimum_calls: int = 20
    """Calls that the window must hold before a rate counts."""
    success_threshold: int = 1
    """Successful probes in a row that close the circuit."""
    fixed: Circuit | None = None
    """ForcedOpen or Disabled; None leaves the state to what happens."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state."""

    source: Circuit
    target: Circuit
    cause: Cause
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
        self.circuit = settings.fixed or Circuit.CLOSED
        self.failures = 0
        """Failures in a row while closed."""
        self.transitions: Counter[tuple[str, str]] = Counter()
        """Changes of state, by new state and cause."""
        self.rejected = 0
        """Calls not allowed."""
        self._random, self._on_transition = random, on_transition
        self._window = Window(settings.window)
        self._era = 0
        self._openings = 0  # in a row, without a closing between
        self._open_until = 0.0
        self._probing = False
        self._successes = 0  # of probes, in a row

    @property
    def probing(self) -> bool:
        """Half-open, with the one probe on its way."""
        return self._probing

    @property
    def passing(self) -> bool:
        """Whether calls go through without being probes."""
        return self.circuit is Circuit.CLOSED or self.circuit is Circuit.DISABLED

    def restart(self, settings: BreakerSettings, reason: str) -> None:
        """Begin anew under `settings`: what is on its way counts no more, and only the counters stay."""
        self.settings = settings
        self._window = Window(settings.window)
        self._openings = 0
        target = settings.fixed or Circuit.CLOSED
        if target is not self.circuit:
            self._change(target, Cause.CONFIGURATION, reason)
        else:
            self._begin_era()

    def allow(self, now: float) -> Permit | None:
        """Leave for one call, or None (counted as rejected)."""
        if self.circuit is Circuit.CLOSED or self.circuit is Circuit.DISABLED:
            return Permit(self._era)
        if self.circuit is Circuit.OPEN and now >= self._open_until:
            self._change(Circuit.HALF_OPEN, Cause.OPEN_TIME_OVER, "the open time is over: one call probes the backend")
        if self.circuit is Circuit.HALF_OPEN and not self._probing:
            self._probing = True
            return Permit(self._era)
        self.rejected += 1
        return None

    def success(self, permit: Permit, now: float, seconds: float = 0.0) -> None:
        """The call worked, and took `seconds`."""
        if permit.era != self._era:
            return
        self.failures = 0
        slow = seconds > self.settings.slow_call_duration
        if self.circuit is Circuit.HALF_OPEN:
            self._probe_worked(now, seconds, slow)
        elif self.circuit is Circuit.CLOSED:
            self._window.add(now, failed=False, slow=slow)
            if slow:
                self._judge_rates(now, f"calls that take {seconds:.3g} s")

    def failure(self, permit: Permit, now: float, reason: str, seconds: float = 0.0) -> None:
        """The call failed after `seconds` in a way that says that the backend is unwell."""
        if permit.era != self._era:
            return
        if self.circuit is Circuit.HALF_OPEN:
            self._open(now, Cause.PROBE_FAILED, f"the probe failed: {reason}")
        elif self.circuit is Circuit.CLOSED:
            self.failures += 1
            self._window.add(now, failed=True, slow=seconds > self.settings.slow_call_duration)
            if self.failures >= self.settings.failure_threshold:
                self._open(now, Cause.FAILURES_IN_A_ROW, f"{self.failures} failures in a row, the last one: {reason}")
            else:
                self._judge_rates(now, reason)

    def release(self, permit: Permit) -> None:
        """The call said nothing about the backend's health: as if it had not been made."""
        if permit.era == self._era:
            self._probing = False

    def wait(self, now: float) -> float:
        """Seconds until a call may be allowed; 0 when one may be now, or when only a running probe can tell."""
        if self.circuit is Circuit.FORCED_OPEN:
            return float("inf")
        return max(0.0, self._open_until - now) if self.circuit is Circuit.OPEN else 0.0

    def hasten(self, now: float) -> None:
        """End a running open time now: the next call is the probe. For a last try before the process ends."""
        self._open_until = min(self._open_until, now)

    def _probe_worked(self, now: float, seconds: float, slow: bool) -> None:
        if slow:
            limit = self.settings.slow_call_duration
            self._open(now, Cause.PROBE_SLOW, f"the probe took {seconds:.3g} s, more than {limit:g} s")
            return
        self._probing = False
        self._successes += 1
        wanted = self.settings.success_threshold
        if self._successes >= wanted:
            self._openings = 0
            done = "the probe succeeded" if wanted == 1 else f"{wanted} probes in a row succeeded"
            self._change(Circuit.CLOSED, Cause.PROBES_SUCCEEDED, done)

    def _judge_rates(self, now: float, last: str) -> None:
        """Open the circuit when the window's calls ask for it."""
        window, settings = self._window, self.settings
        if window.calls < settings.minimum_calls:
            return
        within = f"of {window.calls} calls within {settings.window:g} s"
        if window.failed >= settings.failure_rate * window.calls:
            self._open(now, Cause.FAILURE_RATE, f"{window.failed} {within} failed, the last one: {last}")
        elif window.slow >= settings.slow_call_rate * window.calls:
            slow = f"{window.slow} {within} took more than {settings.slow_call_duration:g} s"
            self._open(now, Cause.SLOW_CALL_RATE, slow)

    def _open(self, now: float, cause: Cause, reason: str) -> None:
        low, high = self.settings.open_for, max(self.settings.open_for, self.settings.max_open_for)
        # The exponent is bounded because 2.0 ** 1024 overflows, and a backend may stay away for months.
        ceiling = min(high, low * 2.0 ** min(self._openings + 1, 64))
        open_for = low + (ceiling - low) * self._random()
        self._openings += 1
        self._open_until = now + open_for
        self._change(Circuit.OPEN, cause, reason, open_for)

    def _change(self, target: Circuit, cause: Cause, reason: str, open_for: float = 0.0) -> None:
        transition = Transition(self.circuit, target, cause, reason, open_for)
        self.circuit = target
        self._begin_era()
        self.transitions[target, cause] += 1
        self._on_transition(transition)

    def _begin_era(self) -> None:
        self.failures = self._successes = 0
        self._probing = False
        self._window.clear()
        self._era += 1
