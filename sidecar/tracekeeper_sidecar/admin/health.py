"""Is this sidecar well? A pure judgement over a snapshot: idle is healthy, a lost backend alone is degraded."""

from __future__ import annotations

from tracekeeper_sidecar.admin.snapshot import EntryFacts, Snapshot

FULL_SHARE = 0.98
"""Share of the quota from which on the log counts as full: a whole new segment no longer fits."""


def problems(snapshot: Snapshot) -> list[str]:
    """Why the sidecar is unhealthy, in words for people; empty when it is well."""
    found = list(snapshot.troubles)
    log = snapshot.log
    if not log.available:
        found.append(f"the log cannot be written: {log.problem or 'it is still being opened'}")
    elif (
        snapshot.entries
        and log.quota
        and log.bytes >= FULL_SHARE * log.quota
        and any(e.pending for e in snapshot.entries)
    ):
        found.append(
            f"the log is full ({log.bytes} of {log.quota} bytes): new spans are refused until backends catch up"
        )
    found += [_stuck(entry) for entry in snapshot.entries if _is_stuck(entry, snapshot)]
    return found


def warnings(snapshot: Snapshot) -> list[str]:
    """What somebody should look at although spans are safe."""
    found = [
        f"backend {b.name}: circuit {b.circuit}: {b.last_error}" for b in snapshot.backends if b.circuit != "Closed"
    ]
    found += [f"policy: {fault}" for fault in snapshot.policy.faults]
    if not snapshot.policy.config:
        found.append("no policy yet: spans are kept on disk until a TracingConfig says where to send them")
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
            "pendingSpans": {entry.name: entry.pending for entry in snapshot.entries},
            "oldestPendingSeconds": max((entry.lag for entry in snapshot.entries), default=0.0),
        },
        "errorRate": failed / calls if calls else 0.0,
        "lastSuccessfulDelivery": max((b.last_success for b in snapshot.backends), default=0.0) or None,
    }


def _is_stuck(entry: EntryFacts, snapshot: Snapshot) -> bool:
    """Spans wait, and every backend that could take them has its circuit open."""
    circuits = {backend.name: backend.circuit for backend in snapshot.backends}
    return entry.pending > 0 and all(circuits.get(name) == "Open" for name in entry.backends)


def _stuck(entry: EntryFacts) -> str:
    names = ", ".join(entry.backends)
    return f"delivery {entry.name}: {entry.pending} spans wait and every backend's circuit is open ({names})"
