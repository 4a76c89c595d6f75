"""Whether a candidate is to be taken back, by how the pods that try it do beside the others. Pure: see `rollout`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.candidate import Candidate
from tracekeeper_spec.config import HaltOn
from tracekeeper_spec.policy import PolicyEntry

from .pod_seen import PodSeen

REFUSED = "PolicyRefused"
"""A verdict that is not among those of `haltOn`."""
LATE = 180.0
"""Seconds after which a candidate that no sidecar runs yet is not just on its way any more."""
MANY = 10
"""One part in so many of some pods is more than chance; of fewer, one pod is."""
STEADY = 30.0
"""Seconds for which a backend that is not new takes nothing from a pod before that is compared with others: who is
busier notices an outage first."""
MAX_REFUSED = 16
"""Different refusals that are remembered from before something is tried."""


@dataclass(frozen=True, slots=True)
class Judged:
    why: str
    """As in `haltOn`, or `REFUSED`."""
    message: str

    def halts(self, halt_on: Collection[HaltOn]) -> bool:
        """What is refused does so always: it cannot come to an end otherwise."""
        return self.why == REFUSED or self.why in halt_on


def judge(candidate: Candidate, stable: PolicyEntry, pods: Sequence[PodSeen], now: float) -> Judged | None:
    """What speaks against the candidate: seen in those of `pods` that try it, and not in the others."""
    canaries = [pod for pod in pods if candidate.takes(pod.uid)]
    others = [pod for pod in pods if not candidate.takes(pod.uid)]
    running = [pod for pod in canaries if pod.digest == candidate.digest]
    peers = [pod for pod in others if pod.attached]
    return (
        _crashes(candidate, canaries, others)
        or _refuses(candidate, canaries, now)
        or _fails(candidate, stable, running, peers, now)
        or _loses(candidate, running, peers)
    )


def _crashes(candidate: Candidate, canaries: Sequence[PodSeen], others: Sequence[PodSeen]) -> Judged | None:
    """Those that crash by what was in effect before say nothing against what may mend it."""
    # One that crashes before it can say what it runs is held to run the candidate when that must have come to it.
    since = candidate.observed or candidate.started + LATE
    away = [pod for pod in canaries if pod.digest and pod.digest != candidate.digest]
    known = [pod for pod in canaries if pod not in away and (pod.looked or pod.crashed_at is not None)]
    crashed = [pod for pod in known if pod.crashed_at is not None and pod.crashed_at >= since]
    looked = [pod for pod in others if pod.looked or pod.crashed_at is not None]
    also = [pod for pod in looked if pod.crashed_at is not None and pod.crashed_at >= candidate.started - LATE]
    if not crashed or 2 * len(also) * len(known) >= len(crashed) * max(1, len(looked)):
        return None
    return Judged(HaltOn.SIDECAR_CRASH, f"the sidecar of pod {crashed[0].name} ended by a fault: {crashed[0].crash}")


def _refuses(candidate: Candidate, canaries: Sequence[PodSeen], now: float) -> Judged | None:
    """Others do not read the candidate, so what they refuse says nothing of it."""
    for pod in canaries:
        if not pod.refused or pod.digest == candidate.digest:
            continue
        # What it said before may be of what the candidate mends, until that has come to it.
        if now >= candidate.started + LATE or _marked(pod.refused) not in candidate.refused:
            return Judged(REFUSED, f"the sidecar of pod {pod.name} refuses it: {pod.refused}")
    return None


def refusals(pods: Iterable[PodSeen]) -> tuple[str, ...]:
    """What a new candidate remembers of what is said before it."""
    return tuple(sorted({_marked(pod.refused) for pod in pods if pod.refused})[:MAX_REFUSED])


def _marked(refusal: str) -> str:
    """Short, since it is kept in the document."""
    return hashlib.sha256(refusal.encode()).hexdigest()[:16]


def _fails(
    candidate: Candidate,
    stable: PolicyEntry,
    running: Sequence[PodSeen],
    peers: Sequence[PodSeen],
    now: float,
) -> Judged | None:
    before, after = _backends(stable.spec), _backends(candidate.spec)
    for name in after:
        failing = [pod for pod in running if name in pod.failing]
        if before.get(name) == after[name]:
            failing = [pod for pod in failing if now - pod.failing_since.get(name, now) >= STEADY]
            since = max((pod.failing_since[name] for pod in failing), default=now)
            if name in candidate.troubled or not _others_deliver(name, _entries(stable.spec, name), since, peers):
                continue
        if _many(failing, running):
            text = f"{len(failing)} of {_count(len(running))} cannot deliver to backend {name}"
            return Judged(HaltOn.DELIVERY_FAILURE, f"{text}, {failing[0].name} for one: {failing[0].failing[name]}")
    return None


def _others_deliver(name: str, entries: Collection[str], since: float, peers: Sequence[PodSeen]) -> bool:
    """Whether the backend takes what others send. Whoever has sent nothing since then cannot know."""
    failing = [pod for pod in peers if name in pod.failing]
    delivering = [
        pod
        for pod in peers
        if name not in pod.failing and any(pod.delivered_at.get(entry, since) > since for entry in entries)
    ]
    return bool(delivering) and not _many(failing, [*failing, *delivering])


def _entries(spec: Mapping[str, Any], backend: str) -> set[str]:
    """Names of the delivery entries that deliver to a backend; without any, there is one for each, of its name."""
    found = spec.get("delivery")
    if not isinstance(found, list):
        return {backend}
    return {
        str(each.get("name")) for each in found if isinstance(each, Mapping) and backend in (each.get("backends") or ())
    }


def _loses(candidate: Candidate, running: Sequence[PodSeen], peers: Sequence[PodSeen]) -> Judged | None:
    lossy = [pod for pod in running if _dropped(pod, candidate)]
    if _many(lossy, running) and not _many([pod for pod in peers if _dropped(pod, candidate)], peers):
        text = f"{len(lossy)} of {_count(len(running))} dropped spans, {lossy[0].name} for one: see its ledger"
        return Judged(HaltOn.DELIVERY_FAILURE, text)
    return None


def _dropped(pod: PodSeen, candidate: Candidate) -> bool:
    """Whether it lost spans since one has run the candidate."""
    return pod.dropped_at is not None and 0 < candidate.observed <= pod.dropped_at


def _many(some: Sequence[PodSeen], among: Sequence[PodSeen]) -> bool:
    return bool(some) and len(some) * MANY >= len(among)


def _backends(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = spec.get("backends")
    named = found if isinstance(found, list) else []
    return {str(each.get("name")): each for each in named if isinstance(each, Mapping)}


def _count(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"
