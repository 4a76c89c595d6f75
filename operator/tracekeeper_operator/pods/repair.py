"""Evicts pods that opted in and have no sidecar, so that their owners make new ones: where the config says so.

Eviction, not deletion, because the API server then keeps to PodDisruptionBudgets. One pod in `EVERY` seconds in the
whole cluster, and only while the injector answers: without it, the new pod would be as the old one. Should the new one
have no sidecar all the same, its owner is left alone for an hour (`attempts`), so that nothing is evicted forever.

The choice is pure (`choose`); `Repair` carries it out, and looks once more before it evicts: a sweep is minutes old.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime

from ..clock import Clock
from ..kinds import PODS
from ..kube import Kube
from ..metrics import ControllerMetrics
from .attempts import Attempt, attempted
from .evictions import REFUSED, Evictions, Outcome
from .facts import PodFacts, read
from .findings import Findings, Missed
from .index import PodIndex
from .steps import steadily
from .sweep import WITHOUT
from .turns import Turns

logger = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two evictions."""
YOUNG = 60.0
"""Seconds of a pod's life in which it is left alone: the injector may have been away for a moment only."""
OWNERS = frozenset({("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet")})
"""Who makes a new pod for one that is evicted. A Job counts it as a failure, and for a bare pod nobody does."""


def repairable(pod: PodFacts) -> bool:
    """Whether somebody would make a new one."""
    return pod.owner is not None and (pod.owner.group, pod.owner.kind) in OWNERS


def choose(
    missed: Iterable[Missed],
    wanted: Callable[[PodFacts], bool],
    attempts: Mapping[str, Attempt],
    with_one: Callable[[PodFacts], frozenset[str]],
    refused: Mapping[str, float],
    now: float,
    rank: Callable[[PodFacts], tuple[int, ...]] = lambda pod: (),
) -> Missed | None:
    """The pod to evict now, of those whose config wants that: the one of the lowest `rank`, and of these the oldest.
    None if there is none.

    `attempts` is by the UID of the owner; `with_one` tells the UIDs of the pods with a sidecar that the owner of a pod
    has, and `refused` when the eviction of a pod, by UID, was refused; Unix time.
    """
    found: list[tuple[tuple[int, ...], float, str, Missed]] = []
    items = [item for item in missed if repairable(item.pod)]
    bare = by_owner(item.pod for item in items)
    for item in items:
        pod, uid = item.pod, owner_of(item.pod)
        attempt = attempts.get(uid)
        if attempt is not None and not attempt.over(now) and not attempt.seen(bare[uid]).goes_on(with_one(pod)):
            continue
        created = seconds(pod.created)
        if now < created + YOUNG or now < refused.get(pod.uid, float("-inf")) + REFUSED:
            continue
        if not pod.deleted and wanted(pod):
            found.append((rank(pod), created, pod.uid, item))
    return min(found, key=lambda each: each[:3])[3] if found else None


def by_owner(pods: Iterable[PodFacts]) -> dict[str, set[str]]:
    """The UIDs of pods by that of their owner."""
    found: dict[str, set[str]] = {}
    for pod in pods:
        found.setdefault(owner_of(pod), set()).add(pod.uid)
    return found


def owner_of(pod: PodFacts) -> str:
    """The UID of its owner; empty if it has none."""
    return pod.owner.uid if pod.owner is not None else ""


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
        index: PodIndex,
        findings: Findings,
        wanted: Callable[[PodFacts], bool],
        helps: Callable[[Missed], Awaitable[bool]],
        answers: Callable[[], Awaitable[bool]],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        every: float = EVERY,
    ) -> None:
        self._kube, self._index, self._findings = kube, index, findings
        self._wanted, self._helps, self._answers = wanted, helps, answers
        """`helps` says whether a pod would get a sidecar if it were made now; `answers`, whether an injector does."""
        self._clock, self._metrics, self._every = clock, metrics, every
        self._attempts: dict[str, Attempt] = {}
        """By the UID of the owner."""
        self._evictions = Evictions(kube, metrics)
        self._turns = Turns()

    def gave_up(self, pod: PodFacts) -> bool:
        """Whether it is left alone because a new pod of its owner had no sidecar, either."""
        attempt = self._attempts.get(owner_of(pod))
        return attempt is not None and attempt.seen({pod.uid}).in_vain

    async def run(self) -> None:
        await steadily(self._every, self.once, self._metrics.repairs.labels("failed"))

    async def once(self) -> PodFacts | None:
        """Evict one pod if there is one to evict; which it was. Raises KubeError."""
        now = self._clock.now()
        self._attempts = {uid: each for uid, each in self._attempts.items() if not each.over(now)}
        refused = self._evictions.refused(now)
        missed = [item for known in self._findings.missed.values() for item in known]
        self._turns.keep(item.pod for item in missed)
        item = choose(missed, self._wanted, self._attempts, self._with_one, refused, now, self._turns.rank)
        if item is None:
            return None
        pod = item.pod
        if not await self._answers():
            self._metrics.repairs.labels("waiting").inc()
            logger.warning("pod %s/%s has no sidecar; it is not evicted: no injector answers", pod.namespace, pod.name)
            return None
        self._turns.taken(pod)
        bare, with_one = await self._bare(pod), self._with_one(pod)
        if self._gives_up(pod, bare):
            return None
        if pod.uid not in bare or not await self._helps(item):
            self._findings.forget(pod)
            return None
        if not await self._evict(pod, now):
            return None
        uid = owner_of(pod)
        self._attempts[uid] = attempted(self._attempts.get(uid), now, bare, with_one)
        return pod

    async def _evict(self, pod: PodFacts, now: float) -> bool:
        """Whether it was. Raises KubeError."""
        outcome = await self._evictions.evict(pod, now, "has no sidecar")
        if outcome is not Outcome.REFUSED:
            self._findings.forget(pod)
        if outcome is Outcome.EVICTED:
            logger.info("pod %s/%s had no sidecar: evicted, for its owner to make a new one", pod.namespace, pod.name)
        return outcome is Outcome.EVICTED

    def _gives_up(self, pod: PodFacts, bare: frozenset[str]) -> bool:
        """Whether what was done for its owner before has been in vain."""
        uid = owner_of(pod)
        attempt = self._attempts.get(uid)
        if attempt is None:
            return False
        self._attempts[uid] = attempt = attempt.seen(bare)
        if attempt.in_vain:
            logger.warning(
                "pod %s/%s has no sidecar, and stays: another pod of its owner was evicted, and the new one has none, "
                "either; see the injector's log. Trying again in an hour",
                pod.namespace,
                pod.name,
            )
        return attempt.in_vain

    def _with_one(self, pod: PodFacts) -> frozenset[str]:
        """The pods of its owner that have a sidecar."""
        owner = owner_of(pod)
        return frozenset(each.uid for each in self._index.of(pod.namespace) if owner_of(each) == owner)

    async def _bare(self, pod: PodFacts) -> frozenset[str]:
        """The pods of its owner that have none, as they are now. Raises KubeError."""
        owner, found = owner_of(pod), set[str]()
        async with aclosing(self._kube.pages(PODS, pod.namespace, WITHOUT)) as pages:
            async for page in pages:
                there = map(read, page.items)
                found |= {each.uid for each in there if owner_of(each) == owner and not each.deleted}
        return frozenset(found)
