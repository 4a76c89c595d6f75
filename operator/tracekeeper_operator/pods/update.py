"""Gives sidecars another image in place, a few at a time: the kubelet restarts that container and no other.

Where the config wants it, those that run with another image get that of this release, and nothing else: one that new
pods get for the time being is not for them. And wherever it is allowed at all, one whose image cannot be pulled gets
one that can, whichever that is, because until then its application does not start.

One that does not run with its new image stops further updates to that image in its namespace for some hours, where the
cause may be; in two namespaces, it stops them everywhere. One that may not be patched at all (by an admission policy,
say) is tried again after ten minutes, then twenty, and so on, while namespaces take turns: it stops no others. The
choice is pure (`choose`); `Update` carries it out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace

from .. import names
from ..clock import Clock
from ..errors import KubeError, NotFound
from ..kinds import PODS
from ..kube import Kube, Object
from ..metrics import ControllerMetrics
from .facts import PodFacts
from .findings import Findings, Key
from .health import Health, health
from .index import PodIndex
from .steps import steadily
from .turns import Turns

logger = logging.getLogger(__name__)

EVERY = 5.0
AFTER_FAILURE = 30.0
AT_ONCE = 3
"""Pods whose sidecar is restarting for its new image."""
WITHIN = 180.0
"""Seconds in which a sidecar is to run with its new image."""
STOPPED = 6 * 3600.0
"""Seconds for which no other sidecar of a namespace gets an image with which one did not run."""
SEVERAL = 2
"""Namespaces in which one did not run with an image, before it is given nowhere any more."""
LATER = 600.0
"""Seconds until a sidecar is looked at again that did not run when it was to be updated. Where its patch was refused,
it is twice as long with each time.
"""
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Step:
    """One sidecar and its new image."""

    pod: PodFacts
    image: str
    container: str = ""
    """The ID of the sidecar's container before."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not take the patch of one pod."""

    at: float
    """When it did so last; monotonic seconds."""
    wait: float = LATER
    """Seconds from then until the pod is tried again."""

    def again(self, now: float) -> Refusal:
        """It has done so once more."""
        return Refusal(now, min(2 * self.wait, STOPPED))


