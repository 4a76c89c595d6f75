"""Keeps the book in ConfigMaps, so that another controller goes on where this one ends.

One ConfigMap for each shard. It is written by who leads alone: with each write the API server is asked to refuse it if
somebody else has written in between, and a new leader writes at once what it has read, under its own name, so that what
an older one still wants to write is refused. Statements are answered as stored only after that.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import names
from ..backoff import Backoff
from ..clock import Clock
from ..errors import KubeError, LeadLost, NotFound, Rejected
from ..kinds import CONFIG_MAPS
from ..kube import Kube, Object
from .book import Book
from .shard import SHARDS, Damaged, Snapshot, decode, encode

logger = logging.getLogger(__name__)

EVERY, EVERY_LARGE = 15.0, 60.0
"""Seconds between two writes of a shard; and of a large one, because etcd keeps each for a while."""
SOON = 1.0
"""Seconds, of one that is not large, when a pod that ends waits for it."""
LARGE = 100_000
"""Bytes."""
TICK = 0.5
"""Seconds between looks at what is to be written."""
SWEEP_EVERY = 600.0
"""Seconds."""
LAST = 5.0
"""Seconds that the last writes may take when the controller ends."""
KEY = "book"
ANNOTATION = "tracekeeper.dev/about"
ABOUT = "What was spent of budgets, compressed JSON. Without it, all budgets begin at zero."


@dataclass(slots=True)
class _Saved:
    """How a shard lies in the cluster."""

    version: str = ""
    """resourceVersion; empty while there is no ConfigMap."""
    written: int = 0
    """The shard's version that is saved."""
    at: float = float("-inf")
    """When it was written last; monotonic."""
    size: int = 0
    urgent: bool = False


