"""One backend at run time: exporter, breaker, and what is known about its health. Shared by delivery entries."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.breaker import Breaker, BreakerSettings, Circuit, Permit, Transition
from tracekeeper_sidecar.forward.connection import Connection, Unusable
from tracekeeper_sidecar.forward.exporter import Exporter
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_sidecar.forward.retry import RetrySchedule, server_delay
from tracekeeper_spec.config import Backend as BackendSpec

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds beyond `timeout` after which a send is given up even if its library never comes back."""
UNTIL_CHANGED = 3600.0
"""Seconds; the wait for a backend that only a new configuration can help. That wakes waiters anyway."""


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """One moment of a backend."""

    name: str
    usable: bool
    """False while a secret is missing or a certificate unreadable; `last_error` says which."""
    circuit: str
    transitions: Mapping[str, int]
    """Changes of the circuit, by new state."""
    rejected_calls: int
    calls: Mapping[str, int]
    """Sends by outcome: sent, failed, throttled, refused, too_large."""
    in_flight: int
    last_success: float
    """Unix time; 0 before the first."""
    last_error: str
    """What happened and what to do, with the backend's name; kept after it has recovered."""


class Backend:
    """Owned by the forwarder's event loop."""

    def __init__(
        self, spec: BackendSpec, clock: Clock, random: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.connection: Connection | Unusable = Unusable("it is not connected yet")
        self.taken = 0
        """Requests that it has taken."""
        self.failed = 0
        """Requests that it has failed on, or called too large although nobody can be sure of that."""
        self.largest_taken = 0
        """Bytes of the largest of them since it was connected."""
        self._clock, self._random, self._on_change = clock, random, on_change
        self.breaker = self._new_breaker()
        self._exporter: Exporter | None = None
        self._users: Counter[int] = Counter()  # sends in flight, by id of exporter
        self._calls: Counter[str] = Counter()
        self._not_before = 0.0
        self._throttles = 0  # in a row
        self._last_success = 0.0
        self._last_error = ""

    @property
    def name(self) -> str:
        """As in the TracingConfig."""
        return self.spec.name

    def configure(self, spec: BackendSpec) -> None:
        """Take over new timeouts, limits and schedules; the connection stays, and so does the circuit unless its own
        settings changed."""
        changed = spec.circuit_breaker != self.spec.circuit_breaker
        self.spec = spec
        if changed:
            self.breaker = self._new_breaker()
            self._on_change()

    async def connect(self, connection: Connection | Unusable, exporter: Exporter | Unusable) -> None:
        """Use `exporter` from now on. Sends in flight end on the old one, which is closed after the last of them. A new
        address or new credentials deserve a new chance: the circuit is closed."""
        old, self.connection = self._exporter, connection
        self._exporter = None if isinstance(exporter, Unusable) else exporter
        if isinstance(exporter, Unusable):
            self._note_error(exporter.reason)
            logger.error("%s", self._last_error, extra={"backend": self.name})
        self.breaker, self._not_before, self.largest_taken = self._new_breaker(), 0.0, 0
        if old is not None and not self._users[id(old)]:
            await old.close()
        self._on_change()

    def acquire(self) -> Permit | None:
        """Leave for one send, or None."""
        now = self._clock.monotonic()
        if self._exporter is None or now < self._not_before:
            return None
        return self.breaker.allow(now)

    def wait(self) -> float:
        """Seconds after which `acquire` is worth another try, unless a change is signalled before."""
        now = self._clock.monotonic()
        if self._exporter is None:
            return UNTIL_CHANGED
        if self.breaker.probing:
            return max(self._not_before - now, self.spec.timeout)  # The probe's end is signalled.
        return max(0.0, self._not_before - now, self.breaker.wait(now))

    def hopeless(self, seconds: float) -> bool:
        """Whether nothing is on its way to it and nothing can be within `seconds`."""
        return not any(self._users.values()) and self.wait() > seconds

    def hasten(self) -> None:
        """Let one probe through now although the circuit is open, for a last try before the process ends."""
        self.breaker.hasten(self._clock.monotonic())

    async def send(self, permit: Permit, body: bytes) -> Outcome:
        """Send one request on a permit from `acquire`. Never raises for what the backend does."""
        exporter, breaker = self._exporter, self.breaker
        if exporter is None:
            breaker.release(permit)
            return Retry("its configuration has just changed")
        self._users[id(exporter)] += 1
        try:
            outcome = await self._guarded(exporter, body)
        except BaseException:
            breaker.release(permit)
            raise
        finally:
            self._users[id(exporter)] -= 1
            if exporter is not self._exporter and not self._users[id(exporter)]:
                del self._users[id(exporter)]
                await exporter.close()
        self._record(outcome, breaker, permit, len(body))
        return outcome

    async def close(self) -> None:
        """Let go of the connection."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            await exporter.close()

    def health(self) -> BackendHealth:
        """What can be said about it now."""
        return BackendHealth(
            name=self.name,
            usable=self._exporter is not None,
            circuit=str(self.breaker.circuit),
            transitions=dict(self.breaker.transitions),
            rejected_calls=self.breaker.rejected,
            calls=dict(self._calls),
            in_flight=sum(self._users.values()),
            last_success=self._last_success,
            last_error=self._last_error,
        )

    async def _guarded(self, exporter: Exporter, body: bytes) -> Outcome:
        """A send that always ends with an outcome: a fault of the client library must not stop delivery."""
        try:
            async with asyncio.timeout(self.spec.timeout + GRACE):
                return await exporter.send(body, self.spec.timeout)
        except TimeoutError:
            return Retry(f"the send did not end within {self.spec.timeout + GRACE:g} s")
        except Exception as error:
            logger.exception("sending failed in an unforeseen way", extra={"backend": self.name})
            return Retry(f"sending failed in an unforeseen way: {error!r}")

    def _record(self, outcome: Outcome, breaker: Breaker, permit: Permit, size: int) -> None:
        match outcome:
            case Sent():
                self._calls["sent"] += 1
                self._note_success(outcome, size)
                breaker.success(permit)
                return
            case Retry(throttled=False):
                self._calls["failed"] += 1
                self.failed += 1
                breaker.failure(permit, self._clock.monotonic(), outcome.reason)
            case Retry():
                self._calls["throttled"] += 1
            case Refused():
                self._calls["refused"] += 1
            case TooLarge():
                self._calls["too_large"] += 1
                self.failed += not outcome.certain
        self._note_error(outcome.reason)
        if isinstance(outcome, Retry):
            self._stay_away(outcome)
        # The place of a probe that proved nothing is free again; somebody may be waiting for it.
        breaker.release(permit)
        if breaker.circuit is Circuit.HALF_OPEN:
            self._on_change()

    def _stay_away(self, outcome: Retry) -> None:
        if outcome.after is not None:
            pause = server_delay(outcome.after, self._random)
        elif outcome.throttled:
            retry = self.spec.retry
            pause = RetrySchedule(retry.initial_backoff, retry.max_backoff).delay(self._throttles, self._random)
        else:
            return
        self._throttles += 1
        self._not_before = max(self._not_before, self._clock.monotonic() + pause)
        self._on_change()

    def _note_success(self, outcome: Sent, size: int) -> None:
        self.taken += 1
        self.largest_taken = max(self.largest_taken, size)
        self._throttles = 0
        self._last_success = self._clock.now()
        if outcome.message:
            self._note_error(f"it took the request, and said: {outcome.message}")

    def _note_error(self, reason: str) -> None:
        self._last_error = f"backend {self.name!r}: {reason}"

    def _new_breaker(self) -> Breaker:
        wanted = self.spec.circuit_breaker
        breaker = Breaker(
            BreakerSettings(wanted.failure_threshold, wanted.open_for, wanted.max_open_for), self._random, self._changed
        )
        if hasattr(self, "breaker"):  # The counters go on: they are the backend's, not the breaker's.
            breaker.transitions, breaker.rejected = self.breaker.transitions, self.breaker.rejected
        return breaker

    def _changed(self, transition: Transition) -> None:
        level = logging.WARNING if transition.target is Circuit.OPEN else logging.INFO
        extra: dict[str, object] = {
            "backend": self.name,
            "circuit": str(transition.target),
            "reason": transition.reason,
        }
        if transition.open_for:
            extra["open_for_seconds"] = round(transition.open_for, 3)
        logger.log(level, "circuit of backend %r: %s", self.name, transition.target, extra=extra)
        self._on_change()