def choose(
    pods: Iterable[PodFacts],
    wanted: Callable[[PodFacts], bool],
    image: Callable[[str], str | None],
    newest: str,
    stuck: Callable[[PodFacts], bool],
    busy: Iterable[PodFacts],
    stopped: Callable[[str, str], bool] = lambda namespace, image: False,
    later: Set[str] = frozenset(),
    refused: Set[str] = frozenset(),
    rank: Callable[[PodFacts], tuple[int, ...]] = lambda pod: (),
) -> list[Step]:
    """What to do now, those that are stuck first, and of these the ones of the lowest `rank`.

    `image` is the one that new pods of a namespace get, `newest` that of this release; `busy` pods are being updated,
    of each owner one at a time; where an image is `stopped`, no other pod of the namespace gets it; of pods with a UID
    in `later`, only those are looked at that are stuck; those in `refused` are not.
    """
    owners = {pod.owner.uid for pod in busy if pod.owner is not None}
    names_of_busy = {pod.uid for pod in busy}
    room, passed = AT_ONCE - len(names_of_busy), names_of_busy | refused
    found: list[Step] = []
    for pod in sorted(pods, key=lambda pod: (not stuck(pod), rank(pod), pod.created, pod.uid)):
        if len(found) >= room:
            break
        new = image(pod.namespace)
        if new is None or stopped(pod.namespace, new) or pod.deleted or pod.uid in passed:
            continue
        if pod.image in ("", new) or pod.own_image or (pod.owner is not None and pod.owner.uid in owners):
            continue
        if not stuck(pod) and (new != newest or pod.uid in later or not wanted(pod)):
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
        newest: str,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        every: float = EVERY,
        on_health: Callable[[Key, Health | None], object] = lambda key, health: None,
    ) -> None:
        self._kube, self._index, self._findings = kube, index, findings
        self._wanted, self._image, self._newest, self._on_health = wanted, image, newest, on_health
        """`on_health` is told of every sidecar that has another image now, and how it fares."""
        self._clock, self._metrics, self._every = clock, metrics, every
        self._busy: dict[str, tuple[Step, float]] = {}
        """By a pod's UID, what it was given, and when; monotonic seconds."""
        self._stopped: dict[Key, float] = {}
        """By namespace and image, since when; monotonic seconds."""
        self._later: dict[str, float] = {}
        """By a pod's UID, when its sidecar did not run; monotonic seconds."""
        self._refused: dict[str, Refusal] = {}
        """By a pod's UID."""
        self._turns = Turns()

    async def run(self) -> None:
        failed = self._metrics.updates.labels("failed")
        await steadily(self._every, self.once, failed, after_failure=AFTER_FAILURE)

    async def once(self) -> None:
        """See how those fare that were updated, then take the next. Raises KubeError."""
        for step, since in list(self._busy.values()):
            await self._look(step, since)
        now = self._clock.monotonic()
        self._stopped = {key: since for key, since in self._stopped.items() if now < since + STOPPED}
        self._later = {uid: since for uid, since in self._later.items() if now < since + LATER}
        pods = list(self._index.all())
        self._forget(pods)
        steps = choose(
            pods,
            self._wanted,
            self._image,
            self._newest,
            self._stuck,
            [step.pod for step, _ in self._busy.values()],
            self._is_stopped,
            self._later.keys(),
            {uid for uid, refusal in self._refused.items() if now < refusal.at + refusal.wait},
            self._turns.rank,
        )
        for step in steps:
            self._turns.taken(step.pod)
            await self._give(step)

    def _forget(self, pods: Iterable[PodFacts]) -> None:
        """What is known of all other pods."""
        self._turns.keep(pods)
        if self._refused:
            there = {pod.uid for pod in pods}
            self._refused = {uid: each for uid, each in self._refused.items() if uid in there}

    def _stuck(self, pod: PodFacts) -> bool:
        found = self._findings.failing.get((pod.namespace, pod.name))
        return found is not None and found.unpullable

    def _is_stopped(self, namespace: str, image: str) -> bool:
        return (namespace, image) in self._stopped or sum(image == each for _, each in self._stopped) >= SEVERAL

    async def _look(self, step: Step, since: float) -> None:
        found = await self._health(step.pod)
        if found is not None:
            self._on_health((step.pod.namespace, step.pod.name), found)
        if found is None or found.image != step.image:
            del self._busy[step.pod.uid]
        elif found.running and found.container != step.container:
            del self._busy[step.pod.uid]
            self._metrics.updates.labels("done").inc()
        elif found.given_up or self._clock.monotonic() - since > WITHIN:
            del self._busy[step.pod.uid]
            self._stop(step, found)

    def _stop(self, step: Step, found: Health) -> None:
        self._stopped[step.pod.namespace, step.image] = self._clock.monotonic()
        self._metrics.updates.labels("stuck").inc()
        everywhere = self._is_stopped("", step.image)
        logger.error(
            "the sidecar of pod %s/%s does not run with %s (%s): for %.0f hours, no other one gets it in place %s",
            step.pod.namespace,
            step.pod.name,
            step.image,
            found.reason or "it has not started",
            STOPPED / 3600,
            "anywhere" if everywhere else "in that namespace",
        )

    async def _give(self, step: Step) -> None:
        found = await self._health(step.pod)
        if found is None or found.image == step.image or not (found.running or self._stuck(step.pod)):
            # Whatever keeps it from running would be taken for the image's fault; and a finished one never runs again.
            self._later[step.pod.uid] = self._clock.monotonic()
            return
        if not found.native:
            # Somebody gave an application's container our name: not for us to change.
            self._refused[step.pod.uid] = Refusal(self._clock.monotonic(), STOPPED)
            return
        try:
            await self._kube.json_patch(PODS, step.pod.namespace, step.pod.name, patch(step, found))
        except NotFound:
            return
        except KubeError as error:
            self._not_taken(step.pod, error)
            return
        self._refused.pop(step.pod.uid, None)
        self._busy[step.pod.uid] = (replace(step, container=found.container), self._clock.monotonic())
        logger.info(
            "the sidecar of pod %s/%s gets %s in place of %s",
            step.pod.namespace,
            step.pod.name,
            step.image,
            found.image,
        )

    def _not_taken(self, pod: PodFacts, error: KubeError) -> None:
        """Whatever the reason, it may be of that pod alone: others go on."""
        before, now = self._refused.get(pod.uid), self._clock.monotonic()
        refusal = self._refused[pod.uid] = before.again(now) if before is not None else Refusal(now)
        self._metrics.updates.labels("failed" if error.transient else "refused").inc()
        level = logging.WARNING if before is None else logging.DEBUG
        logger.log(level, "%s; its sidecar stays as it is; trying again in %.0f min", error, refusal.wait / 60)

    async def _health(self, pod: PodFacts) -> Health | None:
        """None when that pod is gone, or has finished. Raises KubeError."""
        try:
            found = await self._kube.get(PODS, pod.namespace, pod.name)
        except NotFound:
            return None
        meta, phase = found.get("metadata") or {}, (found.get("status") or {}).get("phase")
        if meta.get("uid") != pod.uid or meta.get("deletionTimestamp") or phase in FINISHED:
            return None
        return health(found)


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
