"""Owns named background tasks: one that dies is logged, shown in health, and started again after a growing pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.retry import RetrySchedule

logger = logging.getLogger(__name__)

PAUSES = RetrySchedule(0.5, 30.0)
LEAST_PAUSE = 0.1
"""Seconds, added to the jittered pause."""
WELL_AFTER = 60.0
"""Seconds without a death after which a task counts as well again, and its next pause starts short."""


class Keeper:
    """Owned by one event loop."""

    def __init__(self, clock: Clock, random: Callable[[], float]) -> None:
        self._clock, self._random = clock, random
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deaths: dict[str, tuple[float, str]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep `run` running until `stop`."""
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    async def stop(self, name: str) -> None:
        """Cancel the task and wait for its end; no error if there is none."""
        self._deaths.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    def troubles(self) -> list[str]:
        """Tasks that died within the last minute, each with the cause, in words for people."""
        since = self._clock.monotonic() - WELL_AFTER
        return [
            f"{name} died and was started again: {why}" for name, (when, why) in self._deaths.items() if when > since
        ]

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            began = self._clock.monotonic()
            try:
                await run()
                return
            except Exception as error:  # Also the ExceptionGroup of a task group.
                logger.exception("%s died and is started again", name)
                if self._tasks.get(name) is not asyncio.current_task():
                    return  # A task group that has failed already swallows the cancellation that stop() sent.
                self._deaths[name] = (self._clock.monotonic(), _cause(error))
            attempt = 0 if self._clock.monotonic() - began > WELL_AFTER else attempt + 1
            await self._clock.sleep(LEAST_PAUSE + PAUSES.delay(attempt, self._random))


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
