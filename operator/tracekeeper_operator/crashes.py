"""Whether sidecars have crashed where a new policy is tried, read from their pods: not more than `MOST` of a namespace
in `EVERY` seconds, in turn, and those first whose sidecar has come back.

Pods that do not try it are read only once one that does has crashed: see `verdict`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import names
from .clock import Clock
from .errors import KubeError
from .kinds import PODS
from .kube import Kube, Object
from .pods.facts import PodFacts
from .trials import POLL

logger = logging.getLogger(__name__)

MOST = 20
"""Pods of a namespace that are read at once."""
EVERY = POLL - 1.0
"""Seconds: rounds may come more often, since sidecars cause them, too."""
UNSEEN = ("Unknown", "ContainerStatusUnknown")
"""Reasons of the kubelet's for an end that it has not seen: the node was started again, for one."""


@dataclass(frozen=True, slots=True)
class Crash:
    at: float
    """Unix time."""
    words: str


@dataclass(frozen=True, slots=True)
class Group:
    """Pods of one entry of which something is tried."""

    canaries: Sequence[PodFacts]
    others: Sequence[PodFacts]


@dataclass(slots=True)
class _Known:
    at: float = float("-inf")
    """Monotonic seconds of the last reading."""
    tried: dict[str, float] = field(default_factory=dict)
    """By UID of a pod, when somebody wanted to read it last; monotonic seconds."""
    found: dict[str, Crash | None] = field(default_factory=dict)
    """By UID of a pod that was read."""


class Crashes:
    """Remembers what it has read for as long as something is tried."""

    def __init__(self, kube: Kube, clock: Clock, attached_since: Callable[[str], float | None]) -> None:
        """`attached_since` tells when the sidecar of the pod with that UID has come; monotonic seconds."""
        self._kube, self._clock, self._since = kube, clock, attached_since
        self._known: dict[str, _Known] = {}

    def of(self, namespace: str) -> Mapping[str, Crash | None]:
        """The last crash by the UID of a pod; None of one that has had none. Those not read yet are absent."""
        known = self._known.get(namespace)
        return known.found if known is not None else {}

    async def read(self, namespace: str, groups: Sequence[Group]) -> None:
        """Read those whose turn it is. Never raises."""
        if not groups:
            self._known.pop(namespace, None)
            return
        known, now = self._known.setdefault(namespace, _Known()), self._clock.monotonic()
        if now < known.at + EVERY:
            return
        known.at = now
        there = {pod.uid for group in groups for pod in (*group.canaries, *group.others)}
        known.tried = {uid: at for uid, at in known.tried.items() if uid in there}
        known.found = {uid: crash for uid, crash in known.found.items() if uid in there}
        canaries = self._in_turn([pod for group in groups for pod in group.canaries], known)
        await self._read_all(namespace, canaries[: MOST // 2], known)
        others = [
            pod
            for group in groups
            if any(known.found.get(canary.uid) is not None for canary in group.canaries)
            for pod in group.others
        ]
        rest = self._in_turn(others, known) or canaries[MOST // 2 :]
        await self._read_all(namespace, rest[: MOST // 2], known)

    def _in_turn(self, pods: Collection[PodFacts], known: _Known) -> list[PodFacts]:
        def turn(pod: PodFacts) -> float:
            last, since = known.tried.get(pod.uid, float("-inf")), self._since(pod.uid)
            return last if since is None or since <= last else float("-inf")

        return sorted(pods, key=turn)

    async def _read_all(self, namespace: str, pods: Sequence[PodFacts], known: _Known) -> None:
        for pod in pods:
            known.tried[pod.uid] = self._clock.monotonic()
            try:
                known.found[pod.uid] = last_crash(await self._kube.get(PODS, namespace, pod.name))
            except KubeError as error:
                logger.info("pod %s/%s cannot be looked at for a new policy: %s", namespace, pod.name, error)


def last_crash(pod: Object) -> Crash | None:
    """When and how the sidecar ended last, if that was by a fault; None where it is not known when."""
    for status in _statuses(pod):
        if status.get("name") != names.SIDECAR:
            continue
        found = [_map(_map(status, key), "terminated") for key in ("state", "lastState")]
        ends = [end for end in found if end.get("exitCode") not in (None, 0) and end.get("reason") not in UNSEEN]
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
