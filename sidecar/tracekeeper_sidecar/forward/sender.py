"""Brings one flight to the backends of a delivery entry, however long that takes.

Each request goes to the first backend in the list that takes calls now. When a send fails, the next backend gets it
at once; when all that take calls have failed, the round is over and the next one begins after a jittered pause. A
preferred backend whose circuit closes again gets the very next request; one whose sends are stuck is passed over before
they have failed. There is no last attempt unless `retry.maxAttempts` names one: a request ends as delivered, or as
dropped for one of these reasons.

    refused     the backend calls the spans invalid, or keeps failing on this request while it takes others
    rejected    the backend took the request and threw spans of it away (partial success)
    too_large   a single span is larger than the backend takes
    attempts    every backend of the entry has failed on it as often as its maxAttempts allows

All but `rejected`, of which nobody knows the spans, leave a dead letter before they are counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.breaker import Permit
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.flight import Flight, Request
from tracekeeper_sidecar.forward.letter import Letter
from tracekeeper_sidecar.forward.outcome import Outcome, Parts, Refused, Retry, Sent, Single, TooLarge
from tracekeeper_sidecar.forward.poison import Blame
from tracekeeper_sidecar.forward.quiet import Quiet
from tracekeeper_sidecar.forward.retry import RetrySchedule
from tracekeeper_sidecar.forward.trouble import STUCK, in_trouble
from tracekeeper_sidecar.wakeup import Signal

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

    def note(self, backend: Backend, request: Request) -> None:
        """The backend has failed on the request."""
        self.tried.add(backend.name)
        request.tries[backend.name] = request.tries.get(backend.name, 0) + 1

    def end(self) -> None:
        """Forget what has failed: the next backend is the preferred one again."""
        self.tried.clear()
        self.until = 0.0


class Sender:
    """Sends the flights of one delivery entry; several at the same time."""

    def __init__(
        self,
        name: str,
        backends: Sequence[Backend],
        clock: Clock,
        random: Callable[[], float],
        signal: Signal,
        letters: DeadLetters | None = None,
    ) -> None:
        self.backends: Sequence[Backend] = backends
        """In order of preference; may be replaced at any time."""
        self.urgency = 0
        """Raised by those who cannot wait for a pause to end: every flight then starts a round at once."""
        self._name, self._clock, self._random, self._signal = name, clock, random, signal
        self._letters = letters
        self._quiet = Quiet(clock)
        self._unsuspected = 0  # flights that wait for a backend with nothing held against them

    async def deliver(self, flight: Flight) -> None:
        """Return when every request of the flight is delivered or dropped."""
        turn = _Round(urgency=self.urgency)
        while await flight.advance():
            acquired = await self._acquire(turn, flight)
            if acquired is None:
                await self._give_up(flight, flight.requests[0], "attempts", self.backends[-1])
                continue
            backend, permit = acquired
            request = flight.fit(backend.most_bytes)
            outcome = await self._send(flight, backend, permit, request.body)
            if not isinstance(outcome, Parts):
                turn = await self._judge(flight, outcome, turn, backend)
                continue
            flight.requests.popleft()
            for part, single in request.parts(outcome):
                flight.requests.appendleft(part)
                turn = await self._judge(flight, single, turn, backend)

    async def _judge(self, flight: Flight, outcome: Single, turn: _Round, backend: Backend) -> _Round:
        """Book what became of the first request, or leave it for another try. Returns the round that is on then."""
        request = flight.requests[0]
        match outcome:
            case Sent():
                rejected = min(outcome.rejected, request.spans)
                flight.delivered[backend.name] += request.spans - rejected
                self._drop(flight, "rejected", rejected, backend, outcome.message)
                flight.requests.popleft()
                return _Round(urgency=self.urgency)
            case Refused():
                await self._give_up(flight, request, "refused", backend, outcome.reason)
            case TooLarge() if outcome.certain or len(request.body) > backend.largest_taken:
                await self._too_large(flight, outcome, turn, backend)
            case TooLarge():
                # It has taken larger ones, so this is more likely a limit of rate than of size.
                turn.note(backend, request)
                await self._suspect(flight, backend, outcome.reason, None)
            case Retry():
                await self._failed(flight, outcome, turn, backend)
        return turn

    async def _failed(self, flight: Flight, outcome: Retry, turn: _Round, backend: Backend) -> None:
        if outcome.local:
            flight.step_aside()
        if outcome.suspect:
            turn.note(backend, flight.requests[0])
            await self._suspect(flight, backend, outcome.reason, "refused")
        elif outcome.throttled or outcome.unsent:
            turn.tried.add(backend.name)
        else:
            turn.note(backend, flight.requests[0])

    def hopeless(self, seconds: float) -> bool:
        """Whether no backend can take anything within `seconds`."""
        return all(backend.hopeless(seconds) for backend in self.backends)

    async def _acquire(self, turn: _Round, flight: Flight) -> tuple[Backend, Permit] | None:
        """Wait for a backend that has not failed the first request in this round, and for its leave. None when no
        backend may be tried again: a config that comes meanwhile can say so, too."""
        request = flight.requests[0]
        suspected = request.verdicts > 0
        self._unsuspected += not suspected
        try:
            while not self._spent(request):
                if turn.urgency != self.urgency or 0.0 < turn.until <= self._clock.monotonic():
                    turn.urgency = self.urgency
                    turn.end()
                for backend in self._in_order(flight):
                    if backend.name not in turn.tried and not self._out_of_question(backend, request):
                        permit = backend.acquire(backend.name in request.tries)
                        if permit is not None:
                            return backend, permit
                await self._signal.wait(self._pause(turn, request))
            return None
        finally:
            self._unsuspected -= not suspected

    def _in_order(self, flight: Flight) -> Sequence[Backend]:
        """The backends as preferred, those in trouble last."""
        backends = self.backends
        if len(backends) == 1:
            return backends
        waited = self._clock.now() - flight.batch.oldest
        sound = [one for one in backends if not in_trouble(one.longest_send, one.spec.timeout, waited)]
        if len(sound) == len(backends):
            return backends
        if sound and sound[0] is not backends[0]:
            self._report_passed_over(backends[0], sound[0])
        return [*sound, *(one for one in backends if one not in sound)]

    async def _send(self, flight: Flight, backend: Backend, permit: Permit, body: bytes) -> Outcome:
        """Send; while that hangs and another backend would do, the flight's place is for others."""
        if len(self.backends) == 1:
            return await backend.send(permit, body)
        late = asyncio.get_running_loop().call_later(STUCK * backend.spec.timeout, self._stuck, flight, backend)
        try:
            return await backend.send(permit, body)
        finally:
            late.cancel()

    def _stuck(self, flight: Flight, backend: Backend) -> None:
        others = [one for one in self.backends if one is not backend and one.breaker.passing]
        if any(not in_trouble(one.longest_send, one.spec.timeout, 0.0) for one in others):
            flight.step_aside()

    def _report_passed_over(self, backend: Backend, instead: Backend) -> None:
        backend.passed_over += 1
        suppressed = self._quiet.allow(("passed over", backend.name))
        if suppressed is not None:
            logger.warning(
                "backend %r is passed over for %r: a send to it has been on its way for %.1f s",
                backend.name,
                instead.name,
                backend.longest_send,
                extra={"delivery": self._name, "backend": backend.name, "suppressed": suppressed},
            )

    def _out_of_question(self, backend: Backend, request: Request) -> bool:
        """Whether somebody else is to have this backend now, or the request has had it as often as it may."""
        limit = backend.spec.retry.max_attempts
        if limit is not None and request.tries.get(backend.name, 0) >= limit:
            return True
        return request.verdicts > 0 and self._should_yield(backend)

    def _spent(self, request: Request) -> bool:
        """Whether no backend may be tried again."""
        limits = [(backend.name, backend.spec.retry.max_attempts) for backend in self.backends]
        return bool(request.tries) and all(
            limit is not None and request.tries.get(name, 0) >= limit for name, limit in limits
        )

    def _pause(self, turn: _Round, request: Request) -> float:
        """Seconds to wait for: the end of the pause between rounds, or a backend that takes calls again."""
        now = self._clock.monotonic()
        if turn.tried and not turn.until:
            schedule = self._schedule(turn.tried)
            turn.until = now + schedule.delay(turn.number, self._random)
            turn.number += 1
        waits = [
            backend.wait(backend.name in request.tries)
            for backend in self.backends
            # Whoever it was left to signals the end of the probe.
            if backend.name not in turn.tried and not self._out_of_question(backend, request)
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

    async def _too_large(self, flight: Flight, outcome: TooLarge, turn: _Round, backend: Backend) -> None:
        request = flight.requests[0]
        halves = request.halves()
        if halves:
            flight.requests.popleft()
            flight.requests.extendleft(reversed(halves))
        elif outcome.certain:
            await self._give_up(flight, request, "too_large", backend, outcome.reason)
        else:
            turn.note(backend, request)
            await self._suspect(flight, backend, outcome.reason, "too_large")

    async def _suspect(self, flight: Flight, backend: Backend, reason: str, verdict: str | None) -> None:
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
            await self._give_up(flight, request, verdict, backend, reason)
        else:
            flight.requests.rotate(-1)

    async def _give_up(self, flight: Flight, request: Request, why: str, backend: Backend, reason: str = "") -> None:
        """Drop the first request, once a dead letter holds it."""
        reason = reason or f"{backend.spec.retry.max_attempts} attempts have failed, the last one: {backend.last_error}"
        if self._letters is not None:
            letter = Letter(self._clock.now(), self._name, backend.name, why, reason, request.spans, request.body)
            await self._letters.keep(letter)
        flight.requests.popleft()
        self._drop(flight, why, request.spans, backend, reason)

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
