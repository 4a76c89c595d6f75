"""Looks for folders whose pods are gone, and delivers what they hold, one at a time.

    lock of its owner free at every look for `grace` ──▶ log locked and opened ──▶ delivered ──▶ folder removed
                                                          │ the owner is back, or nothing moves
                                                          ▼
                                                      given back, as far as it got

A container that is restarted leaves its folder without an owner for a moment; the grace lets it pass, and if it lasts
longer the folder is handed back as soon as its owner asks. Two sidecars never have the same folder: the log's lock
decides.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections import Counter
from functools import partial

from tracekeeper_sidecar.adopt.adoption import Adoption, Ending, Means
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.source import Instruction
from tracekeeper_sidecar.errors import LogError, LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import KEPT
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.threads import in_thread

logger = logging.getLogger(__name__)

LEAST, MOST = 0.2, 10.0
"""Seconds between two looks, on average: pods that start together should not look at the same moment."""


class Adopter:
    """Owned by one event loop. `shared` is the folder of folders, `own` this pod's name in it, `grace` in seconds."""

    def __init__(self, shared: str, own: str, means: Means, clock: Clock, grace: float) -> None:
        self.endings: Counter[Ending] = Counter()
        self.problems: dict[str, str] = {}
        """Why a folder could not be taken over at the last try, in words for people."""
        self.instruction: Instruction | None = None
        """What is in force; nothing is taken over before there is something."""
        self.adoption: Adoption | None = None
        """The one under way."""
        self._shared, self._own, self._means = shared, own, means
        self._clock, self._grace = clock, grace
        self._every = min(MOST, max(LEAST, grace / 3))
        self._free_since: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._delivered: Counter[tuple[str, str]] = Counter()
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Look and adopt until `stop`, or until cancelled."""
        while not self._stopping.is_set():
            await self._look()
            pause = asyncio.ensure_future(self._clock.sleep(self._every * random_module.uniform(0.7, 1.3)))
            stop = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait((pause, stop), return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
                stop.cancel()

    def stop(self) -> None:
        """Take nothing new, and give back what is under way."""
        self._stopping.set()
        if self.adoption is not None:
            self.adoption.stop = True

    def delivered(self) -> Counter[tuple[str, str]]:
        """Spans delivered from folders of other pods since the start, by delivery entry and backend."""
        return self._delivered + (self.adoption.delivered() if self.adoption else Counter())

    def dropped(self) -> Counter[tuple[str, str]]:
        """Spans of such folders given up, by delivery entry and reason."""
        return self._dropped + (self.adoption.dropped() if self.adoption else Counter())

    async def _look(self) -> None:
        try:
            due = await asyncio.to_thread(self._due)
        except OSError as error:
            self._complain("", f"{self._shared} cannot be looked through: {error.strerror or error}")
            return
        self.problems = {name: text for name, text in self.problems.items() if name in self._free_since}
        for name in due:
            if self._stopping.is_set() or self.instruction is None or not self.instruction.spec.delivery:
                return
            await self._adopt(name)

    def _due(self) -> list[str]:
        """Folders without an owner for long enough, those that were not tried for longest first. Blocks."""
        for name in self._means.folders.drained(self._shared):
            self._means.folders.remove(f"{self._shared}/{name}")
        now = self._clock.monotonic()
        free = {name for name in self._means.folders.of_pods(self._shared) if name != self._own and self._is_free(name)}
        self._free_since = {name: self._free_since.get(name, now) for name in free}
        self._tried = {name: when for name, when in self._tried.items() if name in free}
        due = [name for name, since in self._free_since.items() if now - since >= self._grace]
        return sorted(due, key=lambda name: (self._tried.get(name, 0.0), name))

    def _is_free(self, name: str) -> bool:
        try:
            return not self._means.folders.claimed(f"{self._shared}/{name}")
        except OSError:
            return True  # Trying to open its log tells more than this does.

    async def _adopt(self, name: str) -> None:
        self._tried[name] = self._clock.monotonic()
        try:
            adoption = await self._open(name)
        except LogUnavailable as error:
            # Nothing to tell where another sidecar is at it, or has just removed it.
            if not isinstance(error.__cause__, (BlockingIOError, FileNotFoundError)):
                self._complain(name, str(error))
            return
        self.adoption = adoption
        if self._stopping.is_set():
            adoption.stop = True
        try:
            ending = await adoption.run(self._in_force)
        except (LogError, OSError) as error:
            self._complain(name, str(error))
        except asyncio.CancelledError:
            self._told(name, adoption, Ending.PUT_BACK)
            raise
        else:
            self._told(name, adoption, ending)
        finally:
            self._delivered, self._dropped = self.delivered(), self.dropped()
            self.adoption = None

    async def _open(self, name: str) -> Adoption:
        """Raises LogUnavailable."""
        folder = f"{self._shared}/{name}"
        log = await in_thread(partial(self._means.open_log, folder), undo=Log.close)
        try:
            cursors = self._means.cursors(folder)
            before = await asyncio.to_thread(_accounts, cursors)
            before |= await asyncio.to_thread(_accounts, self._means.cursors(f"{folder}/{KEPT}"))
            outlet = self._means.forward(folder, log, cursors)
        except BaseException:
            await log.close()
            raise
        logger.info("taking over the folder of a pod that is gone", extra={"folder": folder, "spans": log.end.seq})
        return Adoption(folder, log, outlet, before, self._means, self._clock)

    def _in_force(self) -> Instruction:
        assert self.instruction is not None
        return self.instruction

    def _told(self, name: str, adoption: Adoption, ending: Ending) -> None:
        self.endings[ending] += 1
        self.problems.pop(name, None)
        logger.info(
            "folder of another pod: %s",
            ending,
            extra={
                "folder": adoption.folder,
                "acknowledged": adoption.acknowledged,
                "delivered": sum(adoption.delivered().values()),
                "dropped": sum(adoption.dropped().values()),
                "pending": {entry.name: entry.pending for entry in adoption.entries()},
            },
        )

    def _complain(self, name: str, text: str) -> None:
        if self.problems.get(name) != text:
            logger.warning("spans of a pod that is gone cannot be taken over: %s", text, extra={"folder": name})
        self.problems[name] = text


def _accounts(cursors: CursorStore) -> dict[str, Account]:
    """What each delivery entry had settled before; those that were removed begin anew. Raises LogUnavailable."""
    found = {name: cursors.load(name) for name in cursors.names()}
    return {name: cursor.account.copy() for name, cursor in found.items() if cursor is not None and not cursor.removed}
