"""Waits until a batch is worth sending: full, or as old as `max_delay`, or somebody is in a hurry.

Nothing polls. Whoever hears of the log's commits compares its `seq` with `wanted`, and calls `committed` when that is
reached; so a commit costs a comparison while nobody waits, or too little is there for a batch that is worth sending.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.bounded import Bounded, BoundedReader
from tracekeeper_sidecar.forward.settled import Stretches, step
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.threads import in_thread

REST = 300.0
"""Seconds that one wait for the first span lasts. It ends by the span; this only bounds it."""
WARM_BYTES = 16 << 20
"""So close behind the end the page cache answers, and reading on the event loop is quicker than by a thread."""
AHEAD_BATCHES, AHEAD_BYTES = 8, 512 << 10
"""Further behind, one trip to a thread brings several batches, up to whichever comes first: a trip costs a third of
what sending a batch does."""
NEVER = 1 << 62
FIRST_LOOK = 16
"""Spans by which a batch that begins to fill is looked at for the first time."""
LEAST_SHARE = 0.001
"""Of the spans that sampling decides on, as those kept are estimated: with fewer, a batch is as old as it may be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch; as in `batch` of the TracingConfig."""

    max_spans: int
    max_bytes: int
    max_delay: float
    """Seconds."""


class Filling:
    """Owned by one delivery entry's reading task."""

    def __init__(self, log: Bounded, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.since = 0.0
        """Unix time at which the batch being filled was first seen; 0 when there is nothing to read."""
        self._log, self._clock = log, clock
        self._reader: BoundedReader | None = None
        self._hurried_seq = 0
        self.wanted = NEVER
        """The `seq` of the log that is worth a call of `committed`."""
        self._filled_from: Position | None = None
        """Where the batch begins that is being waited for to fill."""
        self._waiting: asyncio.Future[None] | None = None
        self._stretches: Stretches = ()
        self._ahead: deque[Batch] = deque()
        self._share = 1.0
        """How many of the spans that sampling has decided on it keeps, going by the newest batches."""

    def begin(self, position: Position, settled: Stretches) -> None:
        """Read from `position` on, and of the stretches that are settled no batch together with one that is not."""
        self.end()
        self._reader = self._log.reader(position)
        self._stretches = settled

    def end(self) -> None:
        """Close what is open."""
        self._ahead.clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def position(self) -> Position:
        """Where the next batch begins."""
        assert self._reader is not None
        return self._ahead[0].begin if self._ahead else self._reader.position

    def skip(self, cut: Position) -> Position:
        """Read nothing that begins before `cut`. Returns where the next batch begins."""
        while self._ahead and self._ahead[0].begin.seq < cut.seq:
            self._ahead.popleft()
        assert self._reader is not None
        if not self._ahead and self._reader.position.seq < cut.seq:
            self._reader.seek(cut)
        return self.position

    def hurry(self, until: Position) -> None:
        """Wait for nothing to fill while the reader is before `until`."""
        self._hurried_seq = max(self._hurried_seq, until.seq)
        self._wake()

    def committed(self) -> None:
        """The log's `seq` has reached `wanted`."""
        # One wait lasts until a batch is full: what it takes is estimated anew as the log grows.
        wanted = self._goal(self._filled_from) if self._filled_from is not None else 0
        if wanted:
            self.wanted = wanted
        else:
            self._wake()

    async def next(self) -> Batch:
        """The next batch, when it is worth sending. Raises LogUnavailable when the log cannot be read."""
        assert self._reader is not None
        while not self._ahead:
            await self._until_worthwhile(self._reader)
            batches = await self._take(self._reader)
            for batch in batches:
                self._note_share(batch)
            self._ahead.extend(batches)
            self.since = 0.0
        return self._ahead.popleft()

    async def _until_worthwhile(self, reader: BoundedReader) -> None:
        while self._log.end.seq <= reader.position.seq:
            self.since = 0.0
            await self._wait(reader.position.seq + 1, REST)
        self.since = self._clock.now()
        deadline = self._clock.monotonic() + self.limits.max_delay
        self._filled_from = begin = reader.position
        try:
            while begin.seq >= self._hurried_seq and (wanted := self._goal(begin)):
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return
                await self._wait(wanted, left)
        finally:
            self._filled_from = None

    def _goal(self, begin: Position) -> int:
        """What the log's `seq` must reach for a full batch, as far as one can tell; 0 when there is one."""
        end = self._log.end
        spans = end.seq - begin.seq
        most = int(self.limits.max_spans / self._share)
        if end.segment != begin.segment or spans >= most:
            return 0
        size = end.offset - begin.offset
        if size >= self.limits.max_bytes:
            return 0
        fitting = max(spans + 1, self.limits.max_bytes * spans // max(1, size))
        # No further than twice as many, because those to come may be larger.
        return begin.seq + min(most, fitting, max(FIRST_LOOK, 2 * spans))

    def _note_share(self, batch: Batch) -> None:
        """Where sampling leaves spans out, the log's count says little of how many there are to send."""
        if batch.sampled_out or self._share < 1:
            spans = batch.spans + sum(batch.sampled_out.values())
            share = max(LEAST_SHARE, batch.spans / max(1, spans))
            self._share = min(1.0, 0.75 * self._share + 0.25 * share) if spans > batch.spans else 1.0

    async def _take(self, reader: BoundedReader) -> list[Batch]:
        begin, end = reader.position, self._log.end
        if begin.segment == end.segment and end.offset - begin.offset <= WARM_BYTES:
            batch = _read(reader, self._stretches, self.limits)
            return [batch] if batch is not None else []
        return await in_thread(partial(_read_ahead, reader, self._stretches, self.limits))

    def _wake(self) -> None:
        if self._waiting is not None:
            _resolve(self._waiting)

    async def _wait(self, wanted: int, timeout: float) -> None:  # noqa: ASYNC109 (the clock is a parameter)
        """Return when the log's `seq` has reached `wanted`, or somebody is in a hurry, or after `timeout` seconds."""
        self.wanted = wanted
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        timer = asyncio.ensure_future(self._clock.sleep(timeout))
        timer.add_done_callback(lambda _: _resolve(waiting))
        try:
            await waiting
        finally:
            self._waiting, self.wanted = None, NEVER
            timer.cancel()


def _resolve(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _read(reader: BoundedReader, settled: Stretches, limits: Limits) -> Batch | None:
    """The next batch: all of it settled, or none, unless damage lies across the border; then its frames tell."""
    seq = reader.position.seq
    if not settled or seq >= settled[-1][1]:
        return reader.read(limits.max_spans, limits.max_bytes)
    return reader.read(limits.max_spans, limits.max_bytes, detailed=True, reach=step(settled, seq, ENDLESS))


def _read_ahead(reader: BoundedReader, settled: Stretches, limits: Limits) -> list[Batch]:
    batches: list[Batch] = []
    size = 0
    while len(batches) < AHEAD_BATCHES and size < AHEAD_BYTES:
        batch = _read(reader, settled, limits)
        if batch is None:
            break
        batches.append(batch)
        size += batch.size
    return batches
