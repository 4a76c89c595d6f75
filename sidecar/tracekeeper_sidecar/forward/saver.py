"""Keeps a delivery entry's cursor on disk while spans flow, and touches nothing while they do not.

Once a second it is saved: that survives a loss of power, and what it has passed may be released. In between it is
noted twenty times a second, without a sync: that survives the death of the process, which is far more frequent. So a
kill repeats what was in flight and a moment's deliveries, not a second's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wakeup import Signal

logger = logging.getLogger(__name__)

SAVE_INTERVAL = 1.0
"""Seconds between saves: at most one sync a second for each entry."""
HURRIED_INTERVAL = 0.05
"""Seconds between saves while somebody waits for room."""
NOTE_INTERVAL = 0.05
"""Seconds between notes. Each costs a trip to a thread: at fifty a second that was a twentieth of all work."""
REST = 300.0
"""Seconds that one wait for the next settled batch lasts. It ends by the batch; this only bounds it."""


class Saver:
    """Owned by one delivery entry."""

    def __init__(
        self, name: str, cursor: Cursor, cursors: CursorStore, clock: Clock, on_saved: Callable[[], None]
    ) -> None:
        self.saved: Position = cursor.position
        """Where the cursor on disk stands; the log may be released up to here."""
        self.problem = ""
        """Why the last save failed; empty when it did not."""
        self._name, self._cursors, self._clock, self._on_saved = name, cursors, clock, on_saved
        self._newest = self._noted = self._synced = cursor
        self._hurried = False
        self._offered = Signal(clock)
        self._lock = asyncio.Lock()

    def offer(self, cursor: Cursor) -> None:
        """A newer cursor. Its account may go on changing: it is copied when it is written."""
        self._newest = cursor
        self._offered.fire()

    def hasten(self) -> None:
        """Somebody waits for room on the disk: save soon."""
        self._hurried = True
        self._offered.fire()

    async def run(self) -> None:
        """Save what is offered, until cancelled."""
        await self.save()  # The first one makes notes possible.
        while True:
            while self._newest is self._synced:
                await self._offered.wait(REST)
            due = self._clock.monotonic() + SAVE_INTERVAL
            if self._hurried:
                await self._clock.sleep(HURRIED_INTERVAL)
            else:
                await self._note_until(due)
            if not await self.save():
                await self._clock.sleep(max(0.0, due - self._clock.monotonic()))

    async def save(self) -> bool:
        """Save the newest cursor now; False, and a log line, when the disk refuses."""
        async with self._lock:
            newest = self._newest
            self._hurried = False
            cursor = _copy(newest)
            try:
                await in_thread(partial(self._cursors.save, self._name, cursor))  # Two must never write one cursor.
            except LogUnavailable as error:
                if str(error) != self.problem:
                    logger.error(
                        "the cursor cannot be saved; a restart now would send again what was delivered since: %s",
                        error,
                        extra={"delivery": self._name},
                    )
                self.problem = str(error)
                return False
            self._noted = self._synced = newest
            self.saved, self.problem = cursor.position, ""
        self._on_saved()
        return True

    async def _note_until(self, due: float) -> None:
        """Note what is offered until `due`, or until the disk refuses; the next save then says so."""
        while (left := due - self._clock.monotonic()) > 0 and not self._hurried:
            if self._newest is self._noted:
                await self._offered.wait(left)
                continue
            async with self._lock:
                newest = self._newest
                cursor = _copy(newest)
                try:
                    await in_thread(partial(self._cursors.note, self._name, cursor))
                except LogUnavailable:
                    return
                self._noted = newest
            await self._clock.sleep(min(NOTE_INTERVAL, left))


def _copy(cursor: Cursor) -> Cursor:
    return replace(cursor, account=cursor.account.copy())
