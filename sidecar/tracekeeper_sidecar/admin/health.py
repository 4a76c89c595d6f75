"""Is this sidecar well? A pure judgement over a snapshot: idle is healthy, a lost backend alone is degraded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tracekeeper_sidecar.admin.snapshot import AdoptedFolder, PushFacts, Snapshot

if TYPE_CHECKING:
    from tracekeeper_sidecar.coordination import LinkHealth
    from tracekeeper_sidecar.decide.health import StageHealth
    from tracekeeper_sidecar.forward.backend import BackendHealth
    from tracekeeper_sidecar.forward.entry import EntryHealth


ALONE = 120.0
"""Seconds without the operator after which somebody should know: longer than it takes to be replaced."""


def problems(snapshot: Snapshot) -> list[str]:
    """Why the sidecar is unhealthy, in words for people; empty when it is well."""
    found = list(snapshot.troubles)
    if snapshot.log.problem:
        found.append(f"spans are refused: {snapshot.log.problem}")
    found += [f"spans are refused: {why}" for why in snapshot.refusing]
    found += [_stuck(each) for each in snapshot.entries if each.guaranteed and is_stuck(each, snapshot.backends)]
    return found


def warnings(snapshot: Snapshot) -> list[str]:
    """What somebody should look at although spans are safe."""
    found = [_ailing(backend) for backend in snapshot.backends if not _serves(backend)]
    found += [_stuck(each) for each in snapshot.entries if not each.guaranteed and is_stuck(each, snapshot.backends)]
    found += [_aside(entry) for entry in snapshot.entries if entry.aside]
    found += [problem for problem in snapshot.step_problems if problem not in snapshot.refusing]
    if snapshot.metering:
        found.append(f"metering: {snapshot.metering}")
    if snapshot.sampling:
        found += _sampling_warnings(snapshot.sampling)
    if snapshot.link and snapshot.link.endpoint and not snapshot.link.attached and snapshot.link.seconds > ALONE:
        found.append(_alone(snapshot.link, sampled=snapshot.sampling is not None))
    found += [f"policy: {fault}" for fault in snapshot.policy.faults]
    if not snapshot.policy.config and not snapshot.log.problem and not snapshot.refusing:
        found.append("no policy yet: spans are kept on disk until a TracingConfig says where to send them")
    found += [_pushing(push) for push in snapshot.pushes if push.problem]
    if snapshot.adoption:
        found += [f"spans of a pod that is gone cannot be taken over: {why}" for why in snapshot.adoption.problems]
    return found


def report(snapshot: Snapshot) -> dict[str, object]:
    """The body of `/health`."""
    bad, notes = problems(snapshot), warnings(snapshot)
    calls = sum(snapshot.recent_calls.values())
    failed = calls - snapshot.recent_calls.get("sent", 0)
    return {
        "status": "unhealthy" if bad else "degraded" if notes else "healthy",
        "problems": bad,
        "warnings": notes,
        "enabled": not snapshot.policy.suspended,
        "config": snapshot.policy.config,
        "revision": snapshot.policy.revision,
        "backends": [
            {
                "name": b.name,
                "circuit": b.circuit,
                "lastSuccess": b.last_success or None,
                "lastError": b.last_error,
            }
            for b in snapshot.backends
        ],
        "memory": {"anonymousBytes": snapshot.anonymous_memory},
        "log": {
            "bytes": snapshot.log.bytes,
            "quotaBytes": snapshot.log.quota,
            "historyBytes": snapshot.log.history,
            "pendingSpans": {entry.name: entry.pending for entry in snapshot.entries},
            "oldestPendingSeconds": max((entry.oldest_pending for entry in snapshot.entries), default=0.0),
        },
        "sampling": _sampling(snapshot.sampling) if snapshot.sampling else None,
        "control": _link(snapshot.link) if snapshot.link else None,
        "adopted": [_adopted(snapshot.adoption.now)] if snapshot.adoption and snapshot.adoption.now else [],
        "errorRate": failed / calls if calls else 0.0,
        "lastSuccessfulDelivery": max((b.last_success for b in snapshot.backends), default=0.0) or None,
    }


def _adopted(found: AdoptedFolder) -> dict[str, object]:
    return {"folder": found.folder, "pendingSpans": {entry.name: entry.pending for entry in found.entries}}


def _sampling(stage: StageHealth) -> dict[str, object]:
    return {
        "openTraces": stage.open_traces,
        "undecidedSpans": stage.undecided,
        "lagSeconds": stage.lag,
        "overloaded": stage.overloaded,
        "hurried": stage.hurried,
        "probability": stage.probability,
        "tracesPerSecond": stage.share,
        "floor": stage.floor,
        "sidecars": stage.sidecars,
        "problem": stage.problem,
    }


def _link(link: LinkHealth) -> dict[str, object]:
    return {
        "endpoint": link.endpoint or None,
        "attached": link.attached,
        "seconds": link.seconds,
        "lastError": link.problem,
    }


def _alone(link: LinkHealth, *, sampled: bool) -> str:
    means = (
        "this pod samples by itself: with Adaptive it keeps an equal part of the target, and of a trace that a rule"
        " keeps in another pod its spans may be left out"
        if sampled
        else "the TracingConfig's status says nothing of this pod"
    )
    return (
        f"the operator at {link.endpoint} has not been heard for {link.seconds:.0f} s: {link.problem}; spans are safe,"
        f" but {means}; look at the operator, and at network policies for its port"
    )


def _pushing(push: PushFacts) -> str:
    return (
        f"metrics are not pushed to {push.name}: {push.problem}; they are counted all the same, and pushed when it"
        " answers again"
    )


def _sampling_warnings(stage: StageHealth) -> list[str]:
    found = []
    if stage.problem:
        found.append(
            f"sampling waits: {stage.problem}; {stage.undecided} spans are safe on disk, but reach only delivery"
            " entries with spans: All until it goes on, which it tries again and again: look at the volume, or, where"
            " what is kept has filled its half, at the backends"
        )
    if stage.overloaded:
        found.append(
            f"sampling cannot keep up, {stage.undecided} spans wait: traces are kept or not by their id alone, with the"
            " probability of sampling.default, and rules are not asked, so traces with errors are left out like others;"
            " give the sidecar more CPU, lower decisionWait, or let the application send less; rules hold again by"
            " themselves"
        )
    if stage.hurried:
        found.append(
            f"the log is nearly full of spans that wait for a decision, {stage.undecided} now: traces are decided on"
            " before they are whole, so an error that comes late is not seen in time; lower decisionWait, or give"
            " sidecar.storage.size more"
        )
    if stage.at_floor:
        found.append(
            f"sampling is at the floor for {stage.pinned:.0f} s: adaptive.minProbability keeps more traces than"
            " targetTracesPerSecond asks for; raise the target, lower minProbability, or let the application trace less"
        )
    return found


def _serves(backend: BackendHealth) -> bool:
    return backend.usable and backend.circuit in ("Closed", "Disabled")


def _ailing(backend: BackendHealth) -> str:
    if backend.usable and backend.circuit == "ForcedOpen":
        return f"backend {backend.name}: it is sent nothing, because its circuitBreaker.state is ForcedOpen"
    state = f"circuit {backend.circuit}" if backend.usable else "cannot be used"
    return f"backend {backend.name}: {state}: {backend.last_error}"


def is_stuck(entry: EntryHealth, backends: Iterable[BackendHealth]) -> bool:
    """Spans wait, and no backend that could take them takes calls."""
    serving = {backend.name for backend in backends if _serves(backend)}
    return entry.pending > 0 and serving.isdisjoint(entry.backends)


def _stuck(entry: EntryHealth) -> str:
    names = ", ".join(entry.backends)
    return f"delivery {entry.name}: {entry.pending} spans wait and no backend takes them ({names})"


def _aside(entry: EntryHealth) -> str:
    return (
        f"delivery {entry.name}: {entry.aside} batches are set aside, because a backend fails on them or never answers;"
        " others pass them, and they are tried again: look at the backend's own log"
    )