class Checkpoints:
    """`run` until cancelled. `on_stored` is called with the index of a shard that was saved."""

    def __init__(
        self, kube: Kube, namespace: str, leader: str, book: Book, clock: Clock, on_stored: Callable[[int], None]
    ) -> None:
        """`namespace` is the operator's own. `leader` is never used again by another process."""
        self._kube, self._namespace, self._leader = kube, namespace, leader
        self._book, self._clock, self._on_stored = book, clock, on_stored
        self._saved = [_Saved() for _ in range(SHARDS)]
        self.problem = ""
        """Why the last write failed; empty when it did not."""

    def hurry(self, index: int) -> None:
        """Somebody who ends waits for that shard."""
        self._saved[index].urgent = True

    async def run(self) -> None:
        """Read all, then write what changes. Raises LeadLost when somebody else writes it."""
        try:
            for index in range(SHARDS):
                await self._read_at_last(index)
            swept = self._clock.monotonic()
            while True:
                await self._write_due()
                if self._clock.monotonic() - swept >= SWEEP_EVERY:
                    swept = self._clock.monotonic()
                    self._book.sweep()
                await asyncio.sleep(TICK)
        finally:
            await self._write_last()

    async def read(self, index: int) -> None:
        """What is saved of that shard. Raises KubeError."""
        try:
            found = await self._kube.get(CONFIG_MAPS, self._namespace, name_of(index))
        except NotFound:
            self._book.open.add(index)
            return
        saved = self._saved[index]
        saved.version = str(found["metadata"]["resourceVersion"])
        try:
            if (data := _data(found)) is not None:
                self._book.shards[index].load(await asyncio.to_thread(decode, data))
                saved.size = len(data)
        except Damaged as error:
            logger.error(
                "configmap %s/%s: what was spent cannot be read (%s): its budgets begin at zero; if you have a copy of "
                "it, stop the operator, put it back, and start it again",
                self._namespace,
                name_of(index),
                error,
            )
        self._book.open.add(index)
        # Written under our name at once, so that nobody else's old book is taken any more.
        saved.written = -1

    async def write(self, index: int) -> None:
        """Save that shard as it is. Raises KubeError, and LeadLost when somebody else has written."""
        shard, saved = self._book.shards[index], self._saved[index]
        snapshot: Snapshot = shard.snapshot(self._leader)
        data = await asyncio.to_thread(encode, snapshot)
        saved.version = await self._put(index, saved.version, data)
        saved.written, saved.at, saved.size, saved.urgent = snapshot.version, self._clock.monotonic(), len(data), False
        shard.stored(snapshot)
        self._on_stored(index)

    async def _put(self, index: int, version: str, data: bytes) -> str:
        """The resourceVersion that it has now."""
        content = {KEY: base64.b64encode(data).decode()}
        if not version:
            return _version(await self._kube.apply(CONFIG_MAPS, self._body(index, content)))
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/binaryData", "value": content},
        ]
        try:
            return _version(await self._kube.json_patch(CONFIG_MAPS, self._namespace, name_of(index), operations))
        except NotFound:
            logger.warning("configmap %s/%s was deleted: it is written anew", self._namespace, name_of(index))
            return _version(await self._kube.apply(CONFIG_MAPS, self._body(index, content)))
        except Rejected:
            found = await self._kube.get(CONFIG_MAPS, self._namespace, name_of(index))
            now = _version(found)
            if now == version:
                raise
            leader = await asyncio.to_thread(_leader, found)
            if leader != self._leader:
                raise LeadLost(
                    f"{self._namespace}/{name_of(index)}", f"{leader or 'somebody'} has written it"
                ) from None
            operations[0]["value"] = now
            return _version(await self._kube.json_patch(CONFIG_MAPS, self._namespace, name_of(index), operations))

    def _body(self, index: int, content: dict[str, str]) -> Object:
        return {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": {
                "name": name_of(index),
                "namespace": self._namespace,
                "labels": {names.MANAGED_BY: names.MANAGER},
                "annotations": {ANNOTATION: ABOUT},
            },
            "binaryData": content,
        }

    async def _read_at_last(self, index: int) -> None:
        backoff = Backoff(most=30.0)
        while True:
            try:
                return await self.read(index)
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("%s; nothing is counted against its budgets; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)

    async def _write_due(self) -> None:
        now = self._clock.monotonic()
        for index, saved in enumerate(self._saved):
            if self._book.shards[index].version == saved.written:
                saved.urgent = False
                continue
            large = saved.size > LARGE
            pause = EVERY_LARGE if large else SOON if saved.urgent else EVERY
            if saved.written >= 0 and now < saved.at + pause:
                continue
            if not saved.version and not self._book.shards[index].version:
                continue
            try:
                await self.write(index)
                self.problem = ""
            except KubeError as error:
                saved.at = now  # Not at once again.
                if not self.problem:
                    logger.warning("%s; sidecars keep what they have stated, and it is tried again", error)
                self.problem = str(error)

    async def _write_last(self) -> None:
        """What is not saved yet, as far as that is possible in a moment."""
        try:
            async with asyncio.timeout(LAST):
                for index, saved in enumerate(self._saved):
                    if index in self._book.open and self._book.shards[index].version != saved.written:
                        await self.write(index)
        except (KubeError, TimeoutError, LeadLost) as error:
            logger.warning(
                "not all that was spent is saved: sidecars state it again (%s)", error or "no answer in time"
            )


def name_of(index: int) -> str:
    """The ConfigMap of a shard."""
    return f"{names.BUDGETS_CONFIG_MAP}-{index}"


def _version(found: Object) -> str:
    return str(found["metadata"]["resourceVersion"])


def _data(found: Object) -> bytes | None:
    """Raises Damaged."""
    content = found.get("binaryData")
    text = content.get(KEY) if isinstance(content, dict) else None
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Damaged(str(error)) from None


def _leader(found: Object) -> str:
    """Who has written it last, as far as it can be read."""
    try:
        data = _data(found)
        return str(decode(data)["leader"]) if data is not None else ""
    except (Damaged, KeyError):
        return ""
