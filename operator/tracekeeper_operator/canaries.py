"""Looks at the injected pods of a namespace in which a new policy may be tried: see `rollout`.

Which pods there are and what their sidecars say is in memory. Whether a sidecar has crashed is in the pod, of which
only some are read: those that try something, and not more than `MOST` of them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.candidate import place_of
from tracekeeper_spec.policy import PolicyDocument

from . import names
from .clock import Clock
from .control.attached import Attached
from .errors import KubeError
from .kinds import PODS
from .kube import Kube, Object
from .pod_seen import PodSeen
from .pods.facts import PodFacts
from .pods.index import PodIndex
from .rollout import Look
from .trials import trying

logger = logging.getLogger(__name__)

MOST = 20
"""Pods of one entry that are read in a round."""
SERVING = ("Closed", "Disabled", "ForcedOpen")
"""Circuits that are as they should be, or as the policy wants them."""


class Sidecars(Protocol):
    """The control server."""

    def pods(self) -> Mapping[str, Attached]:
        """Sidecars that are attached, by the UID of their pod."""


@dataclass(frozen=True, slots=True)
class Crash:
    at: float
    """Unix time."""
    words: str


class Canaries:
    """Asks the API server for little, and memory for the rest."""

    def __init__(self, kube: Kube, index: PodIndex, sidecars: Sidecars, clock: Clock) -> None:
        self._kube, self._index, self._sidecars, self._clock = kube, index, sidecars, clock

    async def look(self, namespace: str, published: PolicyDocument | None) -> Look | None:
        """What can be seen of a namespace's pods, given what is published there. Never raises."""
        crashes = {pod.uid: crash async for pod, crash in self._crashes(namespace, published)}

        def look() -> list[PodSeen] | None:
            if not self._index.synced:
                return None
            there = (pod for pod in self._index.of(namespace) if not pod.deleted)
            return [self._seen(pod, crashes.get(pod.uid)) for pod in there]

        return look

    async def _crashes(self, namespace: str, published: PolicyDocument | None) -> AsyncIterator[tuple[PodFacts, Crash]]:
        for pod in list(self._trying(namespace, published)):
            try:
                found = await self._kube.get(PODS, namespace, pod.name)
            except KubeError as error:
                logger.info("pod %s/%s tries a new policy and cannot be looked at: %s", namespace, pod.name, error)
                continue
            if (crash := last_crash(found)) is not None:
                yield pod, crash

    def _trying(self, namespace: str, published: PolicyDocument | None) -> Iterator[PodFacts]:
        """Those with the lowest places, so that it is the same ones each time."""
        entries = trying(published)
        if published is None or not entries:
            return
        picked = [(pod, published.pick(pod.labels, pod.annotations)) for pod in self._index.of(namespace)]
        for entry in entries:
            new = entry.candidate
            assert new is not None  # see `trying`
            there = [pod for pod, found in picked if found is entry and not pod.deleted and new.takes(pod.uid)]
            yield from sorted(there, key=lambda pod: place_of(new.digest, pod.uid))[:MOST]

    def _seen(self, pod: PodFacts, crash: Crash | None) -> PodSeen:
        attached = self._sidecars.pods().get(pod.uid)
        standing = attached.standing if attached is not None else None
        dropped = None
        if attached is not None and attached.lost_at > float("-inf"):
            dropped = self._clock.now() - (self._clock.monotonic() - attached.lost_at)
        return PodSeen(
            pod.uid,
            pod.name,
            pod.labels,
            pod.annotations,
            attached=attached is not None,
            able=attached is not None and attached.able,
            digest=standing.policy_digest if standing is not None else "",
            refused=standing.policy_problem if standing is not None else "",
            failing=failing(standing) if standing is not None else {},
            dropped_at=dropped,
            crashed_at=crash.at if crash is not None else None,
            crash=crash.words if crash is not None else "",
        )


def failing(standing: pb.Standing) -> dict[str, str]:
    """Backends that take nothing, and why."""
    return {each.name: each.fault or "it takes nothing" for each in standing.backends if each.circuit not in SERVING}


def last_crash(pod: Object) -> Crash | None:
    """When and how the sidecar ended last, if that was by a fault; None where it is not known when."""
    for status in _statuses(pod):
        if status.get("name") != names.SIDECAR:
            continue
        found = [_map(_map(status, key), "terminated") for key in ("state", "lastState")]
        ends = [end for end in found if end.get("exitCode") not in (None, 0)]
        crashes = [crash for end in ends if (crash := _crash(end)) is not None]
        return max(crashes, key=lambda crash: crash.at, default=None)
    return None


def _crash(end: Mapping[str, Any]) -> Crash | None:
    try:
        at = datetime.fromisoformat(str(end.get("finishedAt"))).timestamp()
    except ValueError:
        return None
    return Crash(at, f"{end.get('reason') or 'Error'}, exit code {end.get('exitCode')}")


def _statuses(pod: Object) -> Iterator[Mapping[str, Any]]:
    status = _map(pod, "status")
    for group in ("initContainerStatuses", "containerStatuses"):
        found = status.get(group)
        yield from (each for each in (found if isinstance(found, list) else []) if isinstance(each, Mapping))


def _map(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = body.get(key)
    return found if isinstance(found, Mapping) else {}
