"""One moment of the sidecar as plain values: what metrics, health and the ledger page are all made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.coordination import LinkHealth
    from tracekeeper_sidecar.decide.health import StageHealth
    from tracekeeper_sidecar.forward.backend import BackendHealth
    from tracekeeper_sidecar.forward.dead_letter import LetterStats
    from tracekeeper_sidecar.forward.entry import EntryHealth
    from tracekeeper_sidecar.forward.rescue import RescueHealth
    from tracekeeper_sidecar.process.step import Sample


@dataclass(frozen=True, slots=True)
class LogFacts:
    """A log on disk; all zero while it is not open."""

    acknowledged: int | None = None
    """Spans ever acknowledged; None while the log is not open, because it is not known before."""
    problem: str = ""
    """Why appends are refused, or fail, now; empty while they are not."""
    bytes: int = 0
    quota: int = 0
    history: int = 0
    """Bytes of delivered spans, which give way when their room is needed."""
    room: int = 0
    """Bytes that could be stored now."""
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
class RequestFacts:
    """The requests that the application has served, by the spans that were acknowledged."""

    buckets: tuple[int, ...] = ()
    """How many there were in each bucket of `wire.meter.BOUNDS`, those beyond the last bound at the end."""
    errors: int = 0
    seconds: float = 0.0
    """Duration of all of them together."""


@dataclass(frozen=True, slots=True)
class AdoptedFolder:
    """A folder on the node whose pod is gone, and which is delivered from here now."""

    folder: str
    acknowledged: int
    """Spans that its pod's sidecar ever acknowledged."""
    entries: tuple[EntryHealth, ...]


@dataclass(frozen=True, slots=True)
class AdoptionFacts:
    """What became of the folders of other pods since the start."""

    now: AdoptedFolder | None
    endings: Mapping[str, int]
    """Folders, by how their adoption ended."""
    delivered: Mapping[tuple[str, str], int]
    """Spans, by delivery entry and backend."""
    dropped: Mapping[tuple[str, str], int]
    """Spans, by delivery entry and reason."""
    problems: tuple[str, ...]
    """Why folders could not be taken over."""


@dataclass(frozen=True, slots=True)
class PushFacts:
    """One place that metrics are pushed to."""

    name: str
    sent: int = 0
    failed: int = 0
    last_success: float = 0.0
    """Unix time; 0 before the first."""
    problem: str = ""
    """Why the last push failed; empty when it did not."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at once, so that the ledger's equations hold within it."""

    time: float
    policy: PolicyFacts
    log: LogFacts
    refused: Mapping[str, int]
    refused_requests: Mapping[str, int]
    suspended_spans: int
    entries: tuple[EntryHealth, ...] = ()
    backends: tuple[BackendHealth, ...] = ()
    troubles: tuple[str, ...] = ()
    metering: str = ""
    """What is wrong with counting spans, in words for people."""
    """Background tasks that died and are being restarted."""
    anonymous_memory: int = 0
    """Bytes of anonymous memory of this process."""
    recent_calls: Mapping[str, int] = field(default_factory=dict)
    """Export calls of the last five minutes, by outcome."""
    adoption: AdoptionFacts | None = None
    """None where no folder is shared with other pods."""
    filtered: Mapping[str, int] = field(default_factory=dict)
    requests: RequestFacts = RequestFacts()
    dead_letters: LetterStats | None = None
    """What refused requests are kept; None while the log is not open."""
    kept_log: LogFacts | None = None
    """Of what sampling has decided on; None while nothing is sampled."""
    sampling: StageHealth | None = None
    """None while nothing is sampled. So is `rescue`."""
    rescue: RescueHealth | None = None
    link: LinkHealth | None = None
    """To the operator; None where this pod has no token for it."""
    pushes: tuple[PushFacts, ...] = ()
    draining: bool = False
    """Whether it is being stopped."""
    steps: tuple[Sample, ...] = ()
    """The metrics of processors."""
    step_problems: tuple[str, ...] = ()
    """What is wrong with them, in words for people."""
    refusing: tuple[str, ...] = ()
    """Why they, or the want of a policy that can be used, have everything refused; some of it may be in
    `step_problems` too."""

    @property
    def acknowledged(self) -> int:
        """Spans ever acknowledged; 0 while the log is not open."""
        return self.log.acknowledged or 0

    @property
    def received(self) -> int:
        """All spans that arrived."""
        others = sum(self.refused.values()) + sum(self.filtered.values()) + self.suspended_spans
        return self.acknowledged + others
