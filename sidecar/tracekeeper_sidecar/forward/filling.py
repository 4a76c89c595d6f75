"""Waits until a batch is worth sending: full, or as old as `max_delay`, or somebody is in a hurry.

Nothing polls. With nothing to read it sleeps in Log.wait. With some spans there it asks to be woken when there are as
many as a full batch would hold, going by the size of those already there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.model import Batch, Position

REST = 300.0
"""Seconds that one wait for the first span lasts. It ends by the span; this only bounds it."""
WARM_BYTES = 16 << 20
"""So close behind the end the page cache answers, and reading on the event loop is quicker than by a thread."""
AHEAD_BATCHES, AHEAD_BYTES = 8, 4 << 20
"""Further behind, one trip to a thread brings several batches, up to whichever comes first: a trip costs a third of
what sending a batch does."""

FIRST_LOOK = 16
"""Spans by which a batch that begins to fill is looked at for the first time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch; as in `batch` of the TracingConfig."""

    max_spans: int
    max_bytes: int
    max_delay: float
    """Seconds."""


class Filling:
    """Owned by one delivery entry's reading task."""

    def __init__(self, log: Log, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.since = 0.0
        """Unix time at which the batch being filled was first seen; 0 when there is nothing to read."""
        self._log, self._clock = log, clock
        self._hurried_seq = 0
        self._waiting: asyncio.Future[bool] | None = None
        self._ahead: deque[Batch] = deque()

    def begin(self) -> None:
        """A new reader: forget what an earlier one has read ahead."""
        self._ahead.clear()

    def hurry(self, until: Position) -> None:
        """Wait for nothing to fill while the reader is before `until`."""
        self._hurried_seq = max(self._hurried_seq, until.seq)
        if self._waiting is not None:
            self._waiting.cancel()

    async def next(self, reader: Reader) -> Batch:
        """The next batch, when it is worth sending. Raises LogUnavailable when the log cannot be read."""
        while not self._ahead:
            await self._until_worthwhile(reader.position)
            self._ahead.extend(await self._take(reader))
            self.since = 0.0
        return self._ahead.popleft()

    async def _until_worthwhile(self, begin: Position) -> None:
        while (end := self._log.end).seq <= begin.seq:
            self.since = 0.0
            await self._wait(end, REST)
        self.since = self._clock.now()
        deadline = self._clock.monotonic() + self.limits.max_delay
        while (goal := self._goal(begin)) is not None:
            left = deadline - self._clock.monotonic()
            if left <= 0 or begin.seq < self._hurried_seq:
                return
            await self._wait(goal, left)

    def _goal(self, begin: Position) -> Position | None:
        """Where the log must reach beyond for a full batch, as far as one can tell; None when there is one."""
        end = self._log.end
        spans = end.seq - begin.seq
        if end.segment != begin.segment or spans >= self.limits.max_spans:
            return None
        size = end.offset - begin.offset
        if size >= self.limits.max_bytes:
            return None
        fitting = max(spans + 1, self.limits.max_bytes * spans // max(1, size))
        # No further than twice as many, because those to come may be larger.
        wanted = min(self.limits.max_spans, fitting, max(FIRST_LOOK, 2 * spans))
        # One less, because Log.wait wakes when there are spans beyond the goal.
        return Position(end.segment, end.offset, begin.seq + wanted - 1)

    async def _take(self, reader: Reader) -> list[Batch]:
        limits, begin, end = self.limits, reader.position, self._log.end
        if begin.segment == end.segment and end.offset - begin.offset <= WARM_BYTES:
            batch = reader.read(limits.max_spans, limits.max_bytes)
            return [batch] if batch is not None else []
        return await _in_thread(reader, limits)

    async def _wait(self, after: Position, timeout: float) -> None:  # noqa: ASYNC109 (Log.wait's own)
        """Log.wait that `hurry` can end."""
        self._waiting = asyncio.ensure_future(self._log.wait(after, timeout))
        try:
            await asyncio.wait((self._waiting,))
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting is not None and not waiting.done():
                waiting.cancel()
        if waiting is not None and not waiting.cancelled():
            waiting.result()  # Raises what the log raised.


async def _in_thread(reader: Reader, limits: Limits) -> list[Batch]:
    """Read in a thread; a cancelled read is waited for, because the reader belongs to one thread at a time."""
    reading = asyncio.ensure_future(asyncio.to_thread(_read_ahead, reader, limits))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait((reading,))
        if not reading.cancelled():
            reading.exception()  # Nobody is left to hear it.
        raise


def _read_ahead(reader: Reader, limits: Limits) -> list[Batch]:
    batches: list[Batch] = []
    size = 0
    while len(batches) < AHEAD_BATCHES and size < AHEAD_BYTES:
        batch = reader.read(limits.max_spans, limits.max_bytes)
        if batch is None:
            break
        batches.append(batch)
        size += batch.size
    return batches
