"""Background tasks with an owner: one that dies is logged, shown in health, and started again after a pause."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from tracekeeper_sidecar.clock import Clock

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
REMEMBERED = 60.0
"""Seconds for which a death shows in health."""


class Tasks:
    """Owns every background task of the process."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock, self._jitter = clock, jitter
        self._tasks: list[asyncio.Task[None]] = []
        self._deaths: dict[str, tuple[float, str]] = {}

    def spawn(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep `run` running: called again after it raises; done for good when it returns."""
        self._tasks.append(asyncio.create_task(self._keep(name, run), name=name))

    def troubles(self) -> list[str]:
        """Tasks that died lately, each with its cause, in words for people."""
        since = self._clock.monotonic() - REMEMBERED
        return [
            f"{name} died and was started again: {why}" for name, (when, why) in self._deaths.items() if when >= since
        ]

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            try:
                await run()
                return
            except Exception as error:  # a bug or a fault nobody foresaw: the other tasks must go on
                self._deaths[name] = (self._clock.monotonic(), repr(error))
                logger.exception("background task died; it is started again", extra={"task": name})
            if self._clock.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await self._clock.sleep(pause * (0.5 + self._jitter() / 2))
            pause = min(2 * pause, LONGEST_PAUSE)
