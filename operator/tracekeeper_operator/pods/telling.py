"""What is said of pods: in the status of each TracingConfig, and in metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ..metrics import ControllerMetrics
from ..plan import Assessed, Plan
from ..status import Condition, Reason
from ..teller import Section
from .counts import Attached, Counts, count, total
from .facts import PodFacts
from .findings import Findings
from .image_keeper import ImageKeeper
from .index import PodIndex
from .policies import Policies

SHOWN = 5
"""Pods that a message names."""
LEAST_PAUSE = 1.0
"""Seconds between two counts."""
TOLD_EVERY = 30.0
"""Seconds between two writes of a status in which only counts of pods are new: somebody may wait for a change to be in
force everywhere, while pods may come and go all the time."""
STATES = ("injected", "missed", "failed", "outdated", "current", "stale", "silent", "unscraped", "at_floor")
"""Labels of the metric: the fields of `Counts` but `matched`, which is a sum."""


class Sidecars(Protocol):
    """The control stream."""

    def pods(self) -> Mapping[str, Attached]:
        """Sidecars that are attached, by the UID of their pod."""


class Alone:
    """Where there is no control stream."""

    def pods(self) -> Mapping[str, Attached]:
        return {}


class PodTeller:
    """A source of statuses: see `teller`. It answers from memory."""

    conditions: tuple[str, ...] = ("Injected",)
    members: tuple[str, ...] = ("pods",)

    def __init__(
        self,
        index: PodIndex,
        findings: Findings,
        policies: Policies,
        images: ImageKeeper,
        metrics: ControllerMetrics,
        sidecars: Sidecars,
        advice: Callable[[PodFacts], str],
    ) -> None:
        self._index, self._findings, self._policies, self._images = index, findings, policies, images
        self._metrics, self._sidecars, self._advice = metrics, sidecars, advice
        """`advice` is what will be done, or is to be done, about a pod without a sidecar."""
        self._counted: dict[str, dict[str, Counts]] = {}
        """By namespace, then by the config's UID."""
        self._measured: set[str] = set()
        """Namespaces of which there are metrics."""
        self._changed = asyncio.Event()

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """None while not every pod has been looked at."""
        self._policies.take(plan)
        if not (self._index.synced and self._findings.complete):
            return None
        self._count(plan.namespace)
        counts = total(found[item.uid] for found in self._counted.values() if item.uid in found)
        return Section((self._condition(item, plan.namespace, counts),), {}, {"pods": counts.body()}, TOLD_EVERY)

    def changed(self) -> None:
        """Something is otherwise: count anew, once for all that changes at about the same time."""
        self._changed.set()

    async def run(self, every: float) -> None:
        """Until cancelled. What sidecars say changes without a change of any pod, so it is counted after so many
        seconds as well.
        """
        while True:
            self._changed.clear()
            await self.measure()
            # At least this long, so that a sweep that finds something in every namespace is followed by one count.
            await asyncio.sleep(min(LEAST_PAUSE, every))
            try:
                async with asyncio.timeout(every):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def measure(self) -> None:
        """Set the metrics by what is known now. It lets others work after each namespace: leading depends on that."""
        if not (self._index.synced and self._findings.complete):
            return
        for namespace in sorted(self._namespaces() | self._counted.keys() | self._measured):
            self._measure(namespace)
            await asyncio.sleep(0)

    def _namespaces(self) -> frozenset[str]:
        return self._index.namespaces() | self._findings.missed.keys() | self._findings.older.keys()

    def _measure(self, namespace: str) -> None:
        if namespace not in self._namespaces():
            self._counted.pop(namespace, None)
            if namespace in self._measured:
                self._measured.discard(namespace)
                for state in STATES:
                    self._metrics.pods.remove(namespace, state)
            return
        self._count(namespace)
        self._measured.add(namespace)
        found = total(self._counted[namespace].values())
        for state in STATES:
            self._metrics.pods.labels(namespace, state).set(getattr(found, state))

    def _count(self, namespace: str) -> None:
        injected = (*self._index.of(namespace), *self._findings.older.get(namespace, ()))
        missed = [each.pod for each in self._findings.missed.get(namespace, ())]
        self._policies.keep(namespace, {pod.uid for pod in (*injected, *missed)})
        self._counted[namespace] = count(
            injected,
            missed,
            config_of=self._policies.config_of,
            revision=self._policies.revision(namespace),
            attached=self._sidecars.pods(),
            failing=lambda pod: (pod.namespace, pod.name) in self._findings.failing,
            image=self._images.choose(namespace),
            newest=self._images.wanted,
        )

    def _condition(self, item: Assessed, namespace: str, counts: Counts) -> Condition:
        """The worst of what can be said."""
        trouble = self._images.images.trouble(self._images.wanted, namespace)
        if trouble is not None:
            instead = self._images.choose(namespace)
            reason = Reason.OLDER_IMAGE if instead else Reason.NO_IMAGE
            effect = f"new pods get {instead}" if instead else "new pods start without a sidecar"
            text = f"the sidecar's image {self._images.wanted} cannot be used ({trouble.message}); {effect}"
            return Condition("Injected", "False", reason, text)
        if counts.failed:
            return Condition("Injected", "False", Reason.SIDECARS_FAIL, self._failing(item, counts))
        if counts.missed:
            return Condition("Injected", "False", Reason.PODS_MISSED, self._missing(item, counts))
        if not counts.injected:
            text = "no pod that opted in has this config: see its selector, and the annotation tracekeeper.dev/inject"
            return Condition("Injected", "Unknown", Reason.NO_PODS, text)
        return Condition("Injected", "True", Reason.INJECTED, "every pod that opted in has a sidecar")

    def _failing(self, item: Assessed, counts: Counts) -> str:
        found = [
            (pod, self._findings.failing[pod.namespace, pod.name])
            for pod in self._index.all()
            if (pod.namespace, pod.name) in self._findings.failing and self._policies.config_of(pod) == item.uid
        ]
        names = _names(pod for pod, _ in found)
        why = "; ".join(sorted({f"{health.reason}: {health.message}"[:300] for _, health in found})[:3])
        return (
            f"in {_number(counts.failed)} ({names}) the sidecar does not run, which keeps them from starting or their "
            f"spans from being taken: {why}"
        )

    def _missing(self, item: Assessed, counts: Counts) -> str:
        found = [
            each.pod
            for known in self._findings.missed.values()
            for each in known
            if self._policies.config_of(each.pod) == item.uid
        ]
        advice = "; ".join(sorted({self._advice(pod) for pod in found})[:3])
        opted = "opted in and has no sidecar" if counts.missed == 1 else "opted in and have no sidecar"
        return f"{_number(counts.missed)} {opted} ({_names(found)}): {advice}"


def _number(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _names(pods: Iterable[PodFacts]) -> str:
    names = sorted(f"{pod.namespace}/{pod.name}" for pod in pods)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
