"""Sends what sampling has left out and the log's history still holds: the flight recorder.

    log's history ──since when──▶ matching spans ──▶ those of traces that were sampled out ──▶ one backend

Read is up to where sampling has come, and nothing of it is taken from any delivery entry: what is sent is booked as
`redelivered` beside the ledger's equation, because its spans are booked as sampled out. In memory is one batch.

A trace's verdict is remembered for a bounded number of traces. Where it is not known any more, or where nothing was
sampled yet, spans may have been delivered long ago: they are sent only if that is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.flight import Flight
from tracekeeper_sidecar.forward.matcher import compiled
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wire.keep import Keep
from tracekeeper_sidecar.wire.traces import KEEP, Traces, verdict

SPANS, BYTES = 2048, 1 << 20
"""Of one batch."""
LOOKED_AT, SENT = 64 << 20, 8 << 20
"""Bytes a second, at most: the application's pod pays for it, and the backend has others to serve."""

STOPPED = "it was stopped"

SENT_BEFORE, NOT_KNOWN = 0, 2
"""Numbers under which spans that are left out are counted."""
LEAVE = verdict(SENT_BEFORE, 1, keep=False)
SEND = verdict(1, 0, keep=True, erase=True)
"""Nobody sends these by probability, so their tracestate says none."""
FORGOTTEN = verdict(NOT_KNOWN, 1, keep=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for."""

    since: float
    """Unix time; what was acknowledged before stays where it is."""
    where: str
    """A condition on spans; empty takes all of them."""
    backend: str
    forgotten: bool = False
    """Whether spans are sent, too, of whose traces it is not known what was decided."""
    timeout: float = 600.0
    """Seconds after which it ends, whatever is left."""


@dataclass(slots=True)
class Progress:
    """How far it has come. All but the first are spans."""

    running: bool = True
    looked_at: int = 0
    matched: int = 0
    sent: int = 0
    sent_before: int = 0
    """Of traces that sampling has kept."""
    not_known: int = 0
    """Of traces of which nobody knows what was decided; left out unless they were asked for."""
    not_taken: int = 0
    """That the backend has refused."""
    left: int = 0
    """Of the log, up to where sampling has come."""
    problem: str = ""
    """Why it ended early."""

    def described(self) -> dict[str, object]:
        """As the metrics port shows it."""
        return asdict(self)


class Dump:
    """One of them. Owned by the event loop on which sampling works. Raises ConditionError for a wrong `where`."""

    def __init__(
        self,
        wanted: Wanted,
        log: Log,
        until: Callable[[], Position],
        decided: Callable[[bytes], int],
        book: Callable[[int], None],
    ) -> None:
        """`until` is where sampling has come; `decided` says what was decided about a trace, 0 if that is not known;
        `book` is told how many spans were taken."""
        self.progress = Progress()
        self._wanted, self._log, self._until, self._decided, self._book = wanted, log, until, decided, book
        self._matcher = compiled(wanted.where)
        self._keep = Keep(Traces(seed=1), self._judge)

    async def run(self, sender: Sender, clock: Clock) -> None:
        """Until it is done, out of time, or cancelled."""
        progress = self.progress
        try:
            async with asyncio.timeout(self._wanted.timeout):
                await self._run(sender, clock)
        except TimeoutError:
            progress.problem = f"time was up after {self._wanted.timeout:g} s"
        except LogUnavailable as error:
            progress.problem = str(error)
        except asyncio.CancelledError:
            progress.problem = STOPPED
            raise
        finally:
            progress.running = False

    async def _run(self, sender: Sender, clock: Clock) -> None:
        reader = self._log.reader(self._log.begin)
        try:
            await self._send_all(reader, self._until(), sender, clock)
        finally:
            reader.close()

    async def _send_all(self, reader: Reader, end: Position, sender: Sender, clock: Clock) -> None:
        by_frame = False
        while (batch := await _read(reader, end, 1 if by_frame else SPANS)) is not None:
            if not by_frame and batch.oldest < self._wanted.since <= batch.newest:
                reader.seek(batch.begin)  # It begins somewhere in here.
                by_frame = True
                continue
            by_frame = by_frame and batch.oldest < self._wanted.since
            self.progress.left = max(0, end.seq - batch.end.seq)
            await clock.sleep(batch.size / LOOKED_AT)
            if batch.spans and batch.oldest >= self._wanted.since:
                await self._send(batch, sender, clock)

    async def _send(self, batch: Batch, sender: Sender, clock: Clock) -> None:
        progress, body, matched = self.progress, batch.body, batch.spans
        try:
            if self._matcher is not None:
                body, matched, _ = self._matcher.split(body)
            cut = self._keep.cut(body)
        except ValueError:  # The receiver has checked it, so this is damage that a checksum missed.
            return
        assert cut is not None  # `_judge` has an answer for every trace.
        progress.looked_at += batch.spans
        progress.matched += matched
        progress.sent_before += cut.left_out[SENT_BEFORE]
        progress.not_known += cut.left_out[NOT_KNOWN]
        if not cut.kept:
            return
        flight = Flight.of(
            replace(batch, body=cut.body, spans=cut.kept, size=len(cut.body), lost=0, frames=()), SPANS, BYTES
        )
        try:
            await sender.deliver(flight)
        finally:
            taken = flight.delivered.total()
            progress.sent += taken
            progress.not_taken += flight.dropped.total()
            if taken:
                self._book(taken)
        await clock.sleep(len(cut.body) / SENT)

    def _judge(self, trace_id: bytes) -> int:
        """The other way round: what sampling has kept is left out."""
        decided = self._decided(trace_id)
        if not decided:
            return SEND if self._wanted.forgotten else FORGOTTEN
        return LEAVE if decided & KEEP else SEND


async def _read(reader: Reader, end: Position, spans: int) -> Batch | None:
    """The next batch before `end`."""
    reach = end.seq - reader.position.seq
    if reach <= 0:
        return None
    return await in_thread(partial(reader.read, spans, BYTES, reach=reach))
