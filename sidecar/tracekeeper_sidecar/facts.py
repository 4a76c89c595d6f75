"""Takes the snapshot: asks each part of the running sidecar about itself, all in one step of the event loop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from tracekeeper_sidecar.admin.snapshot import BackendFacts, EntryFacts, LogFacts, PolicyFacts, Snapshot
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable

if TYPE_CHECKING:
    from tracekeeper_sidecar.buffer import Buffer
    from tracekeeper_sidecar.control.watcher import Watcher
    from tracekeeper_sidecar.forward.backend import BackendHealth
    from tracekeeper_sidecar.forward.entry import EntryHealth
    from tracekeeper_sidecar.forward.forwarder import Forwarder
    from tracekeeper_sidecar.forward.keeper import Keeper
    from tracekeeper_sidecar.ledger import Intake

WINDOW = 300.0
"""Seconds that count as recent."""
STEP = 10.0
"""Seconds between the marks that the window moves by."""


class RecentCalls:
    """Turns growing totals into those of the last five minutes, whenever somebody asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, Counter[str]]] = deque([(clock.monotonic(), Counter())])

    def since_window(self, totals: Counter[str]) -> Mapping[str, int]:
        """What came on top of the totals as they stood when the window began."""
        now = self._clock.monotonic()
        if now - self._marks[-1][0] >= STEP:
            self._marks.append((now, totals.copy()))
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        return dict(totals - self._marks[0][1])


class Parts(Protocol):
    """What a snapshot is taken of: the application, seen from here."""

    clock: Clock
    intake: Intake
    buffer: Buffer
    keeper: Keeper
    forwarder: Forwarder | None
    """None until the log is open."""
    watcher: Watcher | None
    suspended: bool
    recent_calls: RecentCalls


def take(app: Parts) -> Snapshot:
    """The whole sidecar at this moment."""
    log = app.buffer.log
    forwarder = app.forwarder
    backends = [_backend(health) for health in forwarder.backends()] if forwarder else []
    calls: Counter[str] = Counter()
    for backend in backends:
        calls.update(backend.calls)
    return Snapshot(
        time=app.clock.now(),
        policy=_policy(app),
        log=_log(app.buffer),
        acknowledged=log.end.seq if log else 0,
        refused=dict(app.intake.refused),
        refused_requests=dict(app.intake.refused_requests),
        suspended_spans=app.intake.suspended,
        entries=tuple(_entry(health) for health in forwarder.entries()) if forwarder else (),
        backends=tuple(backends),
        troubles=(*app.keeper.troubles(), *(forwarder.troubles() if forwarder else ())),
        anonymous_memory=anonymous_memory(),
        recent_calls=app.recent_calls.since_window(calls),
    )


def anonymous_memory() -> int:
    """Bytes of anonymous memory of this process, from /proc/self/status; 0 where that is not to be had."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:")), 0)
    except OSError:
        return 0


def _policy(app: Parts) -> PolicyFacts:
    if app.watcher is None:
        return PolicyFacts()
    state = app.watcher.state
    if state.instruction is None:
        return PolicyFacts(faults=state.faults)
    return PolicyFacts(state.instruction.config, state.instruction.revision, state.faults, app.suspended)


def _log(buffer: Buffer) -> LogFacts:
    if buffer.log is None:
        return LogFacts(available=False, problem=buffer.problem)
    try:
        stats = buffer.log.stats()
    except LogUnavailable as error:
        return LogFacts(available=False, problem=str(error))
    return LogFacts(
        available=True,
        bytes=stats.bytes,
        quota=stats.quota,
        segments=stats.segments,
        commits=stats.commits,
        sync_seconds=stats.sync_seconds,
        damaged_bytes=stats.damaged_bytes,
    )


def _entry(health: EntryHealth) -> EntryFacts:
    account = health.account
    return EntryFacts(
        health.name,
        health.backends,
        account.start,
        account.delivered,
        account.dropped,
        health.pending,
        health.oldest_pending,
    )


def _backend(health: BackendHealth) -> BackendFacts:
    return BackendFacts(
        health.name,
        health.circuit,
        health.last_success,
        health.last_error,
        health.transitions,
        health.rejected_calls,
        health.calls,
    )
