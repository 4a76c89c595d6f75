"""Keeps a delivery entry's cursor on disk: at most five times a second while spans flow, never while they do not."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

INTERVAL = 0.2
"""Seconds between saves, each one sync. A crash repeats what was delivered since the last one, so it is short."""


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
        self._newest = cursor
        self._offered = asyncio.Event()
        self._lock = asyncio.Lock()

    def offer(self, cursor: Cursor) -> None:
        """A newer cursor. Its account may go on changing: it is copied when it is saved."""
        self._newest = cursor
        self._offered.set()

    async def run(self) -> None:
        """Save what is offered, until cancelled."""
        while True:
            await self._offered.wait()
            if not await self.save():
                self._offered.set()  # Again after the pause.
            await self._clock.sleep(INTERVAL)

    async def save(self) -> bool:
        """Save the newest cursor now; False, and a log line, when the disk refuses."""
        async with self._lock:
            self._offered.clear()
            newest, account = self._newest, self._newest.account
            cursor = Cursor(
                newest.position, Account(account.start, Counter(account.delivered), Counter(account.dropped))
            )
            try:
                await _finish(asyncio.ensure_future(asyncio.to_thread(self._cursors.save, self._name, cursor)))
            except LogUnavailable as error:
                if str(error) != self.problem:
                    logger.error(
                        "the cursor cannot be saved; a restart now would send again what was delivered since: %s",
                        error,
                        extra={"delivery": self._name},
                    )
                self.problem = str(error)
                return False
            self.saved, self.problem = cursor.position, ""
        self._on_saved()
        return True


async def _finish(saving: asyncio.Future[None]) -> None:
    """Wait for the end of a save even when cancelled: two threads must never write one cursor."""
    try:
        await asyncio.shield(saving)
    except asyncio.CancelledError:
        await asyncio.wait((saving,))
        if not saving.cancelled():
            saving.exception()  # Nobody is left to hear it.
        raise
