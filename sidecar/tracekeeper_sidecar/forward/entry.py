"""One delivery entry: reads the log, keeps a few batches in flight, and moves its cursor over what is settled.

    log ──read──▶ flights (at most IN_FLIGHT, in log order) ──Sender──▶ backends
                     │ the oldest ones that are done
                     ▼
                  position, account ──at most 5 times a second──▶ cursor on disk ──▶ release

The cursor and the account move together, over whole batches, in the log's order; so at every moment
    account.start + delivered + dropped + pending == acknowledged
and a crash repeats only what was in flight or settled since the cursor was last saved.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.filling import Filling, Limits
from tracekeeper_sidecar.forward.flight import Flight
from tracekeeper_sidecar.forward.saver import Saver
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.signal import Signal
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

IN_FLIGHT = 4
"""Batches on their way at the same time: enough to hide a round trip, few enough to bound memory and duplicates."""
IN_FLIGHT_BATCHES_OF_BYTES = 2
"""In units of the batch limit: with batches full to the byte only so many are in flight."""


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


class DeliveryEntry:
    """Owned by the forwarder's event loop."""

    def __init__(
        self, name: str, limits: Limits, cursor: Cursor, *, log: Log, sender: Sender, saver: Saver, clock: Clock
    ) -> None:
        self.name = name
        self.sender = sender
        self.saver = saver
        self.position = cursor.position
        """Everything before it is settled."""
        self.account = cursor.account
        self._log, self._clock = log, clock
        self._filling = Filling(log, limits, clock)
        self._flights: deque[Flight] = deque()
        self._settled = Signal(clock)
        self._oldest = 0.0

    @property
    def pending(self) -> int:
        """Spans acknowledged and not settled."""
        return max(0, self._log.end.seq - self.position.seq)

    def limit(self, limits: Limits) -> None:
        """Batches read from now on keep to `limits`."""
        self._filling.limits = limits

    async def run(self) -> None:
        """Deliver until cancelled. Raises what nobody foresaw; may be called again, and repeats what was in flight."""
        self._flights.clear()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.saver.run(), name=f"cursor of {self.name}")
                await self._read(group)
        finally:
            self._flights.clear()

    async def reach(self, position: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Deliver without waiting for batches to fill until the cursor reaches `position`; False when time is up."""
        deadline = self._clock.monotonic() + timeout
        self._filling.hurry(position)
        while self.position.seq < position.seq:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            await self._settled.wait(left)
        return True

    def health(self) -> EntryHealth:
        """What can be said about it now."""
        pending = self.pending
        oldest = self._flights[0].batch.oldest if self._flights else self._filling.since
        return EntryHealth(
            name=self.name,
            backends=tuple(backend.name for backend in self.sender.backends),
            account=self.account.copy(),
            pending=pending,
            oldest_pending=max(0.0, self._clock.now() - oldest) if pending and oldest else 0.0,
            in_flight=len(self._flights),
            saved=self.saver.saved,
        )

    async def _read(self, group: asyncio.TaskGroup) -> None:
        reader = self._log.reader(self.position)
        self._filling.begin()
        try:
            while True:
                while not self._has_room():
                    await self._settled.wait(60.0)
                batch = await self._filling.next(reader)
                limits = self._filling.limits
                flight = Flight.of(batch, limits.max_spans, limits.max_bytes)
                self._flights.append(flight)
                if not flight.over:
                    group.create_task(self._deliver(flight))
                else:
                    self._finish(flight)
        finally:
            reader.close()

    def _has_room(self) -> bool:
        if len(self._flights) < 2:
            return len(self._flights) < IN_FLIGHT
        size = sum(flight.batch.size for flight in self._flights)
        return len(self._flights) < IN_FLIGHT and size < IN_FLIGHT_BATCHES_OF_BYTES * self._filling.limits.max_bytes

    async def _deliver(self, flight: Flight) -> None:
        await self.sender.deliver(flight)
        self._finish(flight)

    def _finish(self, flight: Flight) -> None:
        """Settle it, and move the cursor over all that is settled without a gap."""
        flight.done = True
        self._report_damage(flight)
        while self._flights and self._flights[0].done:
            first = self._flights.popleft()
            self.account.delivered.update(first.delivered)
            self.account.dropped.update(first.dropped)
            self.position = first.batch.end
        self.saver.offer(Cursor(self.position, self.account))
        self._settled.fire()

    def _report_damage(self, flight: Flight) -> None:
        if flight.batch.lost:
            logger.error(
                "%d spans dropped: damage on disk has taken them",
                flight.batch.lost,
                extra={"delivery": self.name, "reason": "damaged", "spans": flight.batch.lost},
            )
