"""Evicts pods whose sidecar is attached and does not take the policy, so that their owners make new ones: where the
config says so.

Sidecars take a new policy by themselves, within a minute. One that has not for `BEHIND` is too old for a field of it,
or has not got it: a new pod has the present image, and the present policy. As with pods that missed theirs (`repair`),
it is an eviction, which keeps to PodDisruptionBudgets; here one pod in `EVERY` seconds in the whole cluster, while
namespaces take turns (`turns`): those that may not go, or would get no sidecar now, stop no others. The next
one of an owner goes when a new one of it works by the present policy, and if none does within an hour, then.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from ..clock import Clock
from ..kube import Kube
from ..metrics import ControllerMetrics
from .attempts import GIVE_UP
from .counts import Attached
from .evictions import Evictions, Outcome
from .facts import PodFacts
from .index import PodIndex
from .repair import owner_of, repairable, seconds
from .steps import steadily
from .turns import Turns

logger = logging.getLogger(__name__)

EVERY = 120.0
"""Seconds between two looks, and so between two evictions."""
BEHIND = 900.0
"""Seconds for which a sidecar has stood at the same older policy before its pod is evicted."""


@dataclass(frozen=True, slots=True)
class Lag:
    """A sidecar that works by an older policy than is published."""

    revision: int
    since: float
    """When it was first seen so; monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What was done for one owner."""

    at: float
    """When one of its pods was evicted last; monotonic seconds."""
    there: frozenset[str]
    """The UIDs of its pods then."""

    def goes_on(self, now: float, current: frozenset[str]) -> bool:
        """Whether another one may go, given its pods that work by the present policy."""
        return now >= self.at + GIVE_UP or not current <= self.there


def lagging(
    before: Mapping[str, Lag],
    pods: Iterable[PodFacts],
    attached: Mapping[str, Attached],
    newest: Mapping[str, int],
    now: float,
) -> dict[str, Lag]:
    """By the UID of their pod, sidecars that are attached and behind. One that has taken another policy meanwhile has
    only just fallen behind. `newest` is the published revision of each namespace.
    """
    found: dict[str, Lag] = {}
    for pod in pods:
        sidecar = attached.get(pod.uid)
        if pod.deleted or sidecar is None or sidecar.revision >= newest.get(pod.namespace, 0):
            continue
        old = before.get(pod.uid)
        found[pod.uid] = old if old is not None and old.revision == sidecar.revision else Lag(sidecar.revision, now)
    return found


class Renew:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        index: PodIndex,
        attached: Callable[[], Mapping[str, Attached]],
        revision: Callable[[str], int],
        wanted: Callable[[PodFacts], bool],
        answers: Callable[[str], Awaitable[bool]],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        every: float = EVERY,
    ) -> None:
        self._kube, self._index = kube, index
        self._attached, self._revision = attached, revision
        """Sidecars by the UID of their pod, and the policy that is published in a namespace."""
        self._wanted, self._answers = wanted, answers
        """Whether a pod's config asks for this; whether a new pod of that namespace would get a sidecar."""
        self._clock, self._metrics, self._every = clock, metrics, every
        self._lags: dict[str, Lag] = {}
        self._done: dict[str, Renewal] = {}
        """By the UID of the owner."""
        self._evictions = Evictions(kube, metrics)
        self._turns = Turns()

    async def run(self) -> None:
        await steadily(self._every, self.once, self._metrics.repairs.labels("failed"))

    async def once(self) -> PodFacts | None:
        """Look once, and evict one pod if there is one to evict; which it was. Raises KubeError."""
        now, pods = self._clock.monotonic(), list(self._index.all())
        newest = {namespace: self._revision(namespace) for namespace in self._index.namespaces()}
        attached = self._attached()
        self._lags = lagging(self._lags, pods, attached, newest, now)
        self._done = {uid: each for uid, each in self._done.items() if now < each.at + GIVE_UP}
        current = frozenset(uid for uid in attached if uid not in self._lags)
        pod = self._choose(pods, current, now)
        if pod is None:
            return None
        self._turns.taken(pod)
        if not await self._answers(pod.namespace):
            self._metrics.repairs.labels("waiting").inc()
            return None
        if not await self._evict(pod, now):
            return None
        owner = owner_of(pod)
        self._done[owner] = Renewal(now, frozenset(each.uid for each in pods if owner_of(each) == owner))
        return pod

    def _choose(self, pods: Collection[PodFacts], current: frozenset[str], now: float) -> PodFacts | None:
        """Of those that may be evicted, the oldest of whom it is the turn."""
        found, refused = [], self._evictions.refused(now)
        for pod in pods:
            lag, done = self._lags.get(pod.uid), self._done.get(owner_of(pod))
            if lag is None or now < lag.since + BEHIND or pod.uid in refused or not repairable(pod):
                continue
            if done is not None and not done.goes_on(now, current & self._siblings(pod)):
                continue
            if self._wanted(pod):
                found.append(pod)
        self._turns.keep(pod for pod in pods if pod.uid in self._lags)
        return min(found, key=lambda pod: (self._turns.rank(pod), seconds(pod.created), pod.uid), default=None)

    def _siblings(self, pod: PodFacts) -> frozenset[str]:
        owner = owner_of(pod)
        return frozenset(each.uid for each in self._index.of(pod.namespace) if owner_of(each) == owner)

    async def _evict(self, pod: PodFacts, now: float) -> bool:
        """Whether it was. Raises KubeError."""
        outcome = await self._evictions.evict(pod, now, "is on an old policy")
        if outcome is Outcome.EVICTED:
            logger.info(
                "the sidecar of pod %s/%s stays on an old policy (revision %d): evicted, for its owner to make a new "
                "one",
                pod.namespace,
                pod.name,
                self._lags[pod.uid].revision,
            )
        return outcome is Outcome.EVICTED
