"""Keeps the catalog true: list, then watch from there, again and again.

Every failure ends in another list after a wait with jitter; a connection that died silently is noticed
because the watch is asked to end by itself after `duration`. What is in memory stays usable all the while.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from .backoff import Backoff
from .catalog import Catalog
from .clock import Clock
from .errors import Gone, KubeError
from .kinds import TRACING_CONFIGS
from .kube import Kube, WatchEvent
from .metrics import InjectorMetrics

logger = logging.getLogger(__name__)


class Watch:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        catalog: Catalog,
        clock: Clock,
        metrics: InjectorMetrics,
        *,
        duration: float = 120.0,
        slack: float = 15.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._kube, self._catalog, self._clock, self._metrics = kube, catalog, clock, metrics
        self._duration, self._slack = duration, slack
        self._backoff = backoff or Backoff()

    async def run(self) -> None:
        while True:
            try:
                version = await self._list()
                while True:
                    version = await self._follow(version)
            except Gone as error:
                logger.info("%s; listing again", error)
                await asyncio.sleep(self._backoff.next())
            except KubeError as error:
                wait = self._backoff.next(error.retry_after)
                logger.warning("%s; trying again in %.1f s, answering from memory until then", error, wait)
                await asyncio.sleep(wait)

    async def _list(self) -> str:
        """Replace everything. Raises KubeError."""
        listing = await self._kube.list(TRACING_CONFIGS)
        self._catalog.replace(listing.items)
        self._heard()
        return listing.resource_version

    async def _follow(self, version: str) -> str:
        """One watch, until the server ends it; the version to go on from. Raises KubeError."""
        begin = self._clock.monotonic()
        events = self._kube.watch(
            TRACING_CONFIGS, version, duration=self._duration, silence=self._duration + self._slack
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)
                version = str((event.object.get("metadata") or {}).get("resourceVersion") or version)
        self._heard()
        if self._clock.monotonic() - begin < min(1.0, self._duration):
            # A server (or something before it) that ends each watch at once must not be asked in a tight
            # loop.
            await asyncio.sleep(self._backoff.next())
        return version

    def _take(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self._catalog.remove(event.object)
        elif event.type in ("ADDED", "MODIFIED"):
            self._catalog.put(event.object)
        self._heard()
        self._backoff.reset()

    def _heard(self) -> None:
        self._catalog.synced_at = self._clock.now()
        self._metrics.synced.set(self._catalog.synced_at)
        self._metrics.configs.set(len(self._catalog))
