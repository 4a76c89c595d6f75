"""Brings the objects of the Prometheus operator's kinds to what they should be: few requests while nothing changes.

What is there is listed now and then: the first time as a whole, since somebody may have changed it while no controller
was there; then its metadata alone, in which each change of a spec shows as another generation.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..errors import Forbidden, KubeError, NotFound
from ..kinds import Kind
from ..kube import Kube, Only
from ..metrics import ControllerMetrics
from .kinds import POD_MONITORS, WRITTEN
from .objects import OURS, Key, Object, There, is_ours, key_of, read
from .sweep import unwanted

logger = logging.getLogger(__name__)

TAKEN = (
    "there is an object of this name already, which Tracekeeper did not make: rename the TracingConfig, or delete it"
)


@dataclass(frozen=True, slots=True)
class _Last:
    """How our last write of an object went."""

    digest: str
    generation: int | None = None
    """That it made; None when it failed."""
    problem: str = ""
    transient: bool = False
    """Whether it may go otherwise the next time."""


class Writing:
    """One task uses it."""

    def __init__(self, kube: Kube, metrics: ControllerMetrics) -> None:
        self._kube, self._metrics = kube, metrics
        self._there: dict[Key, There] = {}
        self._listed: set[Kind] = set()
        self._last: dict[Key, _Last] = {}
        self.monitors: list[Mapping[str, Any]] = []
        """PodMonitors of others."""

    async def list_all(self, kinds: Collection[Kind]) -> None:
        """See what is there. Raises KubeError."""
        for kind in WRITTEN:
            try:
                await self._list(kind, kinds)
            except (Forbidden, NotFound) as error:
                self._listed.discard(kind)
                logger.warning("%s; none of these is written", error)
        if POD_MONITORS not in self._listed:
            self.monitors = []

    async def _list(self, kind: Kind, kinds: Collection[Kind]) -> None:
        if kind not in kinds:
            self._there = {key: found for key, found in self._there.items() if key[0] != kind}
            self._last = {key: found for key, found in self._last.items() if key[0] != kind}
            self._listed.discard(kind)
        elif kind is POD_MONITORS:
            # All of them, and whole: others may have sidecars scraped, too. There are few.
            listing = await self._kube.list(kind)
            self.monitors = [item for item in listing.items if not is_ours(item)]
            self._take(kind, [item for item in listing.items if is_ours(item)])
        else:
            only = Only(labels=OURS, metadata=kind in self._listed)
            self._take(kind, (await self._kube.list(kind, None, only, lean=_lean)).items)

    def forgive(self) -> None:
        """Try what was refused once more."""
        self._last = {key: last for key, last in self._last.items() if not last.problem}

    async def bring(
        self, wanted: Mapping[Key, Object], kinds: Collection[Kind], unread: Collection[tuple[str, str]]
    ) -> KubeError | None:
        """Write what is not as it should be, and delete what should not be; why the first of what failed did, if it may
        go otherwise the next time."""
        first: KubeError | None = None
        self._last = {key: last for key, last in self._last.items() if key in wanted}
        for key, manifest in wanted.items():
            if key[0] in self._listed:
                first = await self._write(key, manifest) or first
        for key, there in unwanted(self._there, wanted, unread):
            if key[0] in kinds:
                first = await self._delete(key, there) or first
        return first

    def problem(self, key: Key | None) -> str:
        """Why an object could not be written; empty when it is as it should be."""
        last = self._last.get(key) if key is not None else None
        return last.problem if last is not None else ""

    def uid(self, key: Key | None) -> str:
        """Of an object that is there; empty when it is not."""
        there = self._there.get(key) if key is not None else None
        return there.uid if there is not None else ""

    async def _write(self, key: Key, manifest: Object) -> KubeError | None:
        kind, namespace, name = key
        digest = manifest["metadata"]["annotations"][names.ALERTS_DIGEST]
        there, last = self._there.get(key), self._last.get(key)
        if there is not None and there.is_as(manifest, last.generation if last is not None else None):
            if last is not None and last.problem:
                del self._last[key]
            return None
        if last is not None and last.problem and last.digest == digest and not last.transient:
            return None  # It would be refused again.
        try:
            if there is None and not await self._is_free(kind, namespace, name):
                self._last[key] = _Last(digest, problem=f"{kind.kind} {namespace}/{name}: {TAKEN}")
                return None
            found = read(await self._kube.apply(kind, manifest))
        except KubeError as error:
            self._metrics.alert_writes.labels("error").inc()
            self._last[key] = _Last(digest, problem=str(error), transient=error.transient)
            logger.warning("%s", error)
            return error if error.transient else None
        self._metrics.alert_writes.labels("ok").inc()
        self._there[key] = found
        self._last[key] = _Last(digest, found.generation)
        return None

    async def _is_free(self, kind: Kind, namespace: str, name: str) -> bool:
        """Whether nobody else's object is there: ours are listed."""
        try:
            found = await self._kube.get(kind, namespace, name, metadata_only=True)
        except NotFound:
            return True
        return is_ours(found)

    async def _delete(self, key: Key, there: There) -> KubeError | None:
        kind, namespace, name = key
        try:
            await self._kube.delete(kind, namespace, name, uid=there.uid)
        except KubeError as error:
            self._metrics.alert_writes.labels("error").inc()
            logger.warning("%s", error)
            return error
        self._metrics.alert_writes.labels("ok").inc()
        self._there.pop(key, None)
        return None

    def _take(self, kind: Kind, items: Collection[Mapping[str, Any]]) -> None:
        others = {key: found for key, found in self._there.items() if key[0] != kind}
        self._there = others | {key_of(kind, item): read(item) for item in items if is_ours(item)}
        self._listed.add(kind)


def _lean(manifest: Object) -> Object:
    """What `read` needs."""
    return {key: manifest[key] for key in ("metadata", "spec") if key in manifest}
