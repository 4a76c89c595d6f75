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
from tracekeeper_sidecar.forward.outcome import Outcome, Parts, Refused, Retry, Sent, Single, TooLarge
from tracekeeper_sidecar.forward.retry import RetryBudget, RetrySchedule, server_delay
from tracekeeper_sidecar.forward.size import SizeLimit
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.config import BreakerState, CircuitBreaker

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
    changes: Mapping[tuple[str, str], int]
    """Changes of the circuit, by new state and cause."""
    rejected_calls: int
    calls: Mapping[str, int]
    """Sends by outcome: sent, failed, throttled, unsent, refused, too_large."""
    in_flight: int
    last_success: float
    """Unix time; 0 before the first."""
    last_error: str
    """What happened and what to do, with the backend's name; kept after it has recovered."""
    rejected_spans: int = 0
    """Spans that it took and threw away (partial success)."""
    retries: int = 0
    """Calls for requests that it had failed on before."""
    retry_budget: float = 0.0
    """Retries that may be made now."""
    passed_over: int = 0
    """Requests that went to another backend because sends to this one were stuck."""
    request_limit: int = 0
    """Bytes of the largest request that it is sent, as learned from its refusals; 0 while it has refused none."""

    @property
    def transitions(self) -> Mapping[str, int]:
        """Changes of the circuit, by new state."""
        by_state: Counter[str] = Counter()
        for (state, _), count in self.changes.items():
            by_state[state] += count
        return by_state


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
        self.passed_over = 0
        """Requests that went to another backend because sends to this one were stuck."""
        self._clock, self._random, self._on_change = clock, random, on_change
        self.breaker = Breaker(_settings(spec.circuit_breaker), random, self._changed)
        self._budget = RetryBudget(spec.retry.budget, clock.monotonic())
        self._size = SizeLimit()
        self._exporter: Exporter | None = None
        self._users: Counter[int] = Counter()  # sends in flight, by id of exporter
        self._sends: dict[object, float] = {}  # when each send in flight began, oldest first
        self._retries = self._rejected_spans = 0
        self._calls: Counter[str] = Counter()
        self._not_before = 0.0
        self._throttles = 0  # in a row
        self._last_success = 0.0
        self._last_error = ""

    @property
    def name(self) -> str:
        """As in the TracingConfig."""
        return self.spec.name

    @property
    def longest_send(self) -> float:
        """Seconds since the oldest send that is on its way began; 0 when none is."""
        began = next(iter(self._sends.values()), None)
        return 0.0 if began is None else self._clock.monotonic() - began

    @property
    def most_bytes(self) -> int | None:
        """Bytes that a request should have at most; None while no size was refused."""
        return self._size.most(self._clock.monotonic())

    @property
    def last_error(self) -> str:
        """What happened last, with its name; empty while nothing has."""
        return self._last_error

    def configure(self, spec: BackendSpec) -> None:
        """Take over new timeouts, limits and schedules; the connection stays, and so does the circuit unless its own
        settings changed."""
        changed = spec.circuit_breaker != self.spec.circuit_breaker
        self.spec = spec
        self._budget.share = spec.retry.budget
        if changed:
            self.breaker.restart(_settings(spec.circuit_breaker), "the configuration of the circuit breaker changed")
            self._on_change()

    async def connect(self, connection: Connection | Unusable, exporter: Exporter | Unusable) -> None:
        """Use `exporter` from now on. Sends in flight end on the old one, which is closed after the last of them. A new
        address or new credentials deserve a new chance: the circuit is closed."""
        old, self.connection = self._exporter, connection
        self._exporter = None if isinstance(exporter, Unusable) else exporter
        if isinstance(exporter, Unusable):
            self._note_error(exporter.reason)
            logger.error("%s", self._last_error, extra={"backend": self.name})
        self.breaker.restart(_settings(self.spec.circuit_breaker), "its connection was made anew")
        self._not_before, self.largest_taken, self._size = 0.0, 0, SizeLimit()
        if old is not None and not self._users[id(old)]:
            await old.close()
        self._on_change()

    def acquire(self, retry: bool = False) -> Permit | None:
        """Leave for one send, or None. `retry` says that this backend has failed on the request before."""
        now = self._clock.monotonic()
        if self._exporter is None or now < self._not_before:
            return None
        # A probe is worth more than the budget: it alone can end an outage.
        if retry and self.breaker.passing and not self._budget.take(now):
            return None
        permit = self.breaker.allow(now)
        if permit is not None:
            if retry:
                self._retries += 1
            else:
                self._budget.earn()
        return permit

    def wait(self, retry: bool = False) -> float:
        """Seconds after which `acquire` is worth another try, unless a change is signalled before."""
        now = self._clock.monotonic()
        if self._exporter is None:
            return UNTIL_CHANGED
        if self.breaker.probing:
            return max(self._not_before - now, self.spec.timeout)  # The probe's end is signalled.
        budget = self._budget.wait(now) if retry and self.breaker.passing else 0.0
        return min(UNTIL_CHANGED, max(0.0, self._not_before - now, self.breaker.wait(now), budget))

    def hopeless(self, seconds: float) -> bool:
        """Whether nothing is on its way to it and nothing can be within `seconds`."""
        return not any(self._users.values()) and self.wait() > seconds

    def hasten(self) -> None:
        """Let one probe through now although the circuit is open, for a last try before the process ends."""
        self.breaker.hasten(self._clock.monotonic())

    async def send(self, permit: Permit, body: bytes) -> Outcome:
        """Send one request on a permit from `acquire`. Never raises for what the backend does."""
        exporter = self._exporter
        if exporter is None:
            self.breaker.release(permit)
            return Retry("its configuration has just changed")
        self._users[id(exporter)] += 1
        key, began = object(), self._clock.monotonic()
        self._sends[key] = began
        try:
            outcome = await self._guarded(exporter, body)
        except BaseException:
            self.breaker.release(permit)
            raise
        finally:
            del self._sends[key]
            self._users[id(exporter)] -= 1
            if exporter is not self._exporter and not self._users[id(exporter)]:
                del self._users[id(exporter)]
                await exporter.close()
        self._record(outcome, permit, len(body), self._clock.monotonic() - began)
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
            changes=dict(self.breaker.transitions),
            rejected_calls=self.breaker.rejected,
            calls=dict(self._calls),
            in_flight=sum(self._users.values()),
            last_success=self._last_success,
            last_error=self._last_error,
            rejected_spans=self._rejected_spans,
            retries=self._retries,
            retry_budget=self._budget.left(self._clock.monotonic()),
            passed_over=self.passed_over,
            request_limit=self.most_bytes or 0,
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

    def _record(self, outcome: Outcome, permit: Permit, size: int, seconds: float) -> None:
        """Count it, and tell the breaker. A backend is well if one of its addresses is."""
        each: list[tuple[Single, int]]
        if isinstance(outcome, Parts):
            each = [(part.outcome, len(part.body)) for part in outcome.parts]
        else:
            each = [(outcome, size)]
        for single, length in each:
            self._count(single, length)
        now, breaker = self._clock.monotonic(), self.breaker
        if isinstance(outcome, Sent):
            breaker.success(permit, now, seconds)
        elif any(isinstance(single, Sent) for single, _ in each):
            breaker.success(permit, now)  # How long it took says most of the address that failed.
        else:
            for single, _ in each:
                if isinstance(single, Retry) and not (single.throttled or single.unsent or single.local):
                    breaker.failure(permit, now, single.reason, seconds)
                    break
            # The place of a probe that proved nothing is free again; somebody may be waiting for it.
            breaker.release(permit)
        if breaker.circuit is Circuit.HALF_OPEN:
            self._on_change()  # The next probe's turn.

    def _count(self, outcome: Single, size: int) -> None:
        match outcome:
            case Sent():
                self._calls["sent"] += 1
                self._note_success(outcome, size)
                return
            case Retry(unsent=True):
                self._calls["unsent"] += 1
            case Retry(throttled=False):
                self._calls["failed"] += 1
                self.failed += 1
            case Retry():
                self._calls["throttled"] += 1
            case Refused():
                self._calls["refused"] += 1
            case TooLarge():
                self._calls["too_large"] += 1
                self.failed += not outcome.certain
                if outcome.certain or size > self.largest_taken:
                    now = self._clock.monotonic()
                    self._size.refused(size, now, certain=outcome.certain, named=outcome.limit)
        self._note_error(outcome.reason)
        if isinstance(outcome, Retry):
            self._stay_away(outcome)

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
        self._size.taken(size)
        self._rejected_spans += outcome.rejected
        self._throttles = 0
        self._last_success = self._clock.now()
        if outcome.message:
            self._note_error(f"it took the request, and said: {outcome.message}")

    def _note_error(self, reason: str) -> None:
        self._last_error = f"backend {self.name!r}: {reason}"

    def _changed(self, transition: Transition) -> None:
        level = logging.WARNING if transition.target is Circuit.OPEN else logging.INFO
        extra: dict[str, object] = {
            "backend": self.name,
            "circuit": str(transition.target),
            "was": str(transition.source),
            "cause": str(transition.cause),
            "reason": transition.reason,
        }
        if transition.open_for:
            extra["open_for_seconds"] = round(transition.open_for, 3)
        logger.log(level, "circuit of backend %r: %s", self.name, transition.target, extra=extra)
        self._on_change()


def _settings(spec: CircuitBreaker) -> BreakerSettings:
    fixed = {BreakerState.FORCED_OPEN: Circuit.FORCED_OPEN, BreakerState.DISABLED: Circuit.DISABLED}.get(spec.state)
    return BreakerSettings(
        failure_threshold=spec.failure_threshold,
        open_for=spec.open_for,
        max_open_for=spec.max_open_for,
        window=spec.window,
        failure_rate=spec.failure_rate,
        slow_call_rate=spec.slow_call_rate,
        slow_call_duration=spec.slow_call_duration,
        minimum_calls=spec.minimum_calls,
        success_threshold=spec.success_threshold,
        fixed=fixed,
    )
