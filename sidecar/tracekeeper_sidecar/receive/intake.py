"""What every receiver does with a request, whatever it came over: scan, admit, append, answer, account.

There is no task, future or timer per request: the caller is answered by a callback, and one timer looks after all
requests that wait for the disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from tracekeeper_sidecar.errors import (
    LogError,
    LogFull,
    LogTooLarge,
    LogUnavailable,
    NotReady,
    StepUnavailable,
    WireError,
)
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.raised import raised
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.admission import OVERHEAD, Admission
from tracekeeper_sidecar.receive.notices import Notices
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused
from tracekeeper_sidecar.wire.meter import Meter, Sight
from tracekeeper_sidecar.wire.scan import look

logger = logging.getLogger(__name__)

APPEND_TIMEOUT: Final = 8.0
"""Seconds from a request's arrival to its answer, whatever it waits for: a little less than an SDK waits for us, so
that it hears the reason."""
LEAST_APPEND: Final = 1.0
"""Seconds that the disk has however late processors are, which keep to the time above but for moments."""

Done: TypeAlias = Callable[[LogError | None], None]
Submit: TypeAlias = Callable[[bytes, int, Done, bool], None]
Reply: TypeAlias = Callable[[Outcome], None]

NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})
"""Nothing that the transport said is wanted."""
EVERY_NAME: Final = frozenset({"*"})
"""In place of names of headers: all that there are, while it is not known which are wanted."""
MOST_CONTEXT: Final = 64
"""Headers that are kept of one request, where all are."""
_SWEEP: Final = 1.0
"""Seconds between two looks at who has waited too long, at most."""
_LONGEST_PROBLEM: Final = 1000
"""Characters of what a client is told in a partial success."""


class Processed(Protocol):
    """A request on its way through the steps of a config."""

    body: bytes
    spans: int
    filtered: Counter[str]
    refused: Counter[str]
    problem: str


Process: TypeAlias = Callable[
    [bytes, int, Mapping[str, str], Callable[[Processed, "Exception | None"], None], float], None
]
"""Takes a request of so many spans and the transport's context through the steps, and calls back exactly once, on the
event loop, and before the given time of its clock: with what has become of it, or why it must not be stored."""


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

        `process` may change a request on its way to the log; `meter` counts what is acknowledged.
        """
        self.admission = admission
        self._submit = submit
        self._ledger = ledger
        self._suspended = suspended
        self._process = process
        self.wants: frozenset[str] = frozenset()
        """Names of headers or metadata, in lower case, that transports tell in the context; or EVERY_NAME."""
        self._meter = meter or Meter()
        self._append_timeout = append_timeout
        self._monotonic = monotonic
        self._notices = Notices(monotonic)
        self._waiting: deque[_Append] = deque()
        self._sweeping = False

    def take(self, body: bytes, held: int, reply: Reply, context: Mapping[str, str] = NO_CONTEXT) -> None:
        """Take one serialised ExportTraceServiceRequest. Never raises.

        `reply` is called exactly once: before this returns when nothing has to be stored, else when the commit that
        holds the request is durable, has failed, or takes too long. `held` is how many bytes of the admission the
        caller has reserved for this request, and gives back after the reply; 0 asks for both to be done here. Nobody
        can take a request back: a client that hangs up in the meantime is the caller's affair. `context` holds what the
        transport said, of the names in `wants`.
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
        due = self._monotonic() + self._append_timeout
        if self._process is None:
            return self._append(body, _Append(self, sight, reply, due))

        def processed(made: Processed, error: Exception | None) -> None:
            self._processed(body, sight, made, error, reply, due)

        try:
            self._process(body, spans, context, processed, due)
        except Exception as error:
            logger.error("processing %d spans failed in a way that is not foreseen: %s", spans, raised(error))
            reply(self.refuse(outcome.internal(), spans))

    def _processed(
        self, body: bytes, sight: Sight, made: Processed, error: Exception | None, reply: Reply, due: float
    ) -> None:
        """What the steps have made of a request is stored, if it is a request still."""
        came = sight.spans
        if error is None and self._suspended():  # Since it came.
            self._ledger.suspended += came
            return reply(Accepted(came))
        if error is None and made.body is not body:
            try:
                sight = look(made.body)
                if sight.spans != made.spans:
                    raise ValueError(f"processors say that {made.spans} spans are left, and there are {sight.spans}")
            except (WireError, ValueError) as fault:
                logger.error("what processors have made of a request of %d spans cannot be stored: %s", came, fault)
                error = fault
        if error is not None:
            return reply(self.refuse(_refusal(error), came))
        if not made.spans:
            return reply(self._account(made))
        due = max(due, self._monotonic() + min(LEAST_APPEND, self._append_timeout))
        self._append(made.body, _Append(self, sight, reply, due, made, came))

    def _append(self, body: bytes, append: _Append) -> None:
        sight = append.sight
        try:
            self._submit(body, sight.spans, append, sight.critical)
        except Exception:
            logger.exception("appending %d spans failed in a way that the log does not announce", sight.spans)
            return append.failed()
        if not append.answered:
            self._waiting.append(append)
            if not self._sweeping:
                self._sweep_in(min(_SWEEP, self._append_timeout))

    def _account(self, made: Processed) -> Outcome:
        """Count what processors have left out of a request whose rest, if there is one, is stored; and the answer to
        it."""
        if made.filtered:
            self._ledger.filtered.update(made.filtered)
        if not made.refused:
            return Accepted(made.spans + sum(made.filtered.values()) if made.filtered else made.spans)
        gone = sum(made.refused.values())
        problem = f"{gone} spans are not stored: {made.problem}"[:_LONGEST_PROBLEM]
        refused = outcome.rejected(next(iter(made.refused)), problem)  # type: ignore[arg-type] # a Counter of texts
        if not made.spans and not made.filtered:
            return self.refuse(refused, gone)
        self._notices.note(refused, gone)
        self._ledger.refused.update(made.refused)
        return Accepted(made.spans + sum(made.filtered.values()), gone, problem)

    def lead_through(self, process: Process | None, wants: frozenset[str]) -> None:
        """From now on have requests taken through `process`; None: nothing is done with them. `wants` are the names of
        headers or metadata, in lower case, that it looks for in the context."""
        self._process, self.wants = process, wants

    def leave_out(self, refusal: Refused, spans: int) -> None:
        """Account for spans that are not stored of a request whose others may be. Says so in the log."""
        self._ledger.refused[refusal.reason] += spans
        self._notices.note(refusal, spans)

    def refuse(self, refusal: Refused, spans: int = 0) -> Refused:
        """Account for a refusal: the request always, its spans where their number is known. Says so in the log."""
        self._ledger.refused_requests[refusal.reason] += 1
        if spans:
            self._ledger.refused[refusal.reason] += spans
        self._notices.note(refusal, spans)
        return refusal

    def _settled(self, error: LogError | None, append: _Append) -> Outcome:
        sight, came = append.sight, append.came
        if error is None:
            self._meter.add(sight)
            return Accepted(came) if append.made is None else self._account(append.made)
        if isinstance(error, LogFull):
            return self.refuse(outcome.full(error), came - error.stored)
        if isinstance(error, LogTooLarge):
            return self.refuse(outcome.never_fits(error), came)
        if isinstance(error, LogUnavailable):
            return self.refuse(outcome.unavailable(error), came - error.stored)
        logger.error("appending %d spans failed in a way that the log does not announce: %s", sight.spans, error)
        return self.refuse(outcome.internal(), came - error.stored)

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
        """Answer whoever has waited too long; come back when the next one will have, if there is one. They wait in the
        order in which they were appended, which is not the one in which they came where processors take their time."""
        now = self._monotonic()
        try:
            for append in [append for append in self._waiting if append.due <= now]:
                if not append.answered:
                    append.give_up()
        finally:  # Whatever an answer does, the others are looked after.
            self._waiting = deque(append for append in self._waiting if not append.answered)
            self._sweeping = bool(self._waiting)
            if self._waiting:
                self._sweep_in(min(_SWEEP, max(0.0, min(append.due for append in self._waiting) - now)))


class _Append:
    """One request on its way to the disk; the log calls it when it knows."""

    __slots__ = ("_receiver", "_reply", "answered", "came", "due", "made", "sight")

    def __init__(
        self,
        receiver: Receiver,
        sight: Sight,
        reply: Reply,
        due: float,
        made: Processed | None = None,
        came: int = 0,
    ) -> None:
        """`made` is what processors have made of a request in which `came` spans were."""
        self._receiver, self.sight, self._reply, self.due = receiver, sight, reply, due
        self.made, self.came = made, came or sight.spans
        self.answered = False

    def __call__(self, error: LogError | None) -> None:
        """The outcome: answer with it, or, when the answer has been given, put the ledger right."""
        if self.answered:
            if error is not None:
                if lost := self.came - error.stored:
                    self._receiver._not_stored(lost)
            elif self.made is not None:
                self._receiver._account(self.made)
            return
        self.answered = True
        self._receiver._forget_answered()
        self._reply(self._receiver._settled(error, self))

    def give_up(self) -> None:
        """Answer without an outcome."""
        self.answered = True
        self._reply(self._receiver._timed_out())

    def failed(self) -> None:
        """Answer for a fault of ours."""
        if not self.answered:
            self.answered = True
            self._reply(self._receiver.refuse(outcome.internal(), self.came))


def _refusal(error: Exception) -> Refused:
    """What the sender is told of an error out of the steps."""
    if isinstance(error, NotReady):
        return outcome.not_ready(error)
    return outcome.step_unavailable(error) if isinstance(error, StepUnavailable) else outcome.internal()


def _giving_back(admission: Admission, size: int, reply: Reply) -> Reply:
    def answer(outcome: Outcome) -> None:
        admission.release(size)
        reply(outcome)

    return answer
