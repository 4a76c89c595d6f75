"""All delivery entries of the sidecar: started, changed, drained and stopped as the policy says."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Mapping, Sequence

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backend import Backend, BackendHealth
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.bounds import BUFFER_FULL, Bounds
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.ending import Watcher
from tracekeeper_sidecar.forward.entry import DeliveryEntry, EntryHealth, Terms
from tracekeeper_sidecar.forward.filling import Limits
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.matcher import compiled
from tracekeeper_sidecar.forward.replay import REASON, Replayed, replay
from tracekeeper_sidecar.forward.roster import Roster
from tracekeeper_sidecar.forward.saver import Saver
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.config import Buffer as BufferSpec
from tracekeeper_spec.config import DeliveryEntry as EntrySpec
from tracekeeper_spec.config import From, Guarantee, WhenFull
from tracekeeper_spec.secrets import Secrets

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 3.0
"""Seconds that closing waits for cursors to be saved. The kubelet kills the process when its own patience ends."""


class Forwarder:
    """Owned by one event loop. Delivers from the first `apply` until `drain` or `close`."""

    def __init__(
        self,
        log: Log,
        cursors: CursorStore,
        clock: Clock,
        random: Callable[[], float] = random_module.random,
        letters: DeadLetters | None = None,
        backends: Backends | None = None,
        accepted: Callable[[], int] | None = None,
        hold: Callable[[], int] = lambda: ENDLESS,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        """`backends` are given when another forwarder sends to them, too: whoever gives them closes them. `accepted`
        and `watchers` as in DeliveryEntry. `hold` answers the count of spans from which on others need the log, too."""
        self._log, self._cursors, self._clock, self._random = log, cursors, clock, random
        self._letters, self._accepted, self._hold = letters, accepted, hold
        self._watchers = watchers
        self._shared = backends is not None
        self._backends = backends or Backends(clock, random)
        self._signal = self._backends.signal
        self._entries: dict[str, DeliveryEntry] = {}
        self._keeper = Keeper(clock, random)
        self._released: tuple[int, int] | None = None
        self._lock, self._replaying = asyncio.Lock(), asyncio.Lock()
        self._closing: asyncio.Future[None] | None = None
        self._roster = Roster(log, cursors, clock)
        log.on_committed(self._committed)
        log.on_critical(self._hurry)
        log.on_pressure(self._relieve)
        self._placing = False
        """While true nothing is released: new entries may begin where old ones that go on have just been."""

    async def apply(
        self,
        backends: Sequence[BackendSpec],
        delivery: Sequence[EntrySpec],
        secrets: Secrets,
        buffer: BufferSpec | None = None,
        others: bool = False,
        known: bool = False,
    ) -> None:
        """Make these the entries and backends in force. What did not change keeps its connection, circuit and cursor.
        `others` says that there are entries elsewhere: without any, those that go leave their cursors as they are.
        `known` says that there have been: new ones begin at the log's end then, as they do beside old ones.

        Raises LogUnavailable when cursors cannot be read or written; what was in force then stays.
        """
        async with self._lock:
            self._placing = True
            if any(entry.from_ is From.OLDEST and entry.name not in self._entries for entry in delivery):
                self._log.release(self._log.begin)  # It may be about to begin with what is history so far.
                self._released = None
            try:
                await self._apply(backends, delivery, secrets, buffer, others, known)
            finally:
                self._placing = False
            self.release()
            self._signal.fire()

    @property
    def names(self) -> frozenset[str]:
        """Of the entries."""
        return frozenset(self._entries)

    def bound(self, name: str, until: Position | None) -> None:
        """Let the entry stop at a place between two frames behind all that it has read; None lets it go on."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.bound(until)

    def taker(self, name: str) -> Taker | None:
        """The entry for somebody who sends it spans of what it has passed; None when there is none."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        return Taker(name, entry.sender, entry.terms, entry.account.start, entry.bounded)

    def relieve(self, name: str) -> None:
        """Somebody needs what the entry, which is bound, holds up: let it drop that if the config prefers so."""
        entry = self._entries.get(name)
        if entry is not None and entry.terms.bounds.yields:
            entry.give_up(self._log.end, BUFFER_FULL)

    def stands(self, name: str) -> Cursor | None:
        """Where the entry stands; None when there is none, or when batches of it are on their way."""
        entry = self._entries.get(name)
        return entry.cursor if entry is not None and entry.at_rest else None

    async def leave(self, name: str) -> None:
        """Stop an entry that goes on elsewhere, with the cursor that it has there, and forget it. Raises LogUnavailable
        when its cursor here cannot be removed; it is stopped then, too."""
        async with self._lock:
            entry = self._entries.pop(name, None)
            if entry is not None:
                await self._keeper.stop(f"delivery {name}")
            await asyncio.to_thread(self._cursors.remove, name)
        self.release()

    async def flush(self, position: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Deliver everything before `position` without waiting for batches to fill; False when time is up."""
        entries = self._entries.values()
        return all(await asyncio.gather(*(entry.reach(position, timeout) for entry in entries)))

    def pending(self) -> int:
        """Spans that the delivery entry furthest behind has still to deliver."""
        return max((entry.pending for entry in self._entries.values()), default=0)

    async def drain(self, timeout: float) -> Mapping[str, int]:  # noqa: ASYNC109 (the clock is a parameter)
        """Deliver what can be delivered in `timeout` seconds, trying open circuits and paused retries once more, and
        stop. Ends early when every backend that is still needed is down for longer than that. Returns the spans that
        are left, by entry. To be called when nothing is received any longer."""
        self.urge()
        deadline = self._clock.monotonic() + timeout
        flushed = asyncio.ensure_future(self.flush(self._log.end, timeout))
        hopeless = asyncio.ensure_future(self._hopeless(deadline))
        try:
            await asyncio.wait((flushed, hopeless), return_when=asyncio.FIRST_COMPLETED)
        finally:
            flushed.cancel()
            hopeless.cancel()
        # Counted and said before anything that a hanging disk could hold up.
        left = {name: entry.pending for name, entry in self._entries.items()}
        for name, spans in left.items():
            if spans:
                logger.warning(
                    "%d spans of delivery %r stay on disk", spans, name, extra={"delivery": name, "pending": spans}
                )
        await self.close()
        return left

    async def replay(self, timeout: float, beside: Forwarder | None = None) -> Replayed:  # noqa: ASYNC109
        """Send the dead letters again, also those of the entries of `beside`, beginning no send after `timeout`
        seconds. Raises OSError as `replay` does."""
        if self._letters is None:
            return Replayed()
        entries = dict(self._entries)
        if beside is not None:
            entries.update(beside._entries)
        async with self._replaying:
            backends = {name: entry.sender.backends for name, entry in entries.items()}

            def book(name: str, spans: int) -> None:
                (self if name in self._entries or beside is None else beside).book(name, REASON, spans)

            return await replay(self._letters, backends, book, self._clock, timeout)

    def book(self, name: str, reason: str, spans: int) -> None:
        """Spans were sent again that the entry had booked before."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.account.redelivered[reason] += spans
            entry.saver.offer(entry.cursor)

    def urge(self) -> None:
        """Try open circuits and paused retries once more."""
        self._backends.hasten()
        for entry in self._entries.values():
            entry.sender.urgency += 1
        self._signal.fire()

    def hopeless(self, seconds: float, stuck: bool = False) -> bool:
        """Whether no entry can deliver anything within `seconds`; where the log is `stuck`, nothing will come to it."""
        return all(
            not entry.pending or entry.sender.hopeless(seconds) or (stuck and not entry.waiting)
            for entry in self._entries.values()
        )

    async def _hopeless(self, deadline: float) -> None:
        """Return when no entry can deliver anything before `deadline`."""
        while True:
            seconds = deadline - self._clock.monotonic()
            if self.hopeless(seconds):
                return
            await self._signal.wait(max(0.0, seconds))

    async def close(self) -> None:
        """Stop at once; cursors are saved, and what was in flight is sent again after the next start.

        Waits for a disk that hangs at most CLOSE_TIMEOUT seconds.
        """
        if self._closing is None or self._closing.done():
            self._closing = asyncio.ensure_future(self._close())
        done, _ = await asyncio.wait((self._closing,), timeout=CLOSE_TIMEOUT)
        if not done:
            logger.error(
                "the cursors were not saved within %.0f s: the disk hangs; what was delivered last is sent again after "
                "the next start",
                CLOSE_TIMEOUT,
            )
        else:
            self._closing.result()

    async def _close(self) -> None:
        async with self._lock:
            for entry in self._entries.values():
                await self._stop(entry)
            if not self._shared:
                await self._backends.close()

    def backends(self) -> tuple[BackendHealth, ...]:
        """One moment of every backend."""
        return self._backends.health()

    def entries(self) -> tuple[EntryHealth, ...]:
        """One moment of every delivery entry; taken in one go, so that ledgers close."""
        return tuple(entry.health() for entry in self._entries.values())

    def troubles(self) -> list[str]:
        """Entries that died lately and were started again, and cursors that cannot be saved, in words for people."""
        unsaved = [
            f"the cursor of delivery {entry.name!r} cannot be saved: {entry.saver.problem}"
            for entry in self._entries.values()
            if entry.saver.problem
        ]
        return self._keeper.troubles() + unsaved

    async def _apply(
        self,
        backends: Sequence[BackendSpec],
        delivery: Sequence[EntrySpec],
        secrets: Secrets,
        buffer: BufferSpec | None,
        others: bool,
        known: bool,
    ) -> None:
        running = {name: entry.cursor for name, entry in self._entries.items()}
        cursors = await self._roster.place(delivery, running, known)
        await self._backends.apply(backends, secrets)
        wanted = {entry.name for entry in delivery}
        for name in [name for name in self._entries if name not in wanted]:
            await self._stop(self._entries.pop(name))
        for entry in delivery:
            self._apply_entry(entry, cursors.get(entry.name), _bounds(entry, buffer))
        if not self._shared:
            await self._backends.sweep()
        if delivery or others:
            await self._roster.bury(wanted)

    def _apply_entry(self, spec: EntrySpec, cursor: Cursor | None, bounds: Bounds) -> None:
        backends = [self._backends.get(name) for name in spec.backends]
        terms = Terms(_limits(backends), bounds, compiled(spec.match))
        entry = self._entries.get(spec.name)
        if entry is not None:
            entry.sender.backends = backends
            entry.change(terms)
            return
        assert cursor is not None  # The roster has made one for every entry that does not run.
        entry = DeliveryEntry(
            spec.name,
            terms,
            cursor,
            log=self._log,
            sender=Sender(spec.name, backends, self._clock, self._random, self._signal, self._letters),
            saver=Saver(spec.name, cursor, self._cursors, self._clock, self.release),
            clock=self._clock,
            accepted=self._accepted,
            watchers=self._watchers,
        )
        self._entries[spec.name] = entry
        self._keeper.start(f"delivery {spec.name}", entry.run)
        logger.info(
            "delivery %r begins with %d spans pending",
            entry.name,
            entry.pending,
            extra={"delivery": entry.name, "backends": list(spec.backends), "pending": entry.pending},
        )

    async def _stop(self, entry: DeliveryEntry) -> None:
        await self._keeper.stop(f"delivery {entry.name}")
        await entry.saver.save()

    def _committed(self) -> None:
        seq = self._log.end.seq
        for entry in self._entries.values():
            if entry.filling.wanted <= seq:
                entry.filling.committed()
            if entry.terms.bounds.first:
                entry.give_up(self._log.begin, BUFFER_FULL)  # What had to make way for new spans.

    def _hurry(self, end: Position) -> None:
        """Critical spans are on disk before `end`: batches leave with them as they are."""
        for entry in self._entries.values():
            entry.filling.hurry(end)

    def _relieve(self) -> None:
        """The log is nearly full: let the oldest spans go where the config prefers that to refusing new ones."""
        self.release()
        for entry in self._entries.values():
            entry.saver.hasten()
        giving = [entry for entry in self._entries.values() if entry.terms.bounds.yields]
        if any(not entry.terms.bounds.first for entry in giving):
            cut = self._log.cut(self._log.watermark)
            for entry in giving:
                entry.give_up(cut, BUFFER_FULL)

    def release(self) -> None:
        """Let the log go up to where every saved cursor has passed, and nobody else holds it.

        An entry that is BestEffort holds up nobody: when room is needed, what it has before it makes way first.
        """
        entries, hold = self._entries.values(), self._hold()
        if self._placing or (not entries and hold == ENDLESS):
            return
        end = min(self._log.end.seq, hold)
        preferred = min((entry.saver.saved.seq for entry in entries), default=end)
        guaranteed = (entry.saver.saved.seq for entry in entries if not entry.terms.bounds.first)
        released = min(end, min(guaranteed, default=end))
        preferred = min(preferred, released)
        if self._released != (released, preferred):
            self._released = released, preferred
            self._log.prefer(Position(0, 0, preferred))  # Of a place, the log asks for nothing but the count.
            self._log.release(Position(0, 0, released))


def _bounds(entry: EntrySpec, buffer: BufferSpec | None) -> Bounds:
    """What the entry may keep waiting."""
    best_effort = entry.guarantee is Guarantee.BEST_EFFORT
    if buffer is None:
        return Bounds(max_lag=entry.max_lag, yields=best_effort, first=best_effort)
    return Bounds(
        max_age=buffer.max_age,
        max_lag=entry.max_lag,
        max_spans=buffer.max_spans,
        yields=best_effort or buffer.when_full is WhenFull.DROP_OLDEST,
        first=best_effort,
    )


def _limits(backends: Sequence[Backend]) -> Limits:
    """What suits every backend of the list, because any of them may get the batch."""
    batches = [backend.spec.batch for backend in backends]
    return Limits(
        min(batch.max_spans for batch in batches),
        min(batch.max_bytes for batch in batches),
        min(batch.max_delay for batch in batches),
    )
