"""Brings one flight to the backends of a delivery entry, however long that takes.

Each request goes to the first backend in the list that takes calls now. When a send fails, the next backend gets it
at once; when all that take calls have failed, the round is over and the next one begins after a jittered pause. A
preferred backend whose circuit closes again gets the very next request. There is no last attempt: a request ends as
delivered, or as dropped for one of these reasons.

    refused     the backend calls the spans invalid, or keeps failing on this request while it takes others
    rejected    the backend took the request and threw spans of it away (partial success)
    too_large   a single span is larger than the backend takes
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.breaker import Permit
from tracekeeper_sidecar.forward.flight import Flight, Request
from tracekeeper_sidecar.forward.outcome import Refused, Retry, Sent, TooLarge
from tracekeeper_sidecar.forward.poison import Blame
from tracekeeper_sidecar.forward.quiet import Quiet
from tracekeeper_sidecar.forward.retry import RetrySchedule
from tracekeeper_sidecar.forward.signal import Signal

logger = logging.getLogger(__name__)

VERDICTS_TO_CUT = 3
"""Suspect answers after which a request is halved: if one span in it is poison, the rest gets through."""
LONGEST_WAIT = 60.0
"""Seconds. Whatever a flight waits for is signalled; it looks again by itself now and then all the same."""


@dataclass(slots=True)
class _Round:
    """Which backends have failed the request since the last pause."""

    number: int = 0
    tried: set[str] = field(default_factory=set)
    until: float = 0.0
    """Monotonic time at which the next round begins; 0 while one runs."""
    urgency: int = 0

    def end(self) -> None:
        """Forget what has failed: the next backend is the preferred one again."""
        self.tried.clear()
        self.until = 0.0


class Sender:
    """Sends the flights of one delivery entry; several at the same time."""

    def __init__(
        self, name: str, backends: Sequence[Backend], clock: Clock, random: Callable[[], float], signal: Signal
    ) -> None:
        self.backends: Sequence[Backend] = backends
        """In order of preference; may be replaced at any time."""
        self.urgency = 0
        """Raised by those who cannot wait for a pause to end: every flight then starts a round at once."""
        self._name, self._clock, self._random, self._signal = name, clock, random, signal
        self._quiet = Quiet(clock)
        self._unsuspected = 0  # flights that wait for a backend with nothing held against them

    async def deliver(self, flight: Flight) -> None:
        """Return when every request of the flight is delivered or dropped."""
        turn = _Round(urgency=self.urgency)
        while await flight.advance():
            request = flight.requests[0]
            backend, permit = await self._acquire(turn, request)
            size = len(request.body)
            outcome = await backend.send(permit, request.body)
            match outcome:
                case Sent():
                    rejected = min(outcome.rejected, request.spans)
                    flight.delivered[backend.name] += request.spans - rejected
                    self._drop(flight, "rejected", rejected, backend, outcome.message)
                    flight.requests.popleft()
                    turn = _Round(urgency=self.urgency)
                case Refused():
                    flight.requests.popleft()
                    self._drop(flight, "refused", request.spans, backend, outcome.reason)
                case TooLarge() if outcome.certain or size > backend.largest_taken:
                    self._too_large(flight, outcome, turn, backend)
                case TooLarge():
                    # It has taken larger ones, so this is more likely a limit of rate than of size.
                    turn.tried.add(backend.name)
                    self._suspect(flight, backend, outcome.reason, None)
                case Retry(suspect=True):
                    turn.tried.add(backend.name)
                    self._suspect(flight, backend, outcome.reason, "refused")
                case Retry():
                    turn.tried.add(backend.name)

    def hopeless(self, seconds: float) -> bool:
        """Whether no backend can take anything within `seconds`."""
        return all(backend.hopeless(seconds) for backend in self.backends)

    async def _acquire(self, turn: _Round, request: Request) -> tuple[Backend, Permit]:
        """Wait for a backend that has not failed the request in this round, and for its leave."""
        suspected = request.verdicts > 0
        self._unsuspected += not suspected
        try:
            while True:
                if turn.urgency != self.urgency or 0.0 < turn.until <= self._clock.monotonic():
                    turn.urgency = self.urgency
                    turn.end()
                for backend in self.backends:
                    if backend.name not in turn.tried and not (suspected and self._should_yield(backend)):
                        permit = backend.acquire()
                        if permit is not None:
                            return backend, permit
                await self._signal.wait(self._pause(turn, suspected))
        finally:
            self._unsuspected -= not suspected

    def _pause(self, turn: _Round, suspected: bool) -> float:
        """Seconds to wait for: the end of the pause between rounds, or a backend that takes calls again."""
        now = self._clock.monotonic()
        if turn.tried and not turn.until:
            schedule = self._schedule(turn.tried)
            turn.until = now + schedule.delay(turn.number, self._random)
            turn.number += 1
        waits = [
            backend.wait()
            for backend in self.backends
            # Whoever it was left to signals the end of the probe.
            if backend.name not in turn.tried and not (suspected and self._should_yield(backend))
        ]
        if turn.until:
            waits.append(max(0.0, turn.until - now))
        return min([LONGEST_WAIT, *waits])

    def _schedule(self, tried: set[str]) -> RetrySchedule:
        """The schedule of the most preferred backend that has failed."""
        for backend in self.backends:
            if backend.name in tried:
                return RetrySchedule(backend.spec.retry.initial_backoff, backend.spec.retry.max_backoff)
        return RetrySchedule()

    def _should_yield(self, backend: Backend) -> bool:
        """A suspected request leaves the probe of a half-open circuit to others: poison would keep it open."""
        return self._unsuspected > 0 and not backend.breaker.passing

    def _too_large(self, flight: Flight, outcome: TooLarge, turn: _Round, backend: Backend) -> None:
        request = flight.requests.popleft()
        halves = request.halves()
        if halves:
            flight.requests.extendleft(reversed(halves))
        elif outcome.certain:
            self._drop(flight, "too_large", request.spans, backend, outcome.reason)
        else:
            flight.requests.appendleft(request)
            turn.tried.add(backend.name)
            self._suspect(flight, backend, outcome.reason, "too_large")

    def _suspect(self, flight: Flight, backend: Backend, reason: str, verdict: str | None) -> None:
        """Note an answer that may blame the first request; cut it, or drop it as `verdict` when the blame is proven."""
        request = flight.requests[0]
        request.verdicts += 1
        blame = request.blamed_by.get(backend.name)
        if blame is None:
            blame = request.blamed_by[backend.name] = Blame(backend.taken, backend.failed)
        else:
            blame.tries += 1
        if request.verdicts >= VERDICTS_TO_CUT and (halves := request.halves()):
            flight.requests.popleft()
            flight.requests.extend(halves)  # Last, so that the others are not held up by what may be poison.
        elif (verdict == "refused" and blame.proven(backend.taken, backend.failed)) or (
            verdict == "too_large" and blame.size_proven(backend.taken)
        ):
            flight.requests.popleft()
            self._drop(flight, verdict, request.spans, backend, reason)
        else:
            flight.requests.rotate(-1)

    def _drop(self, flight: Flight, why: str, spans: int, backend: Backend, reason: str) -> None:
        if not spans:
            return
        flight.dropped[why] += spans
        suppressed = self._quiet.allow((why, backend.name))
        if suppressed is not None:
            extra = {"delivery": self._name, "backend": backend.name, "reason": why, "spans": spans}
            logger.error(
                "%d spans dropped: backend %r: %s",
                spans,
                backend.name,
                reason,
                extra={**extra, "suppressed": suppressed},
            )
