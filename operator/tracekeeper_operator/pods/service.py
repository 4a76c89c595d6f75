"""All that looks after pods, put together for the controller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from tracekeeper_spec.config import ImageUpdate, Repair

from ..clock import Clock
from ..events import Notice
from ..kube import Kube
from ..metrics import ControllerMetrics
from ..plan import Plan
from ..preflight import Preflight
from ..watch import Watch
from .facts import PodFacts
from .findings import Findings, Key, Missed
from .health import Health
from .image_keeper import ImageKeeper
from .index import INJECTED, PodIndex
from .judge import Decide, Judge
from .options import PodOptions
from .policies import Policies
from .renew import Renew
from .repair import Repair as Repairer
from .repair import repairable
from .sweep import Sweep
from .telling import PodTeller, Sidecars
from .unpulled import Unpulled
from .update import Update

MEASURE_EVERY = 30.0


class PodService:
    """Owns the index of injected pods, what was found about pods, and what is done about that."""

    def __init__(
        self,
        kube: Kube,
        options: PodOptions,
        decide: Decide,
        sidecars: Sidecars,
        answers: Callable[[], Awaitable[bool]],
        retell: Callable[[str], None],
        notify: Callable[[Notice], None],
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> None:
        self._kube, self._options, self._clock = kube, options, clock
        self._retell = retell
        self._findings = Findings()
        self.index = PodIndex(self._findings.may_have_older)
        self._images = ImageKeeper(kube, options.namespace, options.image, clock, metrics)
        self._unpulled = Unpulled(notify, self._images.choose, options.updates, clock)
        self._policies = Policies()
        self.teller = PodTeller(
            self.index, self._findings, self._policies, self._images, metrics, sidecars, self._advice
        )
        self._watch = Watch(kube, INJECTED, self.index, clock)
        self._judge = Judge(kube, decide)
        self._sweep = Sweep(
            kube,
            self.index,
            self._findings,
            self._judge,
            clock,
            metrics,
            excluded=options.excluded | {options.namespace},
            period=options.period,
            on_health=self._seen,
        )
        self._sweep.on_finding(self._changed)
        self.index.on_change(lambda pod: self._retell(pod.namespace))
        self._images.on_change(self._image_changed)
        self._repair = Repairer(
            kube, self.index, self._findings, self._wants_repair, self._helps, answers, clock, metrics
        )
        self._renew = Renew(
            kube,
            self.index,
            sidecars.pods,
            self._policies.revision,
            self._wants_repair,
            lambda namespace: self._gets_one(answers, namespace),
            clock,
            metrics,
        )
        self._update = Update(
            kube,
            self.index,
            self._findings,
            self._wants_update,
            self._image_to_give,
            options.image,
            clock,
            metrics,
            on_health=self._sweep.note,
        )
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
            found |= {"repair": self._repair.run(), "renewal": self._renew.run()}
        return found

    async def sweep_once(self) -> None:
        """Look at all pods now. Raises KubeError."""
        await self._sweep.once()

    async def load_images(self) -> None:
        """Read what was known of images before. Raises KubeError."""
        await self._images.load()

    def planned(self, plan: Plan) -> None:
        """A namespace's policy is now this, or will be once it is written."""
        self._policies.take(plan)

    def published(self, plan: Plan) -> None:
        """It has been written."""
        self._policies.published(plan)

    def config_of(self, pod: PodFacts) -> str:
        """The UID of the config that a pod has; empty if there is none."""
        return self._policies.config_of(pod)

    def image(self, namespace: str) -> str | None:
        """The image that a pod there would get now; None for none, and where nothing is done about images."""
        return self._images.choose(namespace)

    def _image_to_give(self, namespace: str) -> str | None:
        """None as well before what was known of images is known again: the image may be a bad one."""
        return self._images.choose(namespace) if self._images.loaded.is_set() else None

    def _seen(self, key: Key, health: Health | None) -> None:
        pod = self.index.get(*key)
        if self._options.image and pod is not None:
            self._images.seen(key, health, own_image=pod.own_image)
            if health is not None:
                self._unpulled.seen(pod, health)

    def _changed(self, namespace: str) -> None:
        self.teller.changed()
        self._retell(namespace)

    def _image_changed(self, namespace: str | None) -> None:
        self._sweep.rejudge(namespace)
        self.teller.changed()
        everywhere: Iterable[str] = self.index.namespaces() | self._findings.missed.keys()
        for each in [namespace] if namespace is not None else everywhere:
            self._retell(each)

    async def _helps(self, item: Missed) -> bool:
        """Whether a pod would get a sidecar if it were made now. Raises KubeError."""
        helps = await self._judge.once(item)
        if not helps:
            # The others there that were taken for missed are in the way of those that can be helped.
            self._sweep.rejudge(item.pod.namespace)
        return helps

    async def _gets_one(self, answers: Callable[[], Awaitable[bool]], namespace: str) -> bool:
        """Whether a new pod there would get a sidecar, as far as that does not depend on the pod."""
        return await answers() and not (self._options.image and self._images.choose(namespace) is None)

    def _wants_repair(self, pod: PodFacts) -> bool:
        section = self._policies.section_of(pod)
        return section is not None and section.repair is Repair.EVICT

    def _wants_update(self, pod: PodFacts) -> bool:
        section = self._policies.section_of(pod)
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
