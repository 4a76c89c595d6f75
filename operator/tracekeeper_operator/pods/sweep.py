"""Finds pods that opted in and have no sidecar, and those whose sidecar does not run.

Slow, in pages, and by level: each sweep looks at what is there, and nothing depends on having seen how it came so.
No pod is watched but ours (`index`). Of all other pods a sweep reads the metadata, and the whole of those only that
opted in: whether the injector would have left them alone is judged by the injector's own code.

Between two sweeps, new injected pods are looked at once they are there: a sidecar that cannot start keeps its
application from starting, which should not take minutes to be seen.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from .. import names
from ..backoff import Backoff
from ..clock import Clock
from ..errors import KubeError, NotFound
from ..kinds import NAMESPACES, PODS
from ..kube import Kube, Only
from ..metrics import ControllerMetrics
from .facts import PodFacts, read
from .findings import Findings, Key, Missed, opted_in
from .findings import missed as as_missed
from .health import Health, health
from .index import ALIVE, PodIndex
from .judge import Judge

logger = logging.getLogger(__name__)

WITHOUT = Only(labels=f"{names.INJECTED}!=true", fields=ALIVE, metadata=True)
WITHOUT_WHOLE = Only(labels=f"{names.INJECTED}!=true", fields=ALIVE)
WITH_WHOLE = Only(labels=f"{names.INJECTED}=true", fields=ALIVE)
STARTING = Only(labels=f"{names.INJECTED}=true", fields="status.phase=Pending")
OPTED_IN = Only(labels=f"{names.INJECT}=true", metadata=True)
WHOLE_PAGE = 50
"""Whole pods in one answer: some 20 KB each."""
GATHER = 3.0
"""Seconds between two looks at pods that are starting."""
RECHECKED = 20
"""Pods whose sidecar failed that are looked at one by one; the others wait for the next sweep."""
REMEMBERED = 3600.0
"""Seconds for which a pod stays judged: what is judged of it does not change, but TracingConfigs do."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a look at the whole of a pod without our label has shown."""

    at: float
    """Monotonic seconds."""
    namespace: str = ""
    missed: bool = False
    older: PodFacts | None = None
    """Set when it has a sidecar, from an operator that did not label pods."""


