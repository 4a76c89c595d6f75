"""A pod of our own, in our own namespace, that runs a new sidecar's image once, before any application depends on it.

It is there for seconds: it pulls the image and has it show its help. What comes of it, `verdict` says; what follows
from that, `images`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import names
from .backoff import Backoff
from .clock import Clock
from .errors import KubeError, NotFound
from .kinds import CONFIG_MAPS, PODS
from .kube import Kube, Object
from .metrics import ControllerMetrics
from .pods.health import UNPULLABLE
from .pods.image_keeper import ImageKeeper
from .sidecar import USER, security_context

logger = logging.getLogger(__name__)

DEADLINE = 180.0
"""Seconds for a pod to be scheduled, to pull its image and to run."""
POLL = 1.0
AGAIN = 300.0
"""Seconds until an image that is broken, or of which nothing could be found out, is tried again; then for longer."""
AGAIN_MOST = 1800.0
SEVERAL = 2
"""Namespaces in which pods cannot pull an image that is known to work, before it is tried once more."""


class Kind(StrEnum):
    """What is known of the image."""

    PENDING = "pending"
    PROVED = "proved"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pod has shown so far."""

    kind: Kind
    message: str = ""


def verdict(pod: Mapping[str, Any]) -> Verdict:
    """Pure, from the pod as the API server shows it."""
    status = pod.get("status") or {}
    found: Mapping[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = found.get("state") or {}
    if (ended := state.get("terminated")) is not None:
        if ended.get("exitCode") == 0:
            return Verdict(Kind.PROVED)
        text = ended.get("message") or ended.get("reason") or ""
        return Verdict(Kind.BROKEN, f"it does not start: exit code {ended.get('exitCode')} {text}".strip())
    if status.get("phase") == "Failed":
        return Verdict(Kind.UNKNOWN, f"{status.get('reason', '')} {status.get('message', '')}".strip())
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason == "ErrImageNeverPull":
        # Other nodes may have it: nothing is known of those.
        return Verdict(Kind.UNKNOWN, f"{reason}: {message}")
    # The kubelet tries once more before it backs off.
    if reason in UNPULLABLE - {"ErrImagePull"}:
        return Verdict(Kind.BROKEN, f"{reason}: {message}")
    return Verdict(Kind.PENDING, f"{reason}: {message}" if reason else "")


class Preflight:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        keeper: ImageKeeper,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        pull_policy: str = "IfNotPresent",
        pull_secrets: Sequence[str] = (),
        poll: float = POLL,
        deadline: float = DEADLINE,
    ) -> None:
        self._kube, self._namespace, self._keeper, self._clock = kube, namespace, keeper, clock
        self._metrics, self._pull_policy, self._pull_secrets = metrics, pull_policy, tuple(pull_secrets)
        self._poll, self._deadline = poll, deadline
        self._doubts = asyncio.Event()
        self._doubted: frozenset[str] = frozenset()
        """Namespaces that had trouble when the image was tried last."""
        keeper.on_change(self._changed)

    async def run(self) -> None:
        await self._keeper.loaded.wait()
        backoff = Backoff(first=AGAIN, most=AGAIN_MOST, uniform=lambda least, most: most)
        image = self._keeper.wanted
        # What was proved before is not tried at every start.
        if image in self._keeper.images.good and image not in self._keeper.images.broken:
            await self._doubts.wait()
        while True:
            again = self._doubts.is_set()
            self._doubts.clear()
            self._doubted = self._troubled()
            found = await self._try(image, again=again)
            self._metrics.preflights.labels(str(found.kind)).inc()
            self._note(image, found)
            if found.kind is Kind.PROVED:
                backoff.reset()
                await self._doubts.wait()
                continue
            try:
                async with asyncio.timeout(backoff.next()):
                    await self._doubts.wait()
            except TimeoutError:
                continue

    def _note(self, image: str, found: Verdict) -> None:
        if found.kind is Kind.PROVED:
            logger.info("the sidecar's image %s can be pulled, and starts", image)
            self._keeper.proved(image)
        elif found.kind is Kind.BROKEN:
            self._keeper.failed(image, found.message)
        else:
            logger.warning(
                "nothing is known of the sidecar's image %s: %s; it is used all the same", image, found.message
            )
            self._keeper.unknown(image)

    async def _try(self, image: str, *, again: bool) -> Verdict:
        """Run the pod to its end. What goes wrong on the way says nothing about the image."""
        # A node that has the image would not notice that nobody can pull it any more.
        policy = "Always" if again and self._pull_policy != "Never" else self._pull_policy
        last = Verdict(Kind.PENDING)
        try:
            await self._kube.delete(PODS, self._namespace, names.PREFLIGHT_POD)
            async with asyncio.timeout(self._deadline):
                await self._gone()
                await self._kube.create(PODS, self._namespace, await self._pod(image, policy))
                while last.kind is Kind.PENDING:
                    await asyncio.sleep(self._poll)
                    last = verdict(await self._kube.get(PODS, self._namespace, names.PREFLIGHT_POD))
        except TimeoutError:
            last = Verdict(Kind.UNKNOWN, f"pod {names.PREFLIGHT_POD} did not come to an end in time: {last.message}")
        except KubeError as error:
            last = Verdict(Kind.UNKNOWN, str(error))
        try:
            await self._kube.delete(PODS, self._namespace, names.PREFLIGHT_POD)
        except KubeError as error:
            logger.info("%s; it is removed with the next one", error)
        return last

    async def _gone(self) -> None:
        """Wait for the end of an older one. Raises KubeError."""
        while True:
            try:
                await self._kube.get(PODS, self._namespace, names.PREFLIGHT_POD, metadata_only=True)
            except NotFound:
                return
            await asyncio.sleep(self._poll)

    async def _pod(self, image: str, policy: str) -> Object:
        """It goes with the ConfigMap, so that uninstalling leaves none behind. Raises KubeError."""
        owners = []
        try:
            found = await self._kube.get(CONFIG_MAPS, self._namespace, names.IMAGES_CONFIG_MAP, metadata_only=True)
        except NotFound:
            pass
        else:
            uid = (found.get("metadata") or {}).get("uid")
            owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": names.IMAGES_CONFIG_MAP, "uid": uid}]
        return pod(self._namespace, image, policy, self._pull_secrets, owners)

    def _troubled(self) -> frozenset[str]:
        refused = self._keeper.images.refused
        return frozenset(name for name, there in refused.items() if self._keeper.wanted in there)

    def _changed(self, namespace: str | None) -> None:
        if namespace is not None and len(self._troubled() - self._doubted) >= SEVERAL:
            self._doubts.set()


def pod(
    namespace: str, image: str, policy: str, pull_secrets: Sequence[str] = (), owners: Sequence[Object] = ()
) -> Object:
    """The pod, as `restricted` namespaces take it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.PREFLIGHT_POD,
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.MANAGER, "app.kubernetes.io/component": "preflight"},
            "ownerReferences": list(owners),
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(DEADLINE),
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "nodeSelector": {names.NODE_OS: "linux"},
            "imagePullSecrets": [{"name": name} for name in pull_secrets],
            "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER},
            "containers": [
                {
                    "name": names.SIDECAR,
                    "image": image,
                    "imagePullPolicy": policy,
                    "args": ["--help"],
                    "securityContext": security_context(),
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "256Mi"},
                    },
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }
