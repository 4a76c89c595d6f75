"""Evicts pods that opted in and have no sidecar, so that their owners make new ones: where the config says so.

Eviction, not deletion, because the API server then keeps to PodDisruptionBudgets. One pod in `EVERY` seconds in the
whole cluster, and only while the injector answers: without it, the new pod would be as the old one. Should the new one
have no sidecar all the same, its owner is left alone for an hour, so that nothing is evicted over and over.

The choice is pure (`choose`); `Repair` carries it out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ..clock import Clock
from ..errors import Conflict, KubeError, NotFound
from ..kube import Kube
from ..metrics import ControllerMetrics
from .facts import PodFacts
from .findings import Findings, Missed

logger = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two evictions."""
YOUNG = 60.0
"""Seconds of a pod's life in which it is left alone: the injector may have been away for a moment only."""
REFUSED = 120.0
"""Seconds until a pod is tried again whose eviction was refused, for a budget's sake mostly."""
GIVE_UP = 3600.0
"""Seconds for which the pods of an owner are left alone whose new pod had no sidecar, either."""
OWNERS = frozenset({("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet")})
"""Who makes a new pod for one that is evicted. A Job counts it as a failure, and for a bare pod nobody does."""


@dataclass(frozen=True, slots=True)
class Past:
    """What was done about the pods of one owner."""

    at: float
    """When one was evicted last; Unix time."""


def repairable(pod: PodFacts) -> bool:
    """Whether somebody would make a new one."""
    return pod.owner is not None and (pod.owner.group, pod.owner.kind) in OWNERS


def choose(
    missed: Iterable[Missed],
    wanted: Callable[[PodFacts], bool],
    past: Mapping[str, Past],
    refused: Mapping[str, float],
    now: float,
) -> PodFacts | None:
    """The pod to evict now: the oldest of those whose config wants that. None if there is none.

    `past` is by the UID of the owner; `refused` tells when the eviction of a pod, by UID, was refused. Unix times.
    """
    found: list[tuple[float, str, PodFacts]] = []
    for item in missed:
        pod = item.pod
        if not repairable(pod) or pod.deleted or not wanted(pod) or pod.owner is None:
            continue
        created = seconds(pod.created)
        before = past.get(pod.owner.uid)
        in_vain = before is not None and created >= before.at - 1.0 and now < before.at + GIVE_UP
        if now < created + YOUNG or in_vain or now < refused.get(pod.uid, float("-inf")) + REFUSED:
            continue
        found.append((created, pod.uid, pod))
    return min(found, default=(0.0, "", None), key=lambda each: each[:2])[2]


def seconds(text: str) -> float:
    """RFC 3339 as Unix time; 0 for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


class Repair:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        findings: Findings,
        wanted: Callable[[PodFacts], bool],
        answers: Callable[[], Awaitable[bool]],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        every: float = EVERY,
    ) -> None:
        self._kube, self._findings, self._wanted, self._answers = kube, findings, wanted, answers
        self._clock, self._metrics, self._every = clock, metrics, every
        self._past: dict[str, Past] = {}
        self._refused: dict[str, float] = {}

    def gave_up(self, pod: PodFacts) -> bool:
        """Whether it is left alone because a new pod of its owner had no sidecar, either."""
        before = self._past.get(pod.owner.uid) if pod.owner is not None else None
        return before is not None and seconds(pod.created) >= before.at - 1.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.once()
            except KubeError as error:
                self._metrics.repairs.labels("failed").inc()
                logger.warning("%s; trying again in %.0f s", error, self._every)

    async def once(self) -> PodFacts | None:
        """Evict one pod if there is one to evict; which it was. Raises KubeError."""
        now = self._clock.now()
        self._past = {uid: past for uid, past in self._past.items() if now < past.at + GIVE_UP}
        self._refused = {uid: at for uid, at in self._refused.items() if now < at + REFUSED}
        missed = (item for known in self._findings.missed.values() for item in known)
        pod = choose(missed, self._wanted, self._past, self._refused, now)
        if pod is None or pod.owner is None:
            return None
        if not await self._answers():
            self._metrics.repairs.labels("waiting").inc()
            logger.warning("pod %s/%s has no sidecar; it is not evicted: no injector answers", pod.namespace, pod.name)
            return None
        try:
            await self._kube.evict(pod.namespace, pod.name, pod.uid)
        except (NotFound, Conflict):
            self._findings.forget(pod)
            return None
        except KubeError as error:
            self._refused[pod.uid] = now
            if error.status != 429:
                raise
            self._metrics.repairs.labels("refused").inc()
            logger.info("pod %s/%s has no sidecar; it may not be evicted now: %s", pod.namespace, pod.name, error)
            return None
        self._past[pod.owner.uid] = Past(now)
        self._findings.forget(pod)
        self._metrics.repairs.labels("evicted").inc()
        logger.info(
            "pod %s/%s had no sidecar: evicted, for its %s to make a new one", pod.namespace, pod.name, pod.owner.kind
        )
        return pod
