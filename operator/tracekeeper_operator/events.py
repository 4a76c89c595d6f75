"""Events, on what owns the pod that they are about: sent by one task, from a bounded queue, so that nobody waits.

A pod at admission has no UID yet, and people look at the Deployment, not at the ReplicaSet between them. So
the owner's owner is asked for (metadata only, remembered); if that is not possible the direct owner gets the
Event. The same Event on the same owner is sent once in ten minutes: a Deployment of a thousand pods gets one.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import Counter

from . import names
from .clock import Clock, timestamp
from .errors import KubeError
from .kinds import EVENTS, JOBS, REPLICA_SETS
from .kube import Kube, Object

logger = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

QUEUE = 1000
"""Events waiting; more are dropped and counted, because nothing waits for an Event."""
REPEAT_SECONDS = 600.0
REMEMBERED = 4096
MAX_MESSAGE = 1000
"""Characters; the API server refuses more than 1024."""
LONGEST = 320
"""Characters that are kept of each part of an owner: `apiVersion` has 317 at most, a name 253."""
_MIDDLE = {("apps", "ReplicaSet"): REPLICA_SETS, ("batch", "Job"): JOBS}
"""Kinds between a pod and what people wrote."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Notice:
    """One Event to send."""

    owner: Owner
    reason: str
    message: str
    warning: bool


class Events:
    """`offer` from anywhere; one task runs `run` until cancelled."""

    def __init__(self, kube: Kube, clock: Clock, counter: Counter, who: str, *, pace: float = 0.05) -> None:
        """`counter` has the label `result`; `who` is the part of the operator that speaks."""
        self._kube, self._clock, self._counter, self._who, self._pace = kube, clock, counter, who, pace
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(QUEUE)
        self._sent: OrderedDict[tuple[Owner, str, str], float] = OrderedDict()
        self._owners: OrderedDict[Owner, Owner] = OrderedDict()

    def offer(self, notice: Notice) -> None:
        """Send it some time soon, unless it was sent lately or the queue is full. Never waits."""
        key = (notice.owner, notice.reason, notice.message)
        now = self._clock.monotonic()
        if now - self._sent.get(key, now - REPEAT_SECONDS) < REPEAT_SECONDS:
            self._counter.labels("repeated").inc()
            return
        try:
            self._queue.put_nowait(notice)
        except asyncio.QueueFull:
            self._counter.labels("dropped").inc()
            return
        _remember(self._sent, key, now)

    async def run(self) -> None:
        while True:
            notice = await self._queue.get()
            try:
                await self._send(notice)
                self._counter.labels("sent").inc()
            except KubeError as error:
                self._counter.labels("failed").inc()
                logger.warning("event %s: %s (%s)", notice.reason, notice.message, error)
            # Other controllers write Events too; a burst of new owners is spread out.
            await asyncio.sleep(self._pace)

    async def _send(self, notice: Notice) -> None:
        owner = await self._top(notice.owner)
        if owner != notice.owner:
            key = (owner, notice.reason, notice.message)
            now = self._clock.monotonic()
            if now - self._sent.get(key, now - REPEAT_SECONDS) < REPEAT_SECONDS:
                return
            _remember(self._sent, key, now)
        await self._kube.create(EVENTS, owner.namespace, event(owner, notice, self._clock.now(), self._who))

    async def _top(self, owner: Owner) -> Owner:
        """The owner's owner where there is one that people know better."""
        kind = _MIDDLE.get((owner.group, owner.kind))
        if kind is None:
            return owner
        if owner not in self._owners:
            try:
                found = await self._kube.get(kind, owner.namespace, owner.name, metadata_only=True)
            except KubeError as error:
                logger.info("%s; the Event goes to the %s instead", error, owner.kind)
                return owner
            _remember(self._owners, owner, controller_of(found, owner.namespace) or owner)
        return self._owners[owner]


def controller_of(found: Mapping[str, Any], namespace: str) -> Owner | None:
    """The controlling owner in an object's metadata; None when there is none."""
    meta = found.get("metadata")
    owners = meta.get("ownerReferences") if isinstance(meta, Mapping) else None
    for owner in owners if isinstance(owners, list) else []:
        if isinstance(owner, Mapping) and owner.get("controller") is True:
            texts = [str(owner.get(key, ""))[:LONGEST] for key in ("apiVersion", "kind", "name", "uid")]
            return Owner(texts[0], texts[1], namespace, texts[2], texts[3])
    return None


def subject(pod: Mapping[str, Any], namespace: str) -> Owner | None:
    """What an Event about a pod at admission goes to: its controller, else the pod; None if it has no name
    yet.
    """
    owner = controller_of(pod, namespace)
    if owner is not None:
        return owner
    meta = pod.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else None
    return Owner("v1", "Pod", namespace, name[:LONGEST], "") if isinstance(name, str) and name else None


def event(owner: Owner, notice: Notice, now: float, who: str) -> Object:
    """The Event as the API takes it."""
    about = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "namespace": owner.namespace,
        "name": owner.name,
    }
    time = timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": owner.namespace, "name": f"{owner.name[:200]}.{uuid.uuid4().hex[:16]}"},
        "involvedObject": {**about, "uid": owner.uid} if owner.uid else about,
        "reason": notice.reason,
        "message": notice.message[:MAX_MESSAGE],
        "type": "Warning" if notice.warning else "Normal",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": names.MANAGER},
        "reportingComponent": f"{names.GROUP}/{who}",
    }


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
