"""Gives sidecars another image in place, a few at a time: the kubelet restarts that container and no other.

Where the config wants it, those with an older image get that of this release. And wherever it is allowed at all, one
whose image cannot be pulled gets one that can, because until then its application does not start.

One that does not run with its new image stops all further updates to that image. The choice is pure (`choose`);
`Update` carries it out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from .. import names
from ..clock import Clock
from ..errors import KubeError, NotFound, Rejected
from ..kinds import PODS
from ..kube import Kube, Object
from ..metrics import ControllerMetrics
from .counts import outdated
from .facts import PodFacts
from .findings import Findings
from .health import Health, health
from .index import PodIndex

logger = logging.getLogger(__name__)

EVERY = 5.0
AFTER_FAILURE = 30.0
AT_ONCE = 3
"""Pods whose sidecar is restarting for its new image."""
WITHIN = 180.0
"""Seconds in which a sidecar is to run with its new image."""


@dataclass(frozen=True, slots=True)
class Step:
    """One sidecar and its new image."""

    pod: PodFacts
    image: str
    container: str = ""
    """The ID of the sidecar's container before."""


def choose(
    pods: Iterable[PodFacts],
    wanted: Callable[[PodFacts], bool],
    image: Callable[[str], str | None],
    stuck: Callable[[PodFacts], bool],
    busy: Iterable[PodFacts],
    stopped: frozenset[str],
) -> list[Step]:
    """What to do now, those that are stuck first. `image` is the one for a namespace; `busy` pods are being updated, of
    each owner one at a time; `stopped` images are not given to any other pod.
    """
    owners = {pod.owner.uid for pod in busy if pod.owner is not None}
    names_of_busy = {pod.uid for pod in busy}
    room = AT_ONCE - len(names_of_busy)
    found: list[Step] = []
    for pod in sorted(pods, key=lambda pod: (not stuck(pod), pod.created, pod.uid)):
        if len(found) >= room:
            break
        new = image(pod.namespace)
        if new is None or new in stopped or pod.deleted or not outdated(pod, new) or pod.uid in names_of_busy:
            continue
        if not (stuck(pod) or wanted(pod)) or (pod.owner is not None and pod.owner.uid in owners):
            continue
        found.append(Step(pod, new))
        if pod.owner is not None:
            owners.add(pod.owner.uid)
    return found


class Update:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        index: PodIndex,
        findings: Findings,
        wanted: Callable[[PodFacts], bool],
        image: Callable[[str], str | None],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        every: float = EVERY,
    ) -> None:
        self._kube, self._index, self._findings = kube, index, findings
        self._wanted, self._image = wanted, image
        self._clock, self._metrics, self._every = clock, metrics, every
        self._busy: dict[str, tuple[Step, float]] = {}
        """By a pod's UID, what it was given, and when; monotonic seconds."""
        self._stopped: set[str] = set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.once()
            except KubeError as error:
                self._metrics.updates.labels("failed").inc()
                logger.warning("%s; trying again in %.0f s", error, AFTER_FAILURE)
                await asyncio.sleep(AFTER_FAILURE)

    async def once(self) -> None:
        """See how those fare that were updated, then take the next. Raises KubeError."""
        for step, since in list(self._busy.values()):
            await self._look(step, since)
        steps = choose(
            self._index.all(),
            self._wanted,
            self._image,
            self._stuck,
            [step.pod for step, _ in self._busy.values()],
            frozenset(self._stopped),
        )
        for step in steps:
            await self._give(step)

    def _stuck(self, pod: PodFacts) -> bool:
        found = self._findings.failing.get((pod.namespace, pod.name))
        return found is not None and found.unpullable

    async def _look(self, step: Step, since: float) -> None:
        found = await self._health(step.pod)
        if found is None or found.image != step.image:
            del self._busy[step.pod.uid]
        elif found.running and found.container != step.container:
            del self._busy[step.pod.uid]
            self._metrics.updates.labels("done").inc()
        elif self._clock.monotonic() - since > WITHIN:
            del self._busy[step.pod.uid]
            self._stopped.add(step.image)
            self._metrics.updates.labels("stuck").inc()
            logger.error(
                "the sidecar of pod %s/%s does not run with %s (%s): no other one gets it in place any more, until the "
                "controller is restarted",
                step.pod.namespace,
                step.pod.name,
                step.image,
                found.reason or "it has not started",
            )

    async def _give(self, step: Step) -> None:
        found = await self._health(step.pod)
        if found is None or found.image == step.image:
            return
        try:
            await self._kube.json_patch(PODS, step.pod.namespace, step.pod.name, patch(step, found))
        except NotFound:
            return
        except Rejected as error:
            logger.warning("%s; its sidecar stays as it is for now", error)
            self._metrics.updates.labels("refused").inc()
            return
        self._busy[step.pod.uid] = (replace(step, container=found.container), self._clock.monotonic())
        logger.info(
            "the sidecar of pod %s/%s gets %s in place of %s",
            step.pod.namespace,
            step.pod.name,
            step.image,
            found.image,
        )

    async def _health(self, pod: PodFacts) -> Health | None:
        """None when that pod is gone. Raises KubeError."""
        try:
            found = await self._kube.get(PODS, pod.namespace, pod.name)
        except NotFound:
            return None
        meta = found.get("metadata") or {}
        return health(found) if meta.get("uid") == pod.uid and not meta.get("deletionTimestamp") else None


def patch(step: Step, found: Health) -> list[Object]:
    """Of the pod as it was seen, and no other: its sidecar's image, and the annotation that tells of it."""
    annotation = names.SIDECAR_IMAGE.replace("~", "~0").replace("/", "~1")
    return [
        {"op": "test", "path": "/metadata/uid", "value": step.pod.uid},
        {"op": "test", "path": f"{found.path}/name", "value": names.SIDECAR},
        {"op": "test", "path": f"{found.path}/image", "value": found.image},
        {"op": "add", "path": f"{found.path}/image", "value": step.image},
        {"op": "add", "path": f"/metadata/annotations/{annotation}", "value": step.image},
    ]
