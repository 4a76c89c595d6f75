"""All that looks after pods, put together for the controller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from tracekeeper_spec.config import ImageUpdate, Repair
from tracekeeper_spec.config import Sidecar as SidecarSection
from tracekeeper_spec.resolve import resolve

from ..clock import Clock
from ..kube import Kube, Object
from ..metrics import ControllerMetrics
from ..plan import Plan
from ..preflight import Preflight
from ..watch import Watch
from .facts import PodFacts
from .findings import Findings, Key
from .health import Health
from .image_keeper import ImageKeeper
from .index import INJECTED, PodIndex
from .options import PodOptions
from .repair import Repair as Repairer
from .repair import repairable
from .sweep import Judge, Sweep
from .telling import PodTeller, Sidecars
from .update import Update

MEASURE_EVERY = 30.0


class PodService:
    """Owns the index of injected pods, what was found about pods, and what is done about that."""

    def __init__(
        self,
        kube: Kube,
        options: PodOptions,
        judge: Judge,
        sidecars: Sidecars,
        answers: Callable[[], Awaitable[bool]],
        retell: Callable[[str], None],
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> None:
        self._kube, self._options, self._clock = kube, options, clock
        self._retell = retell
        self.index = PodIndex()
        self._findings = Findings()
        self._images = ImageKeeper(kube, options.namespace, options.image, clock, metrics)
        self.teller = PodTeller(self.index, self._findings, self._images, metrics, sidecars, self._advice)
        self._watch = Watch(kube, INJECTED, self.index, clock)
        self._sweep = Sweep(
            kube,
            self.index,
            self._findings,
            judge,
            clock,
            metrics,
            excluded=options.excluded | {options.namespace},
            period=options.period,
            on_health=self._seen,
        )
        self._sweep.on_finding(self._changed)
        self.index.on_change(lambda pod: self._retell(pod.namespace))
        self._images.on_change(self._image_changed)
        self._repair = Repairer(kube, self._findings, self._wants_repair, answers, clock, metrics)
        self._update = Update(kube, self.index, self._findings, self._wants_update, self._images.choose, clock, metrics)
        self._preflight = Preflight(
            kube,
            options.namespace,
            self._images,
            clock,
            metrics,
            pull_policy=options.pull_policy,
            pull_secrets=options.pull_secrets,
        )

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """To be run together, each until cancelled."""
        found = {"pods": self._watch.run(), "sweep": self._sweep.run(), "counts": self.teller.run(MEASURE_EVERY)}
        if self._options.image:
            found |= {"images": self._images.run(), "preflight": self._preflight.run()}
            if self._options.updates:
                found["updates"] = self._update.run()
        if self._options.eviction:
            found["repair"] = self._repair.run()
        return found

    async def sweep_once(self) -> None:
        """Look at all pods now. Raises KubeError."""
        await self._sweep.once()

    async def load_images(self) -> None:
        """Read what was known of images before. Raises KubeError."""
        await self._images.load()

    def planned(self, plan: Plan) -> None:
        """A namespace's policy is now this."""
        self.teller.take(plan)

    def _seen(self, key: Key, health: Health | None) -> None:
        pod = self.index.get(*key)
        if self._options.image and pod is not None:
            self._images.seen(key, health, own_image=pod.own_image)

    def _changed(self, namespace: str) -> None:
        self.teller.measure()
        self._retell(namespace)

    def _image_changed(self, namespace: str | None) -> None:
        self.teller.measure()
        everywhere: Iterable[str] = self.index.namespaces() | self._findings.missed.keys()
        for each in [namespace] if namespace is not None else everywhere:
            self._retell(each)

    def _section(self, pod: PodFacts) -> SidecarSection | None:
        """The section `sidecar` of the config that the pod has, or would have."""
        document = self.teller.document(pod.namespace)
        entry = document.pick(pod.labels, pod.annotations) if document is not None else None
        if entry is None:
            return None
        spec, faults = entry.parse_whole()
        return None if faults else resolve(spec).sidecar

    def _wants_repair(self, pod: PodFacts) -> bool:
        section = self._section(pod)
        return section is not None and section.repair is Repair.EVICT

    def _wants_update(self, pod: PodFacts) -> bool:
        section = self._section(pod)
        return section is not None and section.image_update is ImageUpdate.IN_PLACE

    def _advice(self, pod: PodFacts) -> str:
        """What will be done about a pod without a sidecar, or is to be done."""
        if not repairable(pod):
            return "make those anew that no Deployment, StatefulSet or DaemonSet makes"
        if not self._wants_repair(pod):
            return "restart them (kubectl rollout restart), or let sidecar.repair say Evict"
        if not self._options.eviction:
            return "sidecar.repair says Evict, but the chart does not allow it (sidecar.repair.enabled): restart them"
        if self._repair.gave_up(pod):
            return (
                "one was evicted, and the new one has no sidecar, either: look at the injector's log; tried again later"
            )
        return "they are evicted, one at a time, as far as PodDisruptionBudgets let them go"


def judge_by(decide: Callable[[Object, str, bool], bool]) -> Judge:
    """A judge that takes what it cannot judge for missed, so that it is seen."""

    def judge(pod: Object, namespace: str, by_namespace: bool) -> bool:
        try:
            return decide(pod, namespace, by_namespace)
        except Exception:  # whatever the injector's code raises, a sweep goes on
            return True

    return judge
