"""The log as receivers see it: there from the first request, although opening it comes after the ports are bound.

opening ──▶ open ──▶ closed
   │ ▲
   ▼ │  read-only, locked, no room: tried again, and every request is told why
 failing
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogUnavailable
from tracekeeper_sidecar.log.files import Files

if TYPE_CHECKING:
    from tracekeeper_sidecar.log.log import Log

logger = logging.getLogger(__name__)

Done: TypeAlias = Callable[[LogError | None], None]

OPENING_PATIENCE = 3.0
"""Seconds that a request waits for the log to open before it is told to come back. Clients wait ten."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class Buffer:
    """Owns the log: opens it, tries again while that fails, closes it."""

    def __init__(self, directory: str, quota: int, files: Files, clock: Clock, history: int | None = None) -> None:
        """`quota` and `history` in bytes, as in Log.open; the default of `history` is half of the quota."""
        self.problem = ""
        """Why the log could not be opened at the last try; empty once it is."""
        self.log: Log | None = None
        self.files = files
        self._directory, self._quota, self._clock = directory, quota, clock
        self.history = quota // 2 if history is None else history
        self._early: list[tuple[bytes, int, Done, bool]] = []
        self._listeners: list[Callable[[], None]] = []

    def submit(self, payload: bytes, spans: int, done: Done, critical: bool = False) -> None:
        """As Log.submit; waits a little for a log that is still being opened."""
        if self.log is not None:
            self.log.submit(payload, spans, done, critical)
        elif self.problem:
            # It has failed before: waiting would only hold up the application.
            done(self._not_open())
        else:
            if not self._early:
                asyncio.get_running_loop().call_later(OPENING_PATIENCE, self._lose_patience)
            self._early.append((payload, spans, done, critical))

    def on_committed(self, listener: Callable[[], None]) -> None:
        """As Log.on_committed, and before the log is open, too."""
        self._listeners.append(listener)
        if self.log is not None:
            self.log.on_committed(listener)

    async def open(self) -> Log:
        """Return the log once it is open, however long that takes. Not for two callers at once."""
        if self.log is not None:
            return self.log
        pause = FIRST_PAUSE
        while self.log is None:
            try:
                self.log = await asyncio.to_thread(self._open_now)
            except LogUnavailable as error:
                if str(error) != self.problem:
                    logger.error("the log cannot be opened; senders are told to come back: %s", error)
                self.problem = str(error)
                await self._clock.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)
        self.problem = ""
        self._hand_over(self.log)
        return self.log

    async def close(self) -> None:
        """Close the log if it is open; what was not acknowledged by then is refused."""
        self._lose_patience()
        if self.log is not None:
            await self.log.close()

    def _open_now(self) -> Log:
        from tracekeeper_sidecar.log.log import Log  # noqa: PLC0415 - not on the way to the ports

        log = Log.open(self._directory, files=self.files, clock=self._clock, quota=self._quota, history=self.history)
        report = log.recovery
        logger.info(
            "log open",
            extra={
                "directory": self._directory,
                "spans": log.end.seq - log.begin.seq,
                "seconds": round(report.seconds, 3),
            },
        )
        for note in report.notes:
            logger.warning("recovery: %s", note)
        return log

    def _hand_over(self, log: Log) -> None:
        for listener in self._listeners:
            log.on_committed(listener)
        early, self._early = self._early, []
        for payload, spans, done, critical in early:
            log.submit(payload, spans, done, critical)

    def _lose_patience(self) -> None:
        early, self._early = self._early, []
        for _, _, done, _ in early:
            done(self._not_open())

    def _not_open(self) -> LogUnavailable:
        return LogUnavailable(self.problem or f"the log in {self._directory} is still being opened")
