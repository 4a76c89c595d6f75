"""One delivery entry: reads the log, keeps a few batches in flight, and settles them in whatever order they end.

    log ──read──▶ flights ──Sender──▶ backends
                     │ whichever is done
                     ▼
                  settled, account ──at most once a second──▶ cursor on disk ──▶ release

What is settled and the account move together, over whole batches; so at every moment
    account.start + account.settled() + pending == acknowledged
and a crash repeats only what was in flight or settled since the cursor was last saved.

A batch that no backend digests is set aside: others are sent as if it were not there, within bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.bounded import Bounded
from tracekeeper_sidecar.forward.bounds import BUFFER_FULL, LONGEST, WORDS, Bounds
from tracekeeper_sidecar.forward.ending import Ending, Watcher
from tracekeeper_sidecar.forward.filling import Filling, Limits
from tracekeeper_sidecar.forward.flight import Flight
from tracekeeper_sidecar.forward.matcher import Matcher
from tracekeeper_sidecar.forward.quiet import Quiet
from tracekeeper_sidecar.forward.saver import Saver
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.settled import Settled, trimmed
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import NOTHING, Batch, Position
from tracekeeper_sidecar.wakeup import Signal

logger = logging.getLogger(__name__)

IN_FLIGHT = 4
"""Batches on their way at the same time: enough to hide a round trip, few enough to bound memory and duplicates."""
IN_FLIGHT_BYTES = 1 << 20
"""Bytes in flight beyond which two batches are enough: they are in memory two times over while they are sent."""
ASIDE, ASIDE_BYTES = 16, 4 << 20
"""Batches set aside, at most, and bytes in them."""
OVERTAKEN = 8
"""Batches settled behind one that is still in flight, after which that one is set aside."""
REST = 60.0
"""Seconds that one wait for room lasts. It ends by the room; this only bounds it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the config says of an entry, besides its name and its backends."""

    limits: Limits
    bounds: Bounds = field(default_factory=Bounds)
    matcher: Matcher | None = None
    """None takes every span."""


@dataclass(frozen=True, slots=True)
class EntryHealth:
    """One moment of a delivery entry."""

    name: str
    backends: tuple[str, ...]
    account: Account
    pending: int
    """Spans acknowledged and not settled."""
    oldest_pending: float
    """Seconds since the oldest pending span was acknowledged; 0 when none is."""
    in_flight: int
    """Batches on their way."""
    saved: Position
    """Where the cursor on disk stands."""
    guaranteed: bool = True
    """False for one that is BestEffort."""
    aside: int = 0
    """Batches of those in flight that hold up no other any more."""


class DeliveryEntry:
    """Owned by the forwarder's event loop."""

    def __init__(
        self,
        name: str,
        terms: Terms,
        cursor: Cursor,
        *,
        log: Log,
        sender: Sender,
        saver: Saver,
        clock: Clock,
        accepted: Callable[[], int] | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        """`accepted` tells how many spans were ever acknowledged, where `log` does not: it may be the log of what
        sampling has decided, whose end stands where the decisions do. `watchers` may grow and shrink."""
        self.name = name
        self.sender = sender
        self.saver = saver
        self.terms = terms
        """May be replaced at any time; batches read from then on keep to it."""
        self.settled = Settled(cursor.position, cursor.acked)
        self.account = cursor.account
        self._log, self._clock = Bounded(log), clock
        self._accepted = accepted or (lambda: log.end.seq)
        self._watchers = watchers
        self.filling = Filling(self._log, terms.limits, clock)
        self._flights: dict[Flight, None] = {}  # in the log's order
        self._cut: tuple[Position, str] | None = None
        self._changed = Signal(clock)
        self._quiet = Quiet(clock)

    @property
    def pending(self) -> int:
        """Spans acknowledged and not settled."""
        return max(0, self._accepted() - self.settled.position.seq - self.settled.ahead)

    @property
    def waiting(self) -> int:
        """Those of the pending spans that it could send: all, but for what sampling has still to decide."""
        return max(0, self._log.end.seq - self.settled.position.seq - self.settled.ahead)

    @property
    def cursor(self) -> Cursor:
        """Where it stands."""
        return Cursor(self.settled.position, self.account, self.settled.runs())

    @property
    def at_rest(self) -> bool:
        """Nothing of it is on its way, and nothing is settled out of order."""
        return not self._flights and not self.settled.ahead and self.settled.position.seq >= self._log.end.seq

    def bound(self, until: Position | None) -> None:
        """Read nothing behind `until`, a place between two frames behind all that has been read; None lifts that."""
        self._log.bound = until
        self.filling.hurry(self._log.end)

    @property
    def bounded(self) -> int:
        """Spans of the log before the place behind which it reads nothing."""
        return self._log.until

    def change(self, terms: Terms) -> None:
        """Batches read from now on keep to `terms`."""
        self.terms = terms
        self.filling.limits = terms.limits
        self._changed.fire()

    async def run(self) -> None:
        """Deliver until cancelled. Raises what nobody foresaw; may be called again, and repeats what was in flight."""
        self._flights.clear()
        self.filling.begin(self.settled.position, self.settled.stretches())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.saver.run(), name=f"cursor of {self.name}")
                group.create_task(self._watch(), name=f"bounds of {self.name}")
                await self._read(group)
        finally:
            self._flights.clear()
            self.filling.end()

    async def reach(self, position: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Deliver without waiting for batches to fill until the cursor reaches `position`; False when time is up."""
        deadline = self._clock.monotonic() + timeout
        self.filling.hurry(position)
        while self.settled.position.seq < min(position.seq, self._log.until):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            await self._changed.wait(left)
        return True

    def give_up(self, cut: Position, reason: str) -> None:
        """Drop everything before `cut`, a place between two frames, that is not settled, as far as it is bound."""
        cut = self._log.capped(cut)
        if cut.seq <= self.settled.position.seq or (self._cut is not None and cut <= self._cut[0]):
            return
        for flight in [flight for flight in self._flights if flight.batch.begin.seq < cut.seq]:
            self._abandon(flight, reason)
        # What has not been read yet is up to the reading task, which may be reading just now.
        self._cut = cut, reason
        self.filling.hurry(cut)
        self._changed.fire()

    def health(self) -> EntryHealth:
        """What can be said about it now."""
        pending = self.pending
        first = next(iter(self._flights), None)
        oldest = first.batch.oldest if first is not None else self.filling.since
        return EntryHealth(
            name=self.name,
            backends=tuple(backend.name for backend in self.sender.backends),
            account=self.account.copy(),
            pending=pending,
            oldest_pending=max(0.0, self._clock.now() - oldest) if pending and oldest else 0.0,
            in_flight=len(self._flights),
            saved=self.saver.saved,
            guaranteed=not self.terms.bounds.first,
            aside=sum(flight.aside for flight in self._flights),
        )

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while True:
            while not self._has_room():
                await self._changed.wait(REST)
            self._skip()
            batch = await self.filling.next()
            if self.settled.count():
                batch = trimmed(batch, self.settled)
            if not batch.spans and not batch.lost:  # Sampled out, or settled before a restart.
                self._settle(batch)
            elif reason := self._verdict(batch):
                self.account.sampled_out.update(batch.sampled_out)
                self._drop(batch.begin, batch.end, reason, batch.sampled_out)
            else:
                self._launch(batch, group)

    def _launch(self, batch: Batch, group: asyncio.TaskGroup) -> None:
        terms = self.terms
        flight = Flight.of(batch, terms.limits.max_spans, terms.limits.max_bytes, terms.matcher)
        flight.on_suspicion = self._set_aside
        self._flights[flight] = None
        if flight.over:
            self._finish(flight)
        else:
            flight.task = group.create_task(self._deliver(flight))

    def _has_room(self) -> bool:
        count = size = 0
        for flight in self._flights:
            if not flight.aside:
                count += 1
                size += flight.batch.size
        return count < 2 or (count < IN_FLIGHT and size < IN_FLIGHT_BYTES)

    async def _deliver(self, flight: Flight) -> None:
        try:
            await self.sender.deliver(flight)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if flight in self._flights or task is None or task.uncancel():
                raise
            return  # It has been abandoned.
        self._finish(flight)

    def _finish(self, flight: Flight) -> None:
        """Settle it, in whatever order it ends."""
        for other in self._flights:
            if other is flight:
                break
            other.overtaken += 1
            if other.overtaken == OVERTAKEN:
                self._set_aside()
        del self._flights[flight]
        batch = flight.batch
        if batch.lost:
            self._report_damage(batch.lost)
        self.settled.settle(batch.begin, batch.end)
        self.account.delivered.update(flight.delivered)
        self.account.dropped.update(flight.dropped)
        self.account.sampled_out.update(batch.sampled_out)
        self.account.unmatched += flight.unmatched
        self._tell(batch.begin, batch.end, flight.delivered, flight.dropped, batch.sampled_out, flight.unmatched)
        self._offer()

    def _set_aside(self) -> None:
        """Let what nobody digests, or takes in time, hold up no other; as far as memory allows."""
        aside = [flight.batch.size for flight in self._flights if flight.aside]
        for flight in self._flights:
            if flight.aside or not (flight.suspected or flight.stuck or flight.overtaken >= OVERTAKEN):
                continue
            if len(aside) >= ASIDE or (aside and sum(aside) + flight.batch.size > ASIDE_BYTES):
                return
            flight.aside = True
            aside.append(flight.batch.size)
            self._changed.fire()

    # What waits for too long, or stands in the way.

    async def _watch(self) -> None:
        """Look at the oldest spans in flight as often as the bounds ask for it."""
        while True:
            interval = self.terms.bounds.interval
            await self._clock.sleep(interval or LONGEST)
            for flight in list(self._flights) if interval else ():
                reason = self._verdict(flight.batch)
                if reason is None:
                    break
                self._abandon(flight, reason)

    def _verdict(self, batch: Batch) -> str | None:
        """Why the oldest batch that is not settled is given up; None when it is not."""
        if self._cut is not None and batch.begin.seq < self._cut[0].seq:
            return self._cut[1]
        if self.terms.bounds.interval is None or not batch.newest:
            return None
        return self.terms.bounds.verdict(self._clock.now() - batch.newest, self.waiting)

    def _abandon(self, flight: Flight, reason: str) -> None:
        """End a flight here and now; what it has delivered stays delivered."""
        left = flight.left
        flight.dropped[reason] += left
        if flight.task is not None:
            flight.task.cancel()
        self._finish(flight)
        self._report_drop(left, reason)

    def _skip(self) -> None:
        """Pass over what has been given up, or has made way for others, without reading it."""
        begin = self.filling.position
        if self.terms.bounds.first and begin.seq < self._log.begin.seq:
            self._cut = self._log.begin, BUFFER_FULL
        if self._cut is None:
            return
        cut, reason = self._log.capped(self._cut[0]), self._cut[1]
        self._cut = None
        if begin.seq < cut.seq:
            self._drop(begin, self.filling.skip(cut), reason)

    def _drop(self, begin: Position, end: Position, reason: str, booked: Mapping[str, int] = NOTHING) -> None:
        """Book what is not settled between two places as dropped, but for what is `booked` already."""
        spans = end.seq - begin.seq - self.settled.settle(begin, end) - sum(booked.values())
        if spans:
            self.account.dropped[reason] += spans
            self._report_drop(spans, reason)
            self._tell(begin, end, dropped={reason: spans}, sampled_out=booked)
        self._offer()

    # The books.

    def _settle(self, batch: Batch) -> None:
        """Nothing of it is to be sent."""
        self.account.sampled_out.update(batch.sampled_out)
        self.settled.settle(batch.begin, batch.end)
        self._tell(batch.begin, batch.end, sampled_out=batch.sampled_out)
        self._offer()

    def _tell(
        self,
        begin: Position,
        end: Position,
        delivered: Mapping[str, int] = NOTHING,
        dropped: Mapping[str, int] = NOTHING,
        sampled_out: Mapping[str, int] = NOTHING,
        unmatched: int = 0,
    ) -> None:
        if not self._watchers:
            return  # As nearly always.
        ending = Ending(self.name, begin.seq, end.seq, delivered, dropped, sampled_out, unmatched)
        for watcher in self._watchers:
            watcher(ending)

    def _offer(self) -> None:
        self.saver.offer(self.cursor)
        self._changed.fire()

    def _report_drop(self, spans: int, reason: str) -> None:
        suppressed = self._quiet.allow(reason) if spans else None
        if suppressed is not None:
            logger.error(
                "%d spans of delivery %r dropped: %s",
                spans,
                self.name,
                WORDS[reason],
                extra={"delivery": self.name, "reason": reason, "spans": spans, "suppressed": suppressed},
            )

    def _report_damage(self, spans: int) -> None:
        logger.error(
            "%d spans dropped: damage on disk has taken them",
            spans,
            extra={"delivery": self.name, "reason": "damaged", "spans": spans},
        )
