"""Which log each delivery entry reads: the log itself, or the kept log, in which sampling leaves what it keeps.

                       ┌──▶ entries with `spans: All`, and all of them while nothing is sampled
    log ───────────────┤
                       └──▶ stage ──▶ kept log ──▶ entries with `spans: Sampled`

Both logs count the same spans, so an entry can go on in the other one at the number at which it stops in the first.
When the config changes it reads on where it is, up to such a number, a place between two frames in both, and then moves
with its account. The stage and the kept log are there while an entry is, or is to be, on the kept log.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.coordination import Hub
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.backend import BackendHealth
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.ending import Watcher
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.replay import Replayed
from tracekeeper_sidecar.forward.roster import live
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.kept import Kept, KeptLog, Means, Storage
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.config import DeliveryEntry as EntrySpec
from tracekeeper_spec.config import Spans
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.sampling import Sampling
from tracekeeper_spec.sampling_detected import keeping_detected
from tracekeeper_spec.secrets import Secrets

if TYPE_CHECKING:
    from tracekeeper_sidecar.decide.health import StageHealth
    from tracekeeper_sidecar.forward.rescue import RescueHealth

logger = logging.getLogger(__name__)

LOOK, SOON = 0.25, 0.02
"""Seconds between looks at whether an entry that is to move has come to where it stops; and while somebody waits."""
EVERYTHING = Sampling(decision_wait=0.1)
"""What holds while entries are on the kept log and nothing is to be sampled any more."""


class Routes:
    """Owned by the application's event loop."""

    def __init__(
        self, log: Log, cursors: CursorStore, clock: Clock, storage: Storage, letters: DeadLetters | None = None
    ) -> None:
        self._log, self._cursors, self._clock = log, cursors, clock
        self.all_backends = Backends(clock, random.random)
        """Those that entries of either log send to."""
        self.watchers: list[Watcher] = []
        """Told what becomes of each stretch of the log in each entry; there are some only while somebody asks."""
        self._whole = Forwarder(
            log,
            cursors,
            clock,
            letters=letters,
            backends=self.all_backends,
            hold=self._held,
            watchers=self.watchers,
        )
        self._keeper = Keeper(clock, random.random)
        shared = clock, letters, self.all_backends, self._keeper
        means = Means(*shared, self._held_kept, self._takers, self._book, self.watchers)
        self._kept_log = KeptLog(log, self._whole, cursors, storage, means)
        self._moving: dict[str, Position] = {}
        """Entries that are to move to the other log, and the place in theirs at which."""
        self._between: dict[str, EntryHealth] = {}
        """Entries that are on their way from one log to the other, as they were last seen."""
        self._came: dict[str, int] = {}
        """The number up to which entries had everything that have moved to the kept log since the start."""
        self._known: bool | None = None
        """Whether there were entries before a config that could not be put in force yet."""
        self._unplaced = False
        """Whether entries have to be placed, because one has moved, or the disk failed in the middle."""
        self._problem = ""
        """Why that is so."""
        self._ended = False
        self._applied: tuple[ResolvedSpec, Secrets] | None = None
        self._lock = asyncio.Lock()
        log.on_pressure(self._relieve)

    @property
    def kept(self) -> Kept | None:
        """The kept log; None while nothing is sampled."""
        return self._kept_log.now

    @property
    def stage(self) -> StageHealth | None:
        """What sampling does; None while nothing is sampled."""
        return self.kept.stage.health() if self.kept is not None else None

    @property
    def hub(self) -> Hub | None:
        """Where sampling meets what other pods do; None while nothing is sampled."""
        return self.kept.stage.coordinator if self.kept is not None else None

    @property
    def rescue(self) -> RescueHealth | None:
        """What becomes of traces that other pods keep; None while nothing is sampled."""
        return self.kept.rescue.health() if self.kept is not None else None

    @property
    def moving(self) -> frozenset[str]:
        """Names of the entries that are to change to the other log."""
        return frozenset(self._moving)

    async def begin(self) -> None:
        """Before the first config comes, leave a kept log of an earlier process its room. Raises LogUnavailable."""
        await self._kept_log.begin()

    async def apply(self, spec: ResolvedSpec, secrets: Secrets) -> None:
        """Make this the config in force. Raises LogUnavailable when cursors cannot be read or written, or the kept log
        cannot be opened; what was in force then stays, as far as it can."""
        async with self._lock:
            await self._apply(spec, secrets)

    async def run(self) -> None:
        """Move entries from one log to the other when they have come to where they stop; until cancelled."""
        while True:
            await self._clock.sleep(LOOK)
            if self._unsettled and not self._ended:
                async with self._lock:
                    await self._move_on()

    # What is asked of it as of one forwarder.

    async def flush(self, end: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Decide and deliver everything before `end` without waiting for traces to end or batches to fill, in
        whichever log; False when time is up."""
        deadline = self._clock.monotonic() + timeout
        while await self._reach(end, max(0.0, deadline - self._clock.monotonic())):
            if not self._moving and not self._unplaced:
                return True
            # An entry that moves owes the rest of it when it has come to the other log.
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(left), self._lock:
                    await self._move_on()
            except TimeoutError:
                return False
            await self._clock.sleep(SOON if self._moving or self._unplaced else 0.0)
        return False

    async def _reach(self, end: Position, timeout: float) -> bool:  # noqa: ASYNC109
        """Bring every entry to `end`, or to where it stops."""
        deadline, kept = self._clock.monotonic() + timeout, self.kept
        if kept is None:
            return await self._whole.flush(end, timeout)
        done, decided = await asyncio.gather(self._whole.flush(end, timeout), kept.stage.finish(end, timeout))
        left = max(0.0, deadline - self._clock.monotonic())
        return await kept.forwarder.flush(kept.log.end, left) and done and decided

    async def drain(self, timeout: float) -> dict[str, int]:  # noqa: ASYNC109 (the clock is a parameter)
        """As Forwarder.drain, of both logs; what is not decided yet is decided first."""
        deadline = self._clock.monotonic() + timeout
        for forwarder in self.forwarders:
            forwarder.urge()
        flushing = asyncio.ensure_future(self._finish(deadline))
        hopeless = asyncio.ensure_future(self._hopeless(deadline))
        try:
            await asyncio.wait((flushing, hopeless), return_when=asyncio.FIRST_COMPLETED)
        finally:
            flushing.cancel()
            hopeless.cancel()
        await asyncio.wait((flushing, hopeless))
        self._ended = True
        left = {entry.name: entry.pending for entry in self.entries()}
        await self._kept_log.stop()
        await asyncio.gather(*(forwarder.drain(0.0) for forwarder in self.forwarders))
        return left

    async def _finish(self, deadline: float) -> None:
        """Deliver everything that there is, and then what other pods keep of it."""
        await self.flush(self._log.end, deadline - self._clock.monotonic())
        if self.kept is not None:
            await self.kept.rescue.finish(deadline - self._clock.monotonic())

    async def _hopeless(self, deadline: float) -> None:
        """Return when no entry can deliver anything before `deadline`, or nothing is left that it could."""
        while True:
            seconds, kept = deadline - self._clock.monotonic(), self.kept
            stuck = kept is not None and kept.stage.stuck
            rescued = kept is None or kept.rescue.hopeless(seconds)
            if rescued and not self._between and all(one.hopeless(seconds, stuck) for one in self.forwarders):
                return
            await self.all_backends.signal.wait(LOOK)

    async def close(self) -> None:
        """Stop at once; cursors are saved."""
        self._ended = True
        await self._kept_log.stop()
        await asyncio.gather(*(forwarder.close() for forwarder in self.forwarders))
        if self.kept is not None:
            await self.kept.log.close()
        await self.all_backends.close()

    @property
    def forwarders(self) -> list[Forwarder]:
        """Of the log, and of the kept log if there is one."""
        return [self._whole] if self.kept is None else [self._whole, self.kept.forwarder]

    async def replay(self, timeout: float) -> Replayed:  # noqa: ASYNC109 - the answer says what is left
        """Send the dead letters again. Raises OSError when one cannot be removed."""
        return await self._whole.replay(timeout, self.kept.forwarder if self.kept is not None else None)

    def backends(self) -> tuple[BackendHealth, ...]:
        """One moment of every backend."""
        return self.all_backends.health()

    def entries(self) -> tuple[EntryHealth, ...]:
        """One moment of every delivery entry."""
        found = {entry.name: entry for forwarder in self.forwarders for entry in forwarder.entries()}
        for name, seen in self._between.items():
            owed = self._log.end.seq - seen.account.start - seen.account.settled()
            found.setdefault(name, replace(seen, pending=owed, in_flight=0))
        return tuple(found.values())

    def taker(self, name: str) -> Taker | None:
        """As Forwarder.taker, of whichever log."""
        found = (forwarder.taker(name) for forwarder in self.forwarders)
        return next((taker for taker in found if taker is not None), None)

    def troubles(self) -> list[str]:
        """What is wrong with tasks and cursors, in words for people."""
        found = self._whole.troubles() + self._keeper.troubles()
        if self.kept is not None:
            found += self.kept.forwarder.troubles()
            if self.kept.stage.problem:
                found.append(f"sampling waits: {self.kept.stage.problem}")
            if self.kept.rescue.problem:
                found.append(f"what other pods keep cannot be sent from here yet: {self.kept.rescue.problem}")
        return found

    def pending(self) -> int:
        """Spans that the delivery entry furthest behind has still to deliver."""
        return max((entry.pending for entry in self.entries()), default=0)

    # A config comes into force.

    async def _apply(self, spec: ResolvedSpec, secrets: Secrets) -> None:
        # Entries may be on a kept log of an earlier process.
        sampling = keeping_detected(spec.sampling or EVERYTHING, spec.processors)
        if self.kept is None and (_sampled(spec) or await live(self._kept_log.store)):
            await self._kept_log.open(sampling)
        if self.kept is not None:
            self.kept.configure(sampling)
        else:
            await self._kept_log.clear()
        self._applied = spec, secrets
        self._unplaced = True
        await self._place()

    async def _place(self) -> None:
        """Put every entry where it is, or where it begins; those that are in the wrong place are to move. Raises
        LogUnavailable."""
        assert self._applied is not None
        spec, secrets = self._applied
        homes = await self._homes()
        if self._known is None:
            self._known = bool(homes)
        sampled, names = _sampled(spec), {entry.name for entry in spec.delivery}
        # A new entry takes over from those that go, in the log in which they stand.
        left = {home for name, home in homes.items() if name not in names}
        here: list[EntrySpec] = []
        there: list[EntrySpec] = []
        for entry in spec.delivery:
            wanted = entry.name in sampled
            home = homes.get(entry.name, wanted if wanted in left or not left else not wanted)
            (there if home else here).append(entry)
        await self.all_backends.apply(spec.backends, secrets)
        await self._whole.apply(spec.backends, here, secrets, spec.buffer, others=bool(there), known=self._known)
        if self.kept is not None:
            forwarder = self.kept.forwarder
            await forwarder.apply(spec.backends, there, secrets, spec.buffer, others=bool(here), known=self._known)
            await self.kept.rescue.forget(sampled)
        await self.all_backends.sweep()
        self._known, self._unplaced = None, False
        self._between.clear()
        self._moving = {name: until for name, until in self._moving.items() if name in names}
        for entry in here:
            self._send(entry.name, to_kept=True, wanted=entry.name in sampled)
        for entry in there:
            self._send(entry.name, to_kept=False, wanted=entry.name not in sampled)

    def _send(self, name: str, *, to_kept: bool, wanted: bool) -> None:
        """Let an entry stop at a place at which it can move, or go on for ever."""
        source, log = (self._whole, self._log) if to_kept else (self._in_force.forwarder, self._in_force.log)
        if not wanted:
            self._moving.pop(name, None)
            source.bound(name, None)
        elif name not in self._moving:
            until = self._moving[name] = log.end
            source.bound(name, until)
            if to_kept:
                self._in_force.stage.border(until.seq)

    @property
    def _in_force(self) -> Kept:
        assert self.kept is not None
        return self.kept

    @property
    def _unsettled(self) -> bool:
        """Whether there is something to do that a config has asked for."""
        return bool(self._moving or self._unplaced or self._kept_log.leftover or self._leaving)

    @property
    def _leaving(self) -> bool:
        """Whether the kept log is there, and no entry is to be on it."""
        return self.kept is not None and self._applied is not None and not _sampled(self._applied[0])

    async def _homes(self) -> dict[str, bool]:
        """Where the entries are that there have been so far: true for the kept log. Raises LogUnavailable.

        One that a crash has left on both has its newest cursor on the kept log, or the same one on both.
        """
        homes = dict.fromkeys(await live(self._cursors, self._whole.names), False)
        if self.kept is not None:
            there = self.kept.forwarder.names
            homes.update(dict.fromkeys(await live(self.kept.cursors, there), True))
        homes.update(dict.fromkeys(self._whole.names, False))
        return homes

    async def _move_on(self) -> None:
        """Whatever the disk refuses is tried again."""
        try:
            for name, until in list(self._moving.items()):
                await self._move(name, until)
            if self._unplaced and self._applied is not None:
                await self._place()
            if self._leaving and not self._moving and not self._in_force.forwarder.names:
                await self._kept_log.leave()
            elif self._kept_log.leftover and self.kept is None:
                await self._kept_log.clear()
            self._problem = ""
        except LogUnavailable as error:
            if self._problem != str(error):
                logger.warning("deliveries cannot change from one log to the other yet: %s", error)
            self._problem = str(error)

    async def _move(self, name: str, until: Position) -> None:
        """Take the cursor over to the other log if the entry has come to where it stops. Raises LogUnavailable."""
        kept = self._in_force
        was_kept = name in kept.forwarder.names
        source, target = (kept.forwarder, self._log) if was_kept else (self._whole, kept.log)
        cursor = source.stands(name)
        if cursor is None or cursor.position.seq < until.seq or target.end.seq < until.seq:
            return
        place = await asyncio.to_thread(target.locate, until.seq)
        if place.seq != until.seq:
            logger.error("there is no place at %d spans in the log that delivery %r is to change to", until.seq, name)
            place = replace(place, seq=until.seq)
        store = self._cursors if was_kept else kept.cursors
        await asyncio.to_thread(store.save, name, Cursor(place, cursor.account))
        # From here on the entry is placed anew, whatever happens: where, its cursors on disk say.
        self._unplaced = True
        self._between.update((entry.name, entry) for entry in source.entries() if entry.name == name)
        self._moving.pop(name, None)
        if not was_kept:
            self._came[name] = until.seq
        await source.leave(name)
        logger.info("delivery %r now reads %s", name, "all spans" if was_kept else "what sampling keeps")

    # The kept log.

    def _takers(self) -> Iterator[Taker]:
        """The entries for which sampling leaves something out, each from where on it does."""
        kept = self.kept
        for name in kept.forwarder.names if kept is not None else ():
            taker = self._in_force.forwarder.taker(name)
            if taker is not None:
                yield replace(taker, begin=max(taker.begin, self._came.get(name, 0)))
        for name, until in self._moving.items():  # Its part of the kept log grows already.
            taker = self._whole.taker(name)
            if taker is not None:
                yield replace(taker, begin=until.seq, end=ENDLESS)

    def _book(self, name: str, reason: str, spans: int) -> None:
        for forwarder in self.forwarders:
            forwarder.book(name, reason, spans)

    def _held(self) -> int:
        """From which number on the log is needed by others than its entries."""
        kept = self.kept
        if kept is None:
            return ENDLESS
        names = kept.forwarder.names | self._between.keys()
        back = [until.seq for name, until in self._moving.items() if name in names]
        back += [seen.account.start + seen.account.settled() for seen in self._between.values()]
        return min([kept.stage.reached.seq, *back])

    def _held_kept(self) -> int:
        """The same of the kept log: where entries come over, and, while there is none, where its frames end."""
        coming = [until.seq for name, until in self._moving.items() if name in self._whole.names]
        coming += [seen.account.start + seen.account.settled() for seen in self._between.values()]
        return min(coming, default=ENDLESS)

    def _relieve(self) -> None:
        """The log is nearly full: what sampling or an entry that comes back holds up makes way."""
        kept = self.kept
        if kept is None:
            return
        cut = self._log.cut(self._log.watermark).seq
        if kept.stage.reached.seq < cut:
            kept.stage.hurry()
        for name, until in self._moving.items():
            if until.seq < cut and name in kept.forwarder.names:
                kept.forwarder.relieve(name)


def _sampled(spec: ResolvedSpec) -> set[str]:
    """Names of the entries that are to be on the kept log."""
    if spec.sampling is None:
        return set()
    return {entry.name for entry in spec.delivery if entry.spans is Spans.SAMPLED}
