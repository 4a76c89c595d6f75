"""What one delivery entry has had of the traces that wait to be rescued, and the spans of them on their way to it.

A pass over the log's history offers spans. They are gathered to requests of the size that the entry's backends are sent
as a rule, which wait in a queue with two bounds; one after the other is brought to a backend, however long that takes.
An entry whose queue is full takes no more part in the pass. It has a place in the log to go on from, and its traces
wait on.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.flight import Flight
from tracekeeper_sidecar.forward.lots import Lots
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.metrics import RESCUE_SECONDS
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.wakeup import Signal

QUEUE_BYTES, QUEUE_REQUESTS = 2 << 20, 16
"""In the queue, beyond which nothing comes to it."""
REST = 300.0
"""Seconds that one wait for something to send lasts. It ends by that; this only bounds it."""
BOUNDS = RESCUE_SECONDS.bounds
"""Upper bounds of buckets, in seconds; one more is for all that takes longer."""
NOWHERE = Position(0, 0, 0)


class Took:
    """How long it has taken until traces were at a backend, from the decision to keep them on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)
        """Traces, for each of BOUNDS and for all that takes longer."""

    def note(self, seconds: float, traces: int) -> None:
        """So many more."""
        self.buckets[bisect.bisect_left(BOUNDS, seconds)] += traces
        self.seconds += seconds * traces


@dataclass(slots=True)
class _Request:
    """A part of the queue."""

    flight: Flight
    size: int
    booked: int = 0
    """Spans of it that are booked as taken."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Behind the last spans of some traces."""

    decided: float
    traces: int


class Course:
    """Owned by the event loop."""

    def __init__(
        self, taker: Taker, lots: Lots, clock: Clock, took: Took, book: Callable[[int], None], changed: Signal
    ) -> None:
        """What has come before it was there is none of its business. `book` is told of spans that a backend has taken;
        `changed` is fired when there is room again, and when nothing is left."""
        self.taker: Taker | None = taker
        """None while the entry is not there, or not where sampling leaves out something for it."""
        self.served = 0
        """Number of the last pass that was begun for it."""
        self.given_up: dict[str, int] = {"full": 0, "gone": 0}
        """Traces, by reason."""
        self.refused = 0
        """Spans that no backend has taken, for ever."""
        self.next = lots.end
        """The lot that it has to have next."""
        self.last: int | None = None
        """The last one of those that it is in the middle of; None while it is in the middle of none."""
        self.place: Position | None = None
        """From where in the log on it has to have them; None for all of it."""
        self._lots, self._clock, self._took, self._book, self._changed = lots, clock, took, book, changed
        self._had = lots.total
        self._gathered: list[bytes] = []
        self._spans = self._size = 0
        self._queue: deque[_Request | _Mark] = deque()
        self._queued = self._requests = 0
        self._more = Signal(clock)
        self._sender: Sender | None = None
        """Who sends now."""

    @property
    def waiting(self) -> int:
        """Traces that it has to have."""
        return self._lots.total - self._had

    @property
    def idle(self) -> bool:
        """Whether there is nothing that it has to have, or that is on its way to it."""
        return not self.waiting and not self._queue

    @property
    def stage(self) -> tuple[int, int | None, Position | None]:
        """Those for whom this is the same need the very same spans next."""
        return self.next, self.last, self.place if self.last is not None else None

    @property
    def obsolete(self) -> bool:
        """Whether somebody sends who is no longer told what the entry's backends are: it has moved meanwhile."""
        return self.taker is not None and self._sender is not None and self._sender is not self.taker.sender

    @property
    def full(self) -> bool:
        """Whether nothing more may be offered."""
        return self._queued >= QUEUE_BYTES or self._requests >= QUEUE_REQUESTS

    def ready(self, seconds: float) -> bool:
        """Whether a pass should be made for it: that it waits, and could send within `seconds`."""
        if self.taker is None or self.next >= self._lots.end:
            return False
        return self._requests < QUEUE_REQUESTS // 2 and self._queued < QUEUE_BYTES // 2 and not self.hopeless(seconds)

    def hopeless(self, seconds: float) -> bool:
        """Whether nothing of it can be sent within `seconds`."""
        return self.taker is None or self.taker.sender.hopeless(seconds)

    def trim(self, begin: int) -> None:
        """Give up lots that had to make room, and those all of whose spans are before the number `begin`, at which the
        log begins now."""
        lots = self._lots
        if self.next < lots.first:
            self._give_up("full", lots.first)
        while self.next < lots.end and max(lots.get(self.next).ends) <= begin:
            self._give_up("gone", self.next + 1)
        if self.last is not None and self.next > self.last:
            self.last = self.place = None

    def _give_up(self, reason: str, until: int) -> None:
        before = self._lots.before(until)
        self.given_up[reason] += before - self._had
        self.next, self._had = until, before

    def offer(self, body: bytes, spans: int) -> None:
        """Spans of a stretch of the log."""
        self._gathered.append(body)
        self._spans += spans
        self._size += len(body)
        limits = self.taker.terms.limits if self.taker is not None else None
        if limits is None or self._spans >= limits.max_spans or self._size >= limits.max_bytes:
            self._flush()

    def passed(self, last: int) -> None:
        """It has been offered all there is of the lots up to this one."""
        self._flush()
        lots = self._lots
        self._queue += [_Mark(lot.decided, lot.traces) for lot in lots.between(self.next, last)]
        self.next = max(self.next, last + 1, lots.first)
        self._had = lots.before(self.next)
        self.last = self.place = None
        self._more.fire()

    def _flush(self) -> None:
        body, spans, taker = b"".join(self._gathered), self._spans, self.taker
        self._gathered.clear()
        self._spans = self._size = 0
        if not spans or taker is None:
            return
        now, limits = self._clock.now(), taker.terms.limits
        batch = Batch(body, spans, len(body), NOWHERE, NOWHERE, oldest=now, newest=now)
        flight = Flight.of(batch, limits.max_spans, limits.max_bytes, taker.terms.matcher)
        if not flight.over:
            self._queue.append(_Request(flight, len(body)))
            self._queued += len(body)
            self._requests += 1
            self._more.fire()

    async def send(self) -> None:
        """Send what is in the queue, for ever. May be called again; what was not finished is then."""
        while True:
            while not self._queue:
                await self._more.wait(REST)
            first = self._queue[0]
            if isinstance(first, _Mark):
                self._took.note(max(0.0, self._clock.now() - first.decided), first.traces)
            else:
                await self._send(first)
                self._queued -= first.size
                self._requests -= 1
            self._queue.popleft()
            if not self._queue or not self.full:
                self._changed.fire()

    async def _send(self, request: _Request) -> None:
        while self.taker is None:
            await self._more.wait(1.0)
        flight, self._sender = request.flight, self.taker.sender
        try:
            await self._sender.deliver(flight)
        finally:
            self._sender = None
            taken = flight.delivered.total() - request.booked
            request.booked += taken
            if taken:
                self._book(taken)
        self.refused += flight.dropped.total()


def waiting(courses: Iterable[Course]) -> bool:
    """Whether anything is left to do for any of them."""
    return not all(course.idle for course in courses)
