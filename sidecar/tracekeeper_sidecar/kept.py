"""The kept log, in which sampling leaves what it keeps, and its life: there while an entry is, or is to be, on it.

Storage is halved while it is there; when nobody reads it any more it is removed, and the log has its room again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.ending import Watcher
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.roster import live
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import KEPT, Files
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.resume import resume
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_spec.sampling import Sampling

if TYPE_CHECKING:
    from tracekeeper_sidecar.decide.stage import Stage
    from tracekeeper_sidecar.forward.rescue import Rescue

logger = logging.getLogger(__name__)

HISTORY = 64 << 20
"""Bytes of the kept log that stay when they are delivered, at most: a start learns verdicts from them."""
CLOSE_TIMEOUT = 3.0
"""Seconds that closing waits for a read of the log: the disk may hang."""
SAMPLING, RESCUE = "sampling", "rescue"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where logs are, and how large they may be. Bytes."""

    directory: str
    files: Files
    quota: int
    history: int


@dataclass(frozen=True, slots=True)
class Means:
    """What the kept log's forwarder shares with that of the log, and what is asked about both."""

    clock: Clock
    letters: DeadLetters | None
    backends: Backends
    keeper: Keeper
    hold: Callable[[], int]
    """As in Forwarder, of the kept log."""
    takers: Callable[[], Iterable[Taker]]
    """Entries for which sampling leaves something out, in either log."""
    book: Callable[[str, str, int], None]
    """As Forwarder.book, for entries of either log."""
    watchers: Sequence[Watcher]
    """As in Forwarder."""


@dataclass(slots=True)
class Kept:
    """The kept log while it is there, with who writes and who reads it."""

    log: Log
    cursors: CursorStore
    stage: Stage
    forwarder: Forwarder
    rescue: Rescue

    def configure(self, sampling: Sampling) -> None:
        """Decide by this section from now on."""
        self.stage.configure(sampling)
        self.rescue.decision_wait = sampling.decision_wait


class KeptLog:
    """Owned by the application's event loop."""

    def __init__(self, log: Log, whole: Forwarder, cursors: CursorStore, storage: Storage, means: Means) -> None:
        """`whole` and `cursors` are of the entries that read `log`."""
        self.now: Kept | None = None
        """None while there is none."""
        self.leftover = False
        """Whether one that nobody needs could not be removed yet."""
        self._log, self._whole, self._cursors, self._storage = log, whole, cursors, storage
        self._means = means
        self._folder = os.path.join(storage.directory, KEPT)
        self._halved = False

    @property
    def store(self) -> CursorStore:
        """Of entries that read it, or that have done so in an earlier process."""
        return CursorStore(self._folder, self._storage.files)

    async def begin(self) -> None:
        """Leave one of an earlier process its room. Raises LogUnavailable."""
        if await asyncio.to_thread(self.store.names):
            self._halve()

    async def open(self, sampling: Sampling) -> Kept:
        """Begin to sample. Raises LogUnavailable."""
        await asyncio.to_thread(import_module, "tracekeeper_sidecar.decide.stage")  # 2 MB that few pods need
        storage, half = self._storage, self._storage.quota // 2
        entries = await live(self._cursors, self._whole.names)
        opening = partial(
            Log.open,
            self._folder,
            files=storage.files,
            clock=self._means.clock,
            quota=half,
            history=min(HISTORY, half // 4),
            memory=0,
            # Spans that came before the first config was there are sampled, too.
            first_seq=self._log.end.seq if entries else self._log.begin.seq,
        )
        kept = await in_thread(opening, undo=Log.close)
        try:
            self._halve()
            begin: Position = await asyncio.to_thread(resume, self._log, kept)
            self.now = self._begun(kept, sampling, begin)
        except BaseException:
            await kept.close()
            raise
        return self.now

    def _begun(self, kept: Log, sampling: Sampling, begin: Position) -> Kept:
        from tracekeeper_sidecar.decide.rates import RatesFile  # noqa: PLC0415 - see above
        from tracekeeper_sidecar.decide.stage import Stage  # noqa: PLC0415 - see above
        from tracekeeper_sidecar.forward.rescue import REASON, Rescue  # noqa: PLC0415 - see above

        means = self._means
        rescue = Rescue(self._log, means.clock, means.takers, lambda name, spans: means.book(name, REASON, spans))
        rescue.decision_wait = sampling.decision_wait
        saved = RatesFile(self._folder, self._storage.files)
        stage = Stage(self._log, kept, means.clock, sampling, begin, self._whole.release, rescue.take, saved)
        cursors = self.store
        forwarder = Forwarder(
            kept,
            cursors,
            means.clock,
            letters=means.letters,
            backends=means.backends,
            accepted=lambda: self._log.end.seq,
            hold=means.hold,
            watchers=means.watchers,
        )
        means.keeper.start(SAMPLING, stage.run)
        means.keeper.start(RESCUE, rescue.run)
        logger.info("sampling begins", extra={"undecided": self._log.end.seq - begin.seq})
        return Kept(kept, cursors, stage, forwarder, rescue)

    def _halve(self) -> None:
        """The kept log has the other half."""
        half = self._storage.quota // 2
        self._log.resize(self._storage.quota - half, min(self._storage.history, half))
        self._halved = True

    async def leave(self) -> None:
        """Nobody reads it any more: away with it."""
        kept = self.now
        assert kept is not None
        await self._stop()
        kept.stage.end()
        kept.rescue.end()
        self.now, self.leftover = None, True
        try:
            await kept.forwarder.close()
        finally:
            await kept.log.close()
        await self.clear()
        logger.info("sampling has ended")

    async def clear(self) -> None:
        """Remove what is left of one that nobody reads, and give its room back."""
        try:
            await asyncio.to_thread(_remove, self._folder, self._storage.files)
        except OSError as error:
            if not self.leftover or not self._halved:
                logger.warning("%s cannot be removed yet: %s", self._folder, error.strerror or error)
            self.leftover = True
            self._halve()  # What is left there takes its room.
            return
        self.leftover = False
        if self._halved:
            self._log.resize(self._storage.quota, self._storage.history)
            self._halved = False
            self._whole.release()

    async def stop(self) -> None:
        """Sample no more, and leave everything as it is. Waits for a disk that hangs at most CLOSE_TIMEOUT seconds."""
        stopping = asyncio.ensure_future(self._stop())
        await asyncio.wait((stopping,), timeout=CLOSE_TIMEOUT)

    async def _stop(self) -> None:
        await self._means.keeper.stop(SAMPLING)
        await self._means.keeper.stop(RESCUE)


def _remove(folder: str, files: Files) -> None:
    """Delete the folder's files, if it is there. Raises OSError."""
    try:
        names = files.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(names):
        files.unlink(os.path.join(folder, name))
    if names:
        files.sync_directory(folder)
