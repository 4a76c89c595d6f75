"""Pushes to one place: now and then, and once more at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tracekeeper_sidecar.admin.snapshot import PushFacts
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.push.page import Page, Target

logger = logging.getLogger(__name__)

TIMEOUT: Final = 10.0
"""Seconds for one push."""
TIDY_EVERY: Final = 3600.0
"""Seconds between two looks for what pods that are gone have left."""


class Pusher:
    """Owned by the event loop; `run` is kept running by its owner."""

    def __init__(
        self,
        name: str,
        interval: float,
        target: Target,
        page: Callable[[], Page],
        clock: Clock,
        random: Callable[[], float],
        *,
        again: bool = False,
    ) -> None:
        """`again`: this process has pushed by that name before."""
        self._name, self._interval, self._target, self._page = name, interval, target, page
        self._clock, self._random = clock, random
        self._sent = self._failed = 0
        self._last_success = 0.0
        self._problem = ""
        self._busy = asyncio.Lock()
        target.begin(page(), again=again)

    @property
    def facts(self) -> PushFacts:
        """What can be said of it now."""
        return PushFacts(self._name, self._sent, self._failed, self._last_success, self._problem)

    async def run(self) -> None:
        """Push for ever. Pods that start together do not push together."""
        tidied = self._clock.monotonic() - TIDY_EVERY * self._random()
        while True:
            await self._clock.sleep(self._interval * (0.8 + 0.4 * self._random()))
            await self.push(TIMEOUT)
            if self._clock.monotonic() - tidied >= TIDY_EVERY and not self._problem:
                tidied = self._clock.monotonic()
                await self._tidy()

    async def push(self, timeout: float) -> None:  # noqa: ASYNC109 - it goes on to connections
        """Push what there is now, within so many seconds. A failure is counted and told, and never raised."""
        try:
            async with asyncio.timeout(timeout), self._busy:
                await self._target.push(self._page(), timeout)
        except PushFailed as failed:
            self._fail(str(failed))
        except TimeoutError:
            self._fail(f"there was no end of it within {timeout:.0f} s")
        except Exception as error:  # At the end nobody else would catch it, and spans come before metrics.
            self._fail(f"{type(error).__name__}: {error}")
        else:
            if self._problem:
                logger.info("metrics are pushed again", extra={"push": self._name})
            self._sent, self._last_success, self._problem = self._sent + 1, self._clock.now(), ""

    def close(self) -> None:
        """End what is open. `run` must have ended."""
        self._target.close()

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            logger.warning("metrics cannot be pushed: %s", problem, extra={"push": self._name})
        self._failed, self._problem = self._failed + 1, problem

    async def _tidy(self) -> None:
        try:
            await self._target.tidy(self._clock.now())
        except PushFailed as failed:
            logger.info("what pods that are gone have pushed stays: %s", failed, extra={"push": self._name})
