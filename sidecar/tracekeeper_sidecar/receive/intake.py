"""What every receiver does with a request, whatever it came over: scan, admit, append, answer, account.

There is no task, future or timer per request: the caller is answered by a callback, and one timer looks after all
requests that wait for the disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge, LogUnavailable, WireError
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.admission import OVERHEAD, Admission
from tracekeeper_sidecar.receive.notices import Notices
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused
from tracekeeper_sidecar.wire.meter import Meter, Sight
from tracekeeper_sidecar.wire.scan import look

logger = logging.getLogger(__name__)

APPEND_TIMEOUT: Final = 8.0
"""Seconds to wait for the disk: a little less than an SDK waits for us, so that it hears the reason."""

Done: TypeAlias = Callable[[LogError | None], None]
Submit: TypeAlias = Callable[[bytes, int, Done, bool], None]
Reply: TypeAlias = Callable[[Outcome], None]
Process: TypeAlias = Callable[[bytes, int], bytes]


class Receiver:
    """The way from a request's bytes to the log. One for all transports of a process, on one event loop."""

    def __init__(
        self,
        submit: Submit,
        ledger: Intake,
        admission: Admission,
        suspended: Callable[[], bool],
        *,
        process: Process | None = None,
        meter: Meter | None = None,
        append_timeout: float = APPEND_TIMEOUT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`submit(payload, spans, done, critical)` stores a request and calls `done` exactly once, on the event loop:
        with None when it is on disk, else with a LogError, which tells how many of the spans are stored all the same.
        `critical` says that its spans must not wait for others on their way out.

        `process(body, spans)` may change a request on its way to the log, which keeps as many spans as it had.
        `meter` counts what is acknowledged.
        """
        self.admission = admission
        self._submit = submit
        self._ledger = ledger
        self._suspended = suspended
        self._process = process
        self._meter = meter or Meter()
        self._append_timeout = append_timeout
        self._monotonic = monotonic
        self._notices = Notices(monotonic)
        self._waiting: deque[_Append] = deque()
        self._sweeping = False

    def take(self, body: bytes, held: int, reply: Reply) -> None:
        """Take one serialised ExportTraceServiceRequest. Never raises.

        `reply` is called exactly once: before this returns when nothing has to be stored, else when the commit that
        holds the request is durable, has failed, or takes too long. `held` is how many bytes of the admission the
        caller has reserved for this request, and gives back after the reply; 0 asks for both to be done here. Nobody
        can take a request back: a client that hangs up in the meantime is the caller's affair.
        """
        if len(body) > MAX_REQUEST:
            return reply(self.refuse(outcome.too_large(len(body))))
        try:
            sight = look(body)
        except WireError as error:
            return reply(self.refuse(outcome.malformed(error)))
        spans = sight.spans
        if spans == 0:
            return reply(Accepted(0))
        if self._suspended():
            self._ledger.suspended += spans
            return reply(Accepted(spans))
        if held == 0:
            own = OVERHEAD + len(body)
            if not self.admission.reserve(own):
                return reply(self.refuse(outcome.overloaded(self.admission.limit), spans))
            reply = _giving_back(self.admission, own, reply)
        append = _Append(self, sight, reply, self._monotonic() + self._append_timeout)
        try:
            if self._process is not None:
                body = self._process(body, spans)
            self._submit(body, spans, append, sight.critical)
        except Exception:
            logger.exception("appending %d spans failed in a way that the log does not announce", spans)
            return append.failed()
        if not append.answered:
            self._waiting.append(append)
            if not self._sweeping:
                self._sweep_in(self._append_timeout)

    def refuse(self, refusal: Refused, spans: int = 0) -> Refused:
        """Account for a refusal: the request always, its spans where their number is known. Says so in the log."""
        self._ledger.refused_requests[refusal.reason] += 1
        if spans:
            self._ledger.refused[refusal.reason] += spans
        self._notices.note(refusal, spans)
        return refusal

    def _settled(self, error: LogError | None, sight: Sight) -> Outcome:
        spans = sight.spans
        if error is None:
            self._meter.add(sight)
            return Accepted(spans)
        if isinstance(error, LogFull):
            return self.refuse(outcome.full(error), spans - error.stored)
        if isinstance(error, LogTooLarge):
            return self.refuse(outcome.never_fits(error), spans)
        if isinstance(error, LogUnavailable):
            return self.refuse(outcome.unavailable(error), spans - error.stored)
        logger.error("appending %d spans failed in a way that the log does not announce: %s", spans, error)
        return self.refuse(outcome.internal(), spans - error.stored)

    def _timed_out(self) -> Outcome:
        # The spans are not counted yet: if they reach the disk after all, the log counts them as acknowledged, and
        # else `_not_stored` is told.
        return self.refuse(outcome.timed_out(self._append_timeout))

    def _not_stored(self, spans: int) -> None:
        """Count spans that turned out not to be stored after their sender had been answered."""
        self._ledger.refused["timeout"] += spans

    def _forget_answered(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].answered:
            waiting.popleft()

    def _sweep_in(self, seconds: float) -> None:
        self._sweeping = True
        asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Answer whoever has waited too long; come back when the next one will have, if there is one."""
        now = self._monotonic()
        try:
            self._forget_answered()
            while self._waiting and self._waiting[0].due <= now:
                self._waiting.popleft().give_up()
                self._forget_answered()
        finally:  # Whatever an answer does, the others are looked after.
            self._sweeping = False
            if self._waiting:
                self._sweep_in(max(0.0, self._waiting[0].due - now))


class _Append:
    """One request on its way to the disk; the log calls it when it knows."""

    __slots__ = ("_receiver", "_reply", "_sight", "answered", "due")

    def __init__(self, receiver: Receiver, sight: Sight, reply: Reply, due: float) -> None:
        self._receiver, self._sight, self._reply, self.due = receiver, sight, reply, due
        self.answered = False

    def __call__(self, error: LogError | None) -> None:
        """The outcome: answer with it, or, when the answer has been given, put the ledger right."""
        if self.answered:
            if error is not None and (lost := self._sight.spans - error.stored):
                self._receiver._not_stored(lost)
            return
        self.answered = True
        self._receiver._forget_answered()
        self._reply(self._receiver._settled(error, self._sight))

    def give_up(self) -> None:
        """Answer without an outcome."""
        self.answered = True
        self._reply(self._receiver._timed_out())

    def failed(self) -> None:
        """Answer for a fault of ours."""
        if not self.answered:
            self.answered = True
            self._reply(self._receiver.refuse(outcome.internal(), self._sight.spans))


def _giving_back(admission: Admission, size: int, reply: Reply) -> Reply:
    def answer(outcome: Outcome) -> None:
        admission.release(size)
        reply(outcome)

    return answer