class Sweep:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        index: PodIndex,
        findings: Findings,
        judge: Judge,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        excluded: frozenset[str] = frozenset(),
        period: float = 300.0,
        gather: float = GATHER,
        on_health: Callable[[Key, Health | None], None] = lambda key, health: None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._kube, self._index, self._findings, self._judge = kube, index, findings, judge
        self._clock, self._metrics, self._uniform = clock, metrics, uniform
        self._on_health = on_health
        """Told of every injected pod that is looked at."""
        self._excluded, self._period, self._gather = excluded, period, gather
        self._judged: dict[str, _Verdict] = {}
        """By a pod's UID."""
        self._starting = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []
        index.on_change(self._changed)

    def on_finding(self, callback: Callable[[str], None]) -> None:
        """Also call this with a namespace when what was found there is another."""
        self._listeners.append(callback)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            backoff = Backoff(first=5.0, most=60.0)
            while True:
                wait = self._period * self._uniform(0.9, 1.1)
                try:
                    await self.once()
                    backoff.reset()
                    self._metrics.sweeps.labels("ok").inc()
                    self._metrics.swept.set(self._clock.now())
                except KubeError as error:
                    self._metrics.sweeps.labels("error").inc()
                    wait = min(wait, backoff.next(error.retry_after))
                    logger.warning("%s; what was found of pods before stays; sweeping again in %.1f s", error, wait)
                await asyncio.sleep(wait)

    async def once(self) -> None:
        """Look at every pod. Raises KubeError; what was found before then stays."""
        before = self._findings.keys()
        opted = await self._opted()
        candidates = await self._candidates(opted)
        await self._judge_new(candidates)
        self._judged = {uid: verdict for uid, verdict in self._judged.items() if uid in candidates}
        judged = [(item, self._judged[uid]) for uid, item in candidates.items() if uid in self._judged]
        self._findings.take(
            [item for item, verdict in judged if verdict.missed],
            [verdict.older for _, verdict in judged if verdict.older is not None],
        )
        await self._healths(WITH_WHOLE)
        self._findings.keep((pod.namespace, pod.name) for pod in self._index.all())
        self._findings.complete = True
        after = self._findings.keys()
        for namespace in sorted(before.keys() | after.keys()):
            if before.get(namespace) != after.get(namespace):
                self._tell(namespace)

    async def _opted(self) -> frozenset[str]:
        """Namespaces that opted in for their pods."""
        listing = await self._kube.list(NAMESPACES, None, OPTED_IN)
        return frozenset(str(_meta(item).get("name")) for item in listing.items)

    async def _candidates(self, opted: frozenset[str]) -> dict[str, Missed]:
        """Pods that opted in and have no sidecar, by UID."""
        found: dict[str, Missed] = {}
        async with aclosing(self._kube.pages(PODS, None, WITHOUT)) as pages:
            async for page in pages:
                for item in page.items:
                    if _meta(item).get("namespace") in self._excluded:
                        continue
                    by_namespace = opted_in(item, opted)
                    if by_namespace is not None:
                        each = as_missed(item, by_namespace=by_namespace)
                        found[each.pod.uid] = each
        return found

    async def _judge_new(self, candidates: Mapping[str, Missed]) -> None:
        """Look at the whole of those that are new, or were judged long ago."""
        now = self._clock.monotonic()
        never = _Verdict(float("-inf"))
        due = {uid: each for uid, each in candidates.items() if self._judged.get(uid, never).at <= now - REMEMBERED}
        for namespace in sorted({item.pod.namespace for item in due.values()}):
            judge = await self._judge.of(namespace)
            async with aclosing(self._kube.pages(PODS, namespace, WITHOUT_WHOLE, size=WHOLE_PAGE)) as pages:
                async for page in pages:
                    for pod in page.items:
                        item = due.get(str(_meta(pod).get("uid")))
                        if item is not None:
                            older = _older(pod)
                            missed = older is None and judge(pod, item.by_namespace)
                            self._judged[item.pod.uid] = _Verdict(now, namespace, missed, older)

    async def _healths(self, only: Only) -> set[Key]:
        """How the sidecars of injected pods fare; which were looked at."""
        seen: set[Key] = set()
        async with aclosing(self._kube.pages(PODS, None, only, size=WHOLE_PAGE)) as pages:
            async for page in pages:
                for pod in page.items:
                    meta = _meta(pod)
                    key = (str(meta.get("namespace")), str(meta.get("name")))
                    seen.add(key)
                    self.note(key, health(pod))
        return seen

    def rejudge(self, namespace: str | None) -> None:
        """What injection goes by is another, in a namespace or everywhere (None): judge anew with the next sweep."""
        self._judged = {uid: each for uid, each in self._judged.items() if namespace not in (None, each.namespace)}

    def note(self, key: Key, found: Health | None) -> None:
        """That is how the sidecar of one pod fares; None when it has none any more."""
        self._on_health(key, found)
        if self._findings.note(key, found):
            self._tell(key[0])

    def _changed(self, pod: PodFacts) -> None:
        if self._index.get(pod.namespace, pod.name) is None:
            self.note((pod.namespace, pod.name), None)
        else:
            self._starting.set()

    async def _look(self) -> None:
        """Pods that are starting, when one of ours is new or has changed."""
        while True:
            await self._starting.wait()
            # First the pause, so that what comes in the meantime is seen by this look.
            await asyncio.sleep(self._gather)
            self._starting.clear()
            try:
                seen = await self._healths(STARTING)
                # One that failed to start may run by now.
                for namespace, name in list(self._findings.failing.keys() - seen)[:RECHECKED]:
                    await self._recheck(namespace, name)
            except KubeError as error:
                logger.warning("%s; pods that are starting are looked at again with the next change", error)

    async def _recheck(self, namespace: str, name: str) -> None:
        try:
            pod = await self._kube.get(PODS, namespace, name)
        except NotFound:
            self.note((namespace, name), None)
        else:
            self.note((namespace, name), health(pod))

    def _tell(self, namespace: str) -> None:
        for listener in self._listeners:
            listener(namespace)


def _older(pod: Mapping[str, Any]) -> PodFacts | None:
    """Set when a pod without our label has our container: operators up to 0.1 wrote no label, and no image."""
    found = health(pod)
    if found is None:
        return None
    facts = read(pod)
    return replace(facts, image=facts.image or found.image)


def _meta(item: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = item.get("metadata")
    return meta if isinstance(meta, Mapping) else {}
