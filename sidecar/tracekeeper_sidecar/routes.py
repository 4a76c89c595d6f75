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
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.backend import BackendHealth
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.replay import Replayed
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.decided import resume
from tracekeeper_sidecar.log.files import KEPT, Files
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.config import DeliveryEntry as EntrySpec
from tracekeeper_spec.config import Spans
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.sampling import Sampling
from tracekeeper_spec.secrets import Secrets

if TYPE_CHECKING:
    from tracekeeper_sidecar.decide.stage import Stage, StageHealth

logger = logging.getLogger(__name__)

HISTORY = 64 << 20
"""Bytes of the kept log that stay when they are delivered, at most: a start learns verdicts from them."""
LOOK = 0.25
"""Seconds between looks at whether an entry that is to move has come to where it stops."""
EVERYTHING = Sampling(decision_wait=0.1)
"""What holds while entries are on the kept log and nothing is to be sampled any more."""
SAMPLING = "sampling"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where logs are, and how large they may be. Bytes."""

    directory: str
    files: Files
    quota: int
    history: int


@dataclass(slots=True)
class _Kept:
    """The kept log, with who writes and who reads it."""

    log: Log
    cursors: CursorStore
    stage: Stage
    forwarder: Forwarder


class Routes:
    """Owned by the application's event loop."""

    def __init__(
        self, log: Log, cursors: CursorStore, clock: Clock, storage: Storage, letters: DeadLetters | None = None
    ) -> None:
        self._log, self._cursors, self._clock, self._storage = log, cursors, clock, storage
        self._letters = letters
        self._backends = Backends(clock, random.random)
        self._whole = Forwarder(log, cursors, clock, letters=letters, backends=self._backends, hold=self._held)
        self._kept: _Kept | None = None
        self._moving: dict[str, int] = {}
        """Entries that are to move to the other log, and the number at which."""
        self._applied: tuple[ResolvedSpec, Secrets] | None = None
        self._lock = asyncio.Lock()
        self._keeper = Keeper(clock, random.random)

    @property
    def stage(self) -> StageHealth | None:
        """What sampling does; None while nothing is sampled."""
        return self._kept.stage.health() if self._kept is not None else None

    async def apply(self, spec: ResolvedSpec, secrets: Secrets) -> None:
        """Make this the config in force. Raises LogUnavailable when cursors cannot be read or written, or the kept log
        cannot be opened; what was in force then stays, as far as it can."""
        async with self._lock:
            await self._apply(spec, secrets)

    async def run(self) -> None:
        """Move entries from one log to the other when they have come to where they stop; until cancelled."""
        while True:
            await self._clock.sleep(LOOK)
            if self._moving or (self._kept is not None and not self._sampled(self._applied)):
                async with self._lock:
                    await self._move_on()

    # What is asked of it as of one forwarder.

    async def flush(self, end: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Decide and deliver everything before `end` without waiting for traces to end or batches to fill; False when
        time is up."""
        deadline = self._clock.monotonic() + timeout
        if self._kept is not None:
            done, decided = await asyncio.gather(self._whole.flush(end, timeout), self._kept.stage.finish(end, timeout))
            left = max(0.0, deadline - self._clock.monotonic())
            return done and decided and await self._kept.forwarder.flush(self._kept.log.end, left)
        return await self._whole.flush(end, timeout)

    async def drain(self, timeout: float) -> dict[str, int]:  # noqa: ASYNC109 (the clock is a parameter)
        """As Forwarder.drain, of both logs; what is not decided yet is decided first."""
        deadline = self._clock.monotonic() + timeout
        draining = asyncio.ensure_future(self._whole.drain(timeout))
        left: dict[str, int] = {}
        if self._kept is not None:
            await self._kept.stage.finish(self._log.end, timeout)
            await self._keeper.stop(SAMPLING)
            left.update(await self._kept.forwarder.drain(max(0.0, deadline - self._clock.monotonic())))
        for name, spans in (await draining).items():
            left[name] = left.get(name, 0) + spans
        return left

    async def close(self) -> None:
        """Stop at once; cursors are saved."""
        await self._keeper.stop(SAMPLING)
        if self._kept is not None:
            await self._kept.forwarder.close()
            await self._kept.log.close()
        await self._whole.close()
        await self._backends.close()

    async def replay(self, timeout: float) -> Replayed:  # noqa: ASYNC109 - the answer says what is left
        """Send the dead letters again. Raises OSError when one cannot be removed."""
        return await self._whole.replay(timeout, self._kept.forwarder if self._kept is not None else None)

    def backends(self) -> tuple[BackendHealth, ...]:
        """One moment of every backend."""
        return self._backends.health()

    def entries(self) -> tuple[EntryHealth, ...]:
        """One moment of every delivery entry."""
        return self._whole.entries() + (self._kept.forwarder.entries() if self._kept is not None else ())

    def troubles(self) -> list[str]:
        """What is wrong with tasks and cursors, in words for people."""
        found = self._whole.troubles() + self._keeper.troubles()
        if self._kept is not None:
            found += self._kept.forwarder.troubles()
            if self._kept.stage.problem:
                found.append(f"sampling waits: {self._kept.stage.problem}")
        return found

    def pending(self) -> int:
        """Spans that the delivery entry furthest behind has still to deliver."""
        return max((entry.pending for entry in self.entries()), default=0)

    # A config comes into force.

    async def _apply(self, spec: ResolvedSpec, secrets: Secrets) -> None:
        if self._kept is None and (spec.sampling is not None or await self._left_behind()):
            self._kept = await self._open(spec.sampling or EVERYTHING)
        if self._kept is not None:
            self._kept.stage.configure(spec.sampling or EVERYTHING)
        self._applied = spec, secrets
        await self._place(await self._homes())

    async def _place(self, homes: dict[str, bool]) -> None:
        """Put every entry where it is, or where it begins; those that are in the wrong place are to move."""
        assert self._applied is not None
        spec, secrets = self._applied
        sampled = self._sampled(self._applied)
        here: list[EntrySpec] = []
        there: list[EntrySpec] = []
        for entry in spec.delivery:
            (there if homes.get(entry.name, entry.name in sampled) else here).append(entry)
        await self._backends.apply(spec.backends, secrets)
        await self._whole.apply(spec.backends, here, secrets, spec.buffer, others=bool(there))
        if self._kept is not None:
            await self._kept.forwarder.apply(spec.backends, there, secrets, spec.buffer, others=bool(here))
        await self._backends.sweep()
        self._moving = {name: until for name, until in self._moving.items() if name in homes}
        for entry in here:
            self._send(entry.name, to_kept=True, wanted=entry.name in sampled)
        for entry in there:
            self._send(entry.name, to_kept=False, wanted=entry.name not in sampled)

    def _send(self, name: str, *, to_kept: bool, wanted: bool) -> None:
        """Let an entry stop at a number at which it can move, or go on for ever."""
        assert self._kept is not None or not wanted
        source = self._whole if to_kept else self._in_force.forwarder if self._kept is not None else None
        if source is None:
            return
        if not wanted:
            self._moving.pop(name, None)
            source.bound(name, ENDLESS)
        elif name not in self._moving:
            until = self._log.end.seq if to_kept else self._in_force.log.end.seq
            self._moving[name] = until
            source.bound(name, until)
            if to_kept:
                self._in_force.stage.border(until)

    @property
    def _in_force(self) -> _Kept:
        assert self._kept is not None
        return self._kept

    def _sampled(self, applied: tuple[ResolvedSpec, Secrets] | None) -> set[str]:
        """Names of the entries that are to be on the kept log."""
        if applied is None or applied[0].sampling is None:
            return set()
        return {entry.name for entry in applied[0].delivery if entry.spans is Spans.SAMPLED}

    async def _homes(self) -> dict[str, bool]:
        """Where the entries are that there have been so far: true for the kept log."""
        homes = dict.fromkeys(await _live(self._cursors), False)
        if self._kept is not None:
            homes.update(dict.fromkeys(await _live(self._kept.cursors), True))
        return homes

    async def _move_on(self) -> None:
        homes = await self._homes()
        for name, until in list(self._moving.items()):
            try:
                if await self._move(name, until, was_kept=homes.get(name, False)):
                    del self._moving[name]
                    homes[name] = not homes.get(name, False)
                    await self._place(homes)
            except LogUnavailable as error:
                logger.warning("delivery %r cannot change to the other log yet: %s", name, error)
        if self._kept is not None and not self._moving and not self._sampled(self._applied):
            await self._leave()

    async def _move(self, name: str, until: int, *, was_kept: bool) -> bool:
        """Take the cursor over to the other log if the entry has come to where it stops. Raises LogUnavailable."""
        kept = self._in_force
        source, target = (kept.forwarder, self._log) if was_kept else (self._whole, kept.log)
        cursor = source.stands(name)
        if cursor is None or cursor.position.seq < until or target.end.seq < until:
            return False
        place = await asyncio.to_thread(target.locate, until)
        if place.seq != until:
            logger.error("there is no place at %d spans in the log that delivery %r is to change to", until, name)
            place = replace(place, seq=until)
        store = self._cursors if was_kept else kept.cursors
        await asyncio.to_thread(store.save, name, Cursor(place, cursor.account))
        await source.leave(name)
        logger.info("delivery %r now reads %s", name, "all spans" if was_kept else "what sampling keeps")
        return True

    # The kept log.

    def _held(self) -> int:
        """From which number on the log is needed by others than its entries."""
        kept = self._kept
        if kept is None:
            return ENDLESS
        back = [until for name, until in self._moving.items() if name in kept.forwarder.names]
        return min([kept.stage.reached.seq, *back])

    def _held_kept(self) -> int:
        """The same of the kept log: where entries come over, and, while there is none, where its frames end."""
        coming = [until for name, until in self._moving.items() if name in self._whole.names]
        return min(coming, default=ENDLESS)

    async def _left_behind(self) -> bool:
        """Whether entries are on a kept log of an earlier process."""
        names = await asyncio.to_thread(self._storage.files.listdir, self._storage.directory)
        return KEPT in names and bool(await _live(self._store()))

    def _store(self) -> CursorStore:
        return CursorStore(self._folder, self._storage.files)

    @property
    def _folder(self) -> str:
        return os.path.join(self._storage.directory, KEPT)

    async def _open(self, sampling: Sampling) -> _Kept:
        """Raises LogUnavailable."""
        from tracekeeper_sidecar.decide.stage import Stage  # noqa: PLC0415 - 2 MB that few pods need

        storage = self._storage
        half = storage.quota // 2
        entries = await _live(self._cursors)
        # Spans that came before the first config was there are sampled, too.
        first = self._log.end.seq if entries else self._log.begin.seq
        kept = await asyncio.to_thread(
            Log.open,
            self._folder,
            files=storage.files,
            clock=self._clock,
            quota=half,
            history=min(HISTORY, half // 4),
            memory=0,
            first_seq=first,
        )
        self._log.resize(storage.quota - half, min(storage.history, half))
        begin: Position = await asyncio.to_thread(resume, self._log, kept)
        stage = Stage(self._log, kept, self._clock, sampling, begin, self._whole.release)
        cursors = self._store()
        forwarder = Forwarder(
            kept,
            cursors,
            self._clock,
            letters=self._letters,
            backends=self._backends,
            accepted=lambda: self._log.end.seq,
            hold=self._held_kept,
        )
        self._keeper.start(SAMPLING, stage.run)
        logger.info("sampling begins", extra={"undecided": self._log.end.seq - begin.seq})
        return _Kept(kept, cursors, stage, forwarder)

    async def _leave(self) -> None:
        """Nobody reads the kept log any more: away with it."""
        kept = self._in_force
        await self._keeper.stop(SAMPLING)
        kept.stage.end()
        self._kept = None
        await kept.forwarder.close()
        await kept.log.close()
        await asyncio.to_thread(_remove, self._folder, self._storage.files)
        self._log.resize(self._storage.quota, self._storage.history)
        self._whole.release()
        logger.info("sampling has ended")


async def _live(cursors: CursorStore) -> Sequence[str]:
    """Names of the entries that have a cursor, sound or not, and were not removed. Raises LogUnavailable."""
    found = []
    for name in await asyncio.to_thread(cursors.names):
        cursor = await asyncio.to_thread(cursors.load, name)
        if cursor is None or not cursor.removed:
            found.append(name)
    return found


def _remove(folder: str, files: Files) -> None:
    """Delete the folder's files. Raises OSError."""
    for name in files.listdir(folder):
        files.unlink(os.path.join(folder, name))
    files.sync_directory(folder)
