"""Keeps a memory of objects true: list, then watch from there, again and again.

Every failure ends in another list after a wait with jitter; a connection that died silently is noticed
because the watch is asked to end by itself after `duration`. What is in memory stays usable all the while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from .backoff import Backoff
from .clock import Clock
from .errors import Gone, KubeError
from .kinds import Kind
from .kube import EVERYTHING, Kube, Object, Only, WatchEvent

logger = logging.getLogger(__name__)


class Memory(Protocol):
    """What is kept true. Nothing of it waits."""

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list."""

    def put(self, manifest: Object) -> None:
        """Take over one object, new or changed."""

    def remove(self, manifest: Object) -> None:
        """Forget one object."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is watched."""

    kind: Kind
    namespace: str | None = None
    """None for all of them."""
    only: Only = EVERYTHING
    lean: Callable[[Object], Object] = lambda manifest: manifest
    """What the memory needs of each object of a list: the rest of it is not kept until the list is complete."""


class Watch:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        scope: Scope,
        memory: Memory,
        clock: Clock,
        heard: Callable[[], None] = lambda: None,
        *,
        duration: float = 120.0,
        slack: float = 15.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._kube, self._scope, self._memory, self._clock, self._heard = kube, scope, memory, clock, heard
        """`heard` is called whenever the API server was, after what it said has been taken over."""
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
                logger.warning("%s; trying again in %.1f s; what is known stays in use until then", error, wait)
                await asyncio.sleep(wait)

    async def _list(self) -> str:
        """Replace everything. Raises KubeError."""
        scope = self._scope
        listing = await self._kube.list(scope.kind, scope.namespace, scope.only, lean=scope.lean)
        self._memory.replace(listing.items)
        self._heard()
        return listing.resource_version

    async def _follow(self, version: str) -> str:
        """One watch, until the server ends it; the version to go on from. Raises KubeError."""
        begin = self._clock.monotonic()
        events = self._kube.watch(
            self._scope.kind,
            version,
            namespace=self._scope.namespace,
            only=self._scope.only,
            duration=self._duration,
            silence=self._duration + self._slack,
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
            self._memory.remove(event.object)
        elif event.type in ("ADDED", "MODIFIED"):
            self._memory.put(event.object)
        self._heard()
        self._backoff.reset()
