"""The addresses that a host name has: asked for again every so often, and kept while the resolver has no answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from tracekeeper_sidecar.wire.shard import MOST_SHARDS

logger = logging.getLogger(__name__)

EVERY = 15.0
"""Seconds after which an answer is looked up again, if the name is still used."""
AGAIN = 3.0
"""Seconds after which it is when there was no answer, or when one of the addresses has failed."""
PATIENCE = 10.0
"""Seconds that one lookup may take."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to addresses; raises OSError."""


class Addresses:
    """Of one host. Owned by one event loop, which is asked for nothing before the first `current`."""

    def __init__(self, host: str, port: int, resolve: Resolve, every: float = EVERY) -> None:
        self._host, self._port, self._resolve, self._every = host, port, resolve, every
        self._known: tuple[str, ...] = ()
        self._due = 0.0
        self._looked = 0.0
        self._problem: OSError | None = None
        self._lookup: asyncio.Task[None] | None = None

    async def current(self) -> tuple[str, ...]:
        """At least one, each once, sorted, so that everybody who asks has the same. Raises OSError while the name has
        never had an answer."""
        now = asyncio.get_running_loop().time()
        if self._lookup is None and (now >= self._due or not self._known):
            self._lookup = asyncio.create_task(self._look_up(), name=f"addresses of {self._host}")
        if not self._known and self._lookup is not None:
            await asyncio.wait((self._lookup,))
        if not self._known:
            raise self._problem or OSError(f"{self._host} has no address")
        return self._known

    def doubt(self) -> None:
        """One of them has failed: look soon whether it is still there."""
        self._due = min(self._due, self._looked + min(AGAIN, self._every))

    async def close(self) -> None:
        """End a lookup that still runs."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.wait((self._lookup,))

    async def _look_up(self) -> None:
        """Never raises."""
        try:
            async with asyncio.timeout(PATIENCE):
                found = sorted(set(await self._resolve(self._host, self._port)))
            if not found:
                raise OSError(f"{self._host} has no address")
        except OSError as error:  # TimeoutError, too.
            self._note(error)
        else:
            self._take(tuple(found))
        finally:
            self._looked = asyncio.get_running_loop().time()
            self._due = self._looked + (self._every if self._problem is None else min(AGAIN, self._every))
            self._lookup = None

    def _note(self, error: OSError) -> None:
        if self._problem is None and self._known:
            logger.warning(
                "%s cannot be looked up (%s); its %d addresses stay in use", self._host, error, len(self._known)
            )
        self._problem = error

    def _take(self, found: tuple[str, ...]) -> None:
        self._problem = None
        if len(found) > MOST_SHARDS:
            if found[:MOST_SHARDS] != self._known:
                logger.warning("%s has %d addresses; %d are used", self._host, len(found), MOST_SHARDS)
            found = found[:MOST_SHARDS]
        if found != self._known:
            logger.info("%s has %d addresses: %s", self._host, len(found), ", ".join(found[:8]))
            self._known = found
