"""All delivery entries of the sidecar: started, changed, drained and stopped as the policy says.

Where a new entry begins decides whether spans are lost when a config changes:

    no entry was ever there             the log's begin: everything acknowledged before the first policy is sent
    entries were there, and all stay    the log's end: what is older has had its own entries
    entries were there, and some go     the earliest place that those who go had reached: renaming a backend, or
                                        replacing it, loses nothing
    its cursor on disk is damaged       the log's begin: sent again rather than skipped

Cursors of entries that are gone are removed once the new ones are on disk; as long as no entry is left at all, the
last ones are kept, and with them the spans.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Mapping, Sequence

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.backend import Backend, BackendHealth
from tracekeeper_sidecar.forward.build import build
from tracekeeper_sidecar.forward.connection import Unusable, connect
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.entry import DeliveryEntry, EntryHealth
from tracekeeper_sidecar.forward.filling import Limits
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.placement import first_positions
from tracekeeper_sidecar.forward.saver import Saver
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.signal import Signal
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.config import DeliveryEntry as EntrySpec
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
    ) -> None:
        self._log, self._cursors, self._clock, self._random = log, cursors, clock, random
        self._letters = letters
        self._signal = Signal(clock)
        self._backends: dict[str, Backend] = {}
        self._entries: dict[str, DeliveryEntry] = {}
        self._keeper = Keeper(clock, random)
        self._released: Position | None = None
        self._lock = asyncio.Lock()
        self._closing: asyncio.Future[None] | None = None
        self._found: dict[str, Position | None] | None = None
        """Places on disk before an `apply` began that failed; those it has saved since are no entries yet."""
        self._placing = False
        """While true nothing is released: new entries may begin where old ones that go on have just been."""

    async def apply(self, backends: Sequence[BackendSpec], delivery: Sequence[EntrySpec], secrets: Secrets) -> None:
        """Make these the entries and backends in force. What did not change keeps its connection, circuit and cursor.

        Raises LogUnavailable when cursors cannot be read or written; what was in force then stays.
        """
        async with self._lock:
            self._placing = True
            try:
                await self._apply(backends, delivery, secrets)
            finally:
                self._placing = False
            self._release()
            self._signal.fire()

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
        for backend in self._backends.values():
            backend.hasten()
        for entry in self._entries.values():
            entry.sender.urgency += 1
        self._signal.fire()
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

    async def _hopeless(self, deadline: float) -> None:
        """Return when no entry can deliver anything before `deadline`."""
        while True:
            seconds = deadline - self._clock.monotonic()
            if all(not entry.pending or entry.sender.hopeless(seconds) for entry in self._entries.values()):
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
            for backend in self._backends.values():
                await backend.close()

    def backends(self) -> tuple[BackendHealth, ...]:
        """One moment of every backend."""
        return tuple(backend.health() for backend in self._backends.values())

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

    async def _apply(self, backends: Sequence[BackendSpec], delivery: Sequence[EntrySpec], secrets: Secrets) -> None:
        cursors = await self._place(delivery)
        gone_backends = await self._apply_backends(backends, secrets)
        wanted = {entry.name for entry in delivery}
        for name in [name for name in self._entries if name not in wanted]:
            await self._stop(self._entries.pop(name))
        for entry in delivery:
            self._apply_entry(entry, cursors.get(entry.name))
        for backend in gone_backends:
            await backend.close()
        if delivery:
            await self._forget(wanted)

    async def _apply_backends(self, specs: Sequence[BackendSpec], secrets: Secrets) -> list[Backend]:
        """Add and change backends. Returns those that are no longer named, still open."""
        wanted: dict[str, Backend] = {}
        for spec in specs:
            backend = self._backends.get(spec.name)
            if backend is None:
                backend = Backend(spec, self._clock, self._random, self._signal.fire)
            else:
                backend.configure(spec)
            connection = connect(spec, secrets)
            if connection != backend.connection:
                exporter = connection if isinstance(connection, Unusable) else await build(connection)
                await backend.connect(connection, exporter)
            wanted[spec.name] = backend
        gone = [backend for name, backend in self._backends.items() if name not in wanted]
        self._backends = wanted
        return gone

    async def _place(self, delivery: Sequence[EntrySpec]) -> dict[str, Cursor]:
        """Cursors of the entries that are not running yet, saved."""
        wanted = [entry.name for entry in delivery if entry.name not in self._entries]
        on_disk = await asyncio.to_thread(self._cursors.names)
        loaded = {
            name: await asyncio.to_thread(self._cursors.load, name) for name in on_disk if name not in self._entries
        }
        if self._found is None:
            self._found = {name: cursor.position if cursor else None for name, cursor in loaded.items()}
        known = self._found | {name: entry.position for name, entry in self._entries.items()}
        starts = first_positions([entry.name for entry in delivery], known, self._log.begin, self._log.end)
        placed: dict[str, Cursor] = {}
        for name in wanted:
            cursor = loaded.get(name)
            if cursor is None or cursor.position != starts[name]:
                cursor = _restarted(cursor, starts[name])
                await asyncio.to_thread(self._cursors.save, name, cursor)
            placed[name] = cursor
        self._found = None
        if delivery:
            gone = {name: place for name, place in known.items() if name not in starts}
            self._report_gone(gone, sorted(name for name in placed if name not in known))
        return placed

    def _report_gone(self, gone: Mapping[str, Position | None], heirs: list[str]) -> None:
        """Say what becomes of the spans that entries still owe when they go."""
        taken = f"delivery {', '.join(map(repr, heirs))} takes them over" if heirs else "no new one takes them over"
        for name, place in gone.items():
            pending = self._log.end.seq - max(self._log.begin, place or self._log.begin).seq
            if pending > 0:
                logger.warning(
                    "delivery %r is gone from the config with %d spans pending; %s",
                    name,
                    pending,
                    taken,
                    extra={"delivery": name, "pending": pending, "taken_over_by": heirs},
                )

    def _apply_entry(self, spec: EntrySpec, cursor: Cursor | None) -> None:
        backends = [self._backends[name] for name in spec.backends]
        limits = _limits(backends)
        entry = self._entries.get(spec.name)
        if entry is not None:
            entry.sender.backends = backends
            entry.limit(limits)
            return
        assert cursor is not None  # _place has made one for every entry that does not run.
        entry = DeliveryEntry(
            spec.name,
            limits,
            cursor,
            log=self._log,
            sender=Sender(spec.name, backends, self._clock, self._random, self._signal, self._letters),
            saver=Saver(spec.name, cursor, self._cursors, self._clock, self._release),
            clock=self._clock,
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

    async def _forget(self, wanted: set[str]) -> None:
        """Remove the cursors of entries that are gone. One that stays is only clutter: the next `apply` removes it."""
        try:
            for name in await asyncio.to_thread(self._cursors.names):
                if name not in wanted:
                    await asyncio.to_thread(self._cursors.remove, name)
                    logger.info("delivery %r is gone", name, extra={"delivery": name})
        except LogUnavailable as error:
            logger.warning("the cursors of former deliveries stay on disk for now: %s", error)

    def _release(self) -> None:
        """Let the log go up to where every saved cursor has passed."""
        if self._placing:
            return
        lowest = min((entry.saver.saved for entry in self._entries.values()), default=None)
        if lowest is not None and (self._released is None or lowest > self._released):
            self._released = lowest
            self._log.release(lowest)


def _restarted(cursor: Cursor | None, start: Position) -> Cursor:
    """A cursor at `start`. Its account stays closed: what it had settled between is no longer claimed."""
    return Cursor(start, Account(start=start.seq))


def _limits(backends: Sequence[Backend]) -> Limits:
    """What suits every backend of the list, because any of them may get the batch."""
    batches = [backend.spec.batch for backend in backends]
    return Limits(
        min(batch.max_spans for batch in batches),
        min(batch.max_bytes for batch in batches),
        min(batch.max_delay for batch in batches),
    )
