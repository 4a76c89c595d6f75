"""What is said of pods: in the status of each TracingConfig, and in metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from tracekeeper_spec.policy import PolicyDocument

from ..metrics import ControllerMetrics
from ..plan import Assessed, Plan
from ..status import Condition, Reason
from ..teller import Section
from .counts import Attached, Counts, count, total
from .facts import PodFacts
from .findings import Findings
from .image_keeper import ImageKeeper
from .index import PodIndex

SHOWN = 5
"""Pods that a message names."""
STATES = ("injected", "missed", "failed", "outdated", "current", "stale", "silent")
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
        images: ImageKeeper,
        metrics: ControllerMetrics,
        sidecars: Sidecars,
        advice: Callable[[PodFacts], str],
    ) -> None:
        self._index, self._findings, self._images = index, findings, images
        self._metrics, self._sidecars, self._advice = metrics, sidecars, advice
        """`advice` is what will be done, or is to be done, about a pod without a sidecar."""
        self._documents: dict[str, PolicyDocument] = {}
        self._counted: dict[str, dict[str, Counts]] = {}
        """By namespace, then by the config's UID."""

    def take(self, plan: Plan) -> None:
        """A namespace's policy is now this."""
        if plan.document.configs or plan.document.revision:
            self._documents[plan.namespace] = plan.document
        else:
            self._documents.pop(plan.namespace, None)

    def document(self, namespace: str) -> PolicyDocument | None:
        """The namespace's policy, as it was planned last."""
        return self._documents.get(namespace)

    def config_of(self, pod: PodFacts) -> str:
        """The UID of the config that a pod has, or would have; empty if there is none."""
        document = self._documents.get(pod.namespace)
        entry = document.pick(pod.labels, pod.annotations) if document is not None else None
        return entry.uid if entry is not None else ""

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """None while not every pod has been looked at."""
        self.take(plan)
        if not (self._index.synced and self._findings.complete):
            return None
        self._count(plan.namespace)
        counts = total(found[item.uid] for found in self._counted.values() if item.uid in found)
        return Section((self._condition(item, plan.namespace, counts),), {}, {"pods": counts.body()})

    async def run(self, every: float) -> None:
        """Until cancelled: what sidecars say changes without a change of any pod."""
        while True:
            self.measure()
            await asyncio.sleep(every)

    def measure(self) -> None:
        """Set the metrics by what is known now."""
        if not (self._index.synced and self._findings.complete):
            return
        namespaces = self._index.namespaces() | self._findings.missed.keys()
        for namespace in (self._counted.keys() | namespaces) - namespaces:
            del self._counted[namespace]
        self._metrics.pods.clear()
        for namespace in namespaces:
            self._count(namespace)
            found = total(self._counted[namespace].values())
            for state in STATES:
                self._metrics.pods.labels(namespace, state).set(getattr(found, state))

    def _count(self, namespace: str) -> None:
        document = self._documents.get(namespace)
        self._counted[namespace] = count(
            self._index.of(namespace),
            (each.pod for each in self._findings.missed.get(namespace, ())),
            config_of=self.config_of,
            revision=document.revision if document is not None else 0,
            attached=self._sidecars.pods(),
            failing=lambda pod: (pod.namespace, pod.name) in self._findings.failing,
            image=self._images.choose(namespace),
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
            if (pod.namespace, pod.name) in self._findings.failing and self.config_of(pod) == item.uid
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
            if self.config_of(each.pod) == item.uid
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
