"""One moment of the sidecar as plain values: what metrics, health and the ledger page are all made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """One backend."""

    name: str
    circuit: str
    """The breaker's state: `Closed`, `Open` or `HalfOpen`."""
    last_success: float
    """Unix time; 0 before the first."""
    last_error: str
    transitions: Mapping[str, int]
    """Changes of the circuit, by new state."""
    rejected_calls: int
    calls: Mapping[str, int]
    """Export calls, by outcome; `sent` is the good one."""


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """One delivery entry of the ledger."""

    name: str
    backends: tuple[str, ...]
    start: int
    """Spans that had been acknowledged when the entry began."""
    delivered: Mapping[str, int]
    dropped: Mapping[str, int]
    pending: int
    lag: float
    """Seconds since the oldest pending span was acknowledged; 0 when none is pending."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """The log on disk; all zero while it is not open."""

    available: bool
    problem: str = ""
    bytes: int = 0
    quota: int = 0
    segments: int = 0
    commits: int = 0
    sync_seconds: float = 0.0
    damaged_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the sidecar has been told."""

    config: str = ""
    revision: int = 0
    faults: tuple[str, ...] = ()
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at once, so that the ledger's equations hold within it."""

    time: float
    policy: PolicyFacts
    log: LogFacts
    acknowledged: int
    refused: Mapping[str, int]
    refused_requests: Mapping[str, int]
    suspended_spans: int
    entries: tuple[EntryFacts, ...] = ()
    backends: tuple[BackendFacts, ...] = ()
    troubles: tuple[str, ...] = ()
    """Background tasks that died and are being restarted."""
    anonymous_memory: int = 0
    """Bytes of anonymous memory of this process."""
    recent_calls: Mapping[str, int] = field(default_factory=dict)
    """Export calls of the last five minutes, by outcome."""

    @property
    def received(self) -> int:
        """All spans that arrived."""
        return self.acknowledged + sum(self.refused.values()) + self.suspended_spans
