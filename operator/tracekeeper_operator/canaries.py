"""Looks at the injected pods of a namespace in which a new policy may be tried: see `rollout`.

Which pods there are and what their sidecars say is in memory; whether these have crashed is read: see `crashes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.policy import PolicyDocument

from .clock import Clock
from .control.attached import Attached
from .crashes import Crashes, Group
from .histories import Histories, failing
from .kube import Kube
from .pod_seen import PodSeen
from .pods.facts import PodFacts
from .pods.index import PodIndex
from .rollout import Look
from .trials import trying


class Sidecars(Protocol):
    """The control server."""

    def pods(self) -> Mapping[str, Attached]:
        """Sidecars that are attached, by the UID of their pod."""


class Canaries:
    """Asks the API server for little, and memory for the rest."""

    def __init__(self, kube: Kube, index: PodIndex, sidecars: Sidecars, clock: Clock) -> None:
        self._index, self._sidecars, self._clock = index, sidecars, clock
        self._crashes = Crashes(kube, clock, self._attached_since)
        self._histories = Histories(clock)

    async def look(self, namespace: str, published: PolicyDocument | None) -> Look | None:
        """What can be seen of a namespace's pods, given what is published there. Never raises."""
        groups = self._groups(namespace, published)
        await self._crashes.read(namespace, groups)
        if groups:
            self._histories.note(namespace, self._standings(namespace))
        else:
            self._histories.forget(namespace)

        def look() -> list[PodSeen] | None:
            if not self._index.synced:
                return None
            return [self._seen(pod) for pod in self._index.of(namespace) if not pod.deleted]

        return look

    def _groups(self, namespace: str, published: PolicyDocument | None) -> list[Group]:
        entries = trying(published)
        if published is None or not entries:
            return []
        there = [pod for pod in self._index.of(namespace) if not pod.deleted]
        picked = [(pod, published.pick(pod.labels, pod.annotations)) for pod in there]
        groups: list[Group] = []
        for entry in entries:
            new = entry.candidate
            assert new is not None  # see `trying`
            pods = [pod for pod, found in picked if found is entry]
            canaries = [pod for pod in pods if new.takes(pod.uid)]
            groups.append(Group(canaries, [pod for pod in pods if not new.takes(pod.uid)]))
        return groups

    def _attached_since(self, uid: str) -> float | None:
        attached = self._sidecars.pods().get(uid)
        return attached.since if attached is not None else None

    def _standings(self, namespace: str) -> dict[str, pb.Standing]:
        attached = self._sidecars.pods()
        found = {pod.uid: attached[pod.uid].standing for pod in self._index.of(namespace) if pod.uid in attached}
        return {uid: standing for uid, standing in found.items() if standing is not None}

    def _seen(self, pod: PodFacts) -> PodSeen:
        attached = self._sidecars.pods().get(pod.uid)
        standing = attached.standing if attached is not None else None
        dropped = None
        if attached is not None and attached.lost_at > float("-inf"):
            dropped = self._clock.now() - (self._clock.monotonic() - attached.lost_at)
        crashes = self._crashes.of(pod.namespace)
        crash = crashes.get(pod.uid)
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
            failing_since=self._histories.failing_since(pod.namespace, pod.uid),
            delivered_at=self._histories.delivered_at(pod.namespace, pod.uid),
            dropped_at=dropped,
            crashed_at=crash.at if crash is not None else None,
            looked=pod.uid in crashes,
            crash=crash.words if crash is not None else "",
        )
