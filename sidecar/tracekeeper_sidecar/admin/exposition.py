"""Everything that a sidecar shows of itself, as families of metrics: those of its snapshot, and what it has counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from tracekeeper_sidecar import metrics as m
from tracekeeper_sidecar.admin import process
from tracekeeper_sidecar.admin.openmetrics import Family, Form, Sample, write
from tracekeeper_sidecar.admin.snapshot import Snapshot
from tracekeeper_sidecar.meter.reading import Histogram, Reading, Row
from tracekeeper_sidecar.process.metrics import TABLE as STEPS

if TYPE_CHECKING:
    from tracekeeper_sidecar.forward.entry import EntryHealth

CIRCUITS = ("Closed", "Open", "HalfOpen", "ForcedOpen", "Disabled")
REFUSALS = ("quota", "disk", "unavailable", "timeout", "overloaded", "too_large")
"""Why spans are refused, as a rule. Others come when they first happen."""
LOSSES = ("refused", "rejected", "too_large", "attempts", "damaged", "expired", "max_spans", "buffer_full", "lag")
"""The same of why acknowledged ones are given up."""


def samples(snapshot: Snapshot, version: str) -> Iterator[Family]:
    """Every metric of the table but the process's own, with its samples."""
    # What the log holds is not known before it is open; a zero then would look like a counter that was reset.
    opened = snapshot.log.acknowledged is not None
    yield m.SPANS_RECEIVED, _one(snapshot.received) if opened else []
    yield m.SPANS_ACKNOWLEDGED, _one(snapshot.acknowledged) if opened else []
    yield m.SPANS_REFUSED, _by(snapshot.refused, *REFUSALS)
    yield m.SPANS_SUSPENDED, _one(snapshot.suspended_spans)
    yield m.SPANS_FILTERED, _by(snapshot.filtered)
    yield m.REQUESTS_REFUSED, _by(snapshot.refused_requests, *REFUSALS)
    yield m.REQUEST_DURATION, _histogram(m.REQUEST_DURATION, snapshot.requests.buckets, snapshot.requests.seconds)
    yield m.REQUEST_ERRORS, _one(snapshot.requests.errors)
    yield from _entry_samples(snapshot)
    yield from _backend_samples(snapshot)
    yield from _dead_letter_samples(snapshot)
    yield from _sampling_samples(snapshot)
    yield from _rescue_samples(snapshot)
    yield from _link_samples(snapshot)
    yield from _log_samples(snapshot)
    yield from _adoption_samples(snapshot)
    pushes = snapshot.pushes
    yield m.PUSHES, [((p.name, how), n) for p in pushes for how, n in (("sent", p.sent), ("failed", p.failed))]
    yield m.PUSH_LAST_SUCCESS, [((p.name,), p.last_success) for p in pushes]
    yield m.POLICY_REVISION, [((snapshot.policy.config,), snapshot.policy.revision)]
    yield m.POLICY_FAULTS, _one(len(snapshot.policy.faults))
    yield from _step_samples(snapshot)
    yield m.BUILD_INFO, [((version,), 1)]


def _entry_samples(snapshot: Snapshot) -> Iterator[Family]:
    entries = snapshot.entries
    yield m.SPANS_DELIVERED, [((e.name, b), n) for e in entries for b, n in e.account.delivered.items()]
    yield m.DRAINING, _one(float(snapshot.draining))
    yield m.SPANS_DROPPED, [row for e in entries for row in _by_entry(e, e.account.dropped, *LOSSES)]
    yield m.SPANS_SAMPLED_OUT, [((e.name, rule), n) for e in entries for rule, n in e.account.sampled_out.items()]
    yield m.SPANS_UNMATCHED, [((e.name,), e.account.unmatched) for e in entries]
    yield m.SPANS_REDELIVERED, [((e.name, why), n) for e in entries for why, n in e.account.redelivered.items()]
    yield m.SPANS_PENDING, [((e.name,), e.pending) for e in entries]
    yield m.DELIVERY_LAG, [((e.name,), e.oldest_pending) for e in entries]
    yield m.DELIVERY_ASIDE, [((e.name,), e.aside) for e in entries]


def _backend_samples(snapshot: Snapshot) -> Iterator[Family]:
    backends = snapshot.backends
    yield m.BACKEND_USABLE, [((b.name,), float(b.usable)) for b in backends]
    yield m.CIRCUIT_STATE, [((b.name, c), float(b.circuit == c)) for b in backends for c in CIRCUITS]
    yield m.CIRCUIT_TRANSITIONS, [((b.name, c, why), n) for b in backends for (c, why), n in b.changes.items()]
    yield m.CIRCUIT_REJECTED, [((b.name,), b.rejected_calls) for b in backends]
    yield m.BACKEND_CALLS, [((b.name, outcome), n) for b in backends for outcome, n in b.calls.items()]
    yield m.BACKEND_LAST_SUCCESS, [((b.name,), b.last_success) for b in backends]
    yield m.BACKEND_RETRIES, [((b.name,), b.retries) for b in backends]
    yield m.RETRY_BUDGET, [((b.name,), b.retry_budget) for b in backends]
    yield m.PASSED_OVER, [((b.name,), b.passed_over) for b in backends]
    yield m.REJECTED_SPANS, [((b.name,), b.rejected_spans) for b in backends]
    yield m.REQUEST_LIMIT, [((b.name,), b.request_limit) for b in backends]


def _dead_letter_samples(snapshot: Snapshot) -> Iterator[Family]:
    found = snapshot.dead_letters
    yield m.DEAD_LETTERS, _one(found.letters) if found else []
    yield m.DEAD_LETTER_SPANS, _one(found.spans) if found else []
    yield m.DEAD_LETTER_BYTES, _one(found.bytes) if found else []
    yield m.DEAD_LETTER_LIMIT, _one(found.limit) if found else []
    yield m.DEAD_LETTER_EVICTED, _one(found.evicted_spans) if found else []
    yield m.DEAD_LETTER_LOST, _one(found.lost_spans) if found else []


def _sampling_samples(snapshot: Snapshot) -> Iterator[Family]:
    stage = snapshot.sampling
    yield m.SAMPLING_OPEN_TRACES, _one(stage.open_traces) if stage else []
    yield m.SAMPLING_TABLE_BYTES, _one(stage.table_bytes) if stage else []
    yield m.SAMPLING_UNDECIDED_SPANS, _one(stage.undecided) if stage else []
    yield m.SAMPLING_LAG, _one(stage.lag) if stage else []
    decided = (("kept", stage.kept), ("sampled_out", stage.left_out)) if stage else ()
    yield m.SAMPLING_TRACES, [((rule, how), n) for how, counts in decided for rule, n in counts.items()]
    yield m.SAMPLING_LATE_TRACES, _one(stage.late) if stage else []
    yield m.SAMPLING_OVERLOADED, _one(float(stage.overloaded)) if stage else []
    yield m.SAMPLING_OVERLOADS, _by(stage.overloads) if stage else []
    yield m.SAMPLING_OVERLOAD_SECONDS, _one(stage.overload_seconds) if stage else []
    yield m.SAMPLING_HURRIES, _one(stage.hurries) if stage else []
    yield m.SAMPLING_PROBABILITY, _one(stage.probability) if stage else []
    yield m.SAMPLING_SHARE, _one(stage.share) if stage and stage.share is not None else []
    yield m.SAMPLING_FLOOR, _one(stage.floor) if stage and stage.floor is not None else []
    yield m.SAMPLING_SIDECARS, _one(stage.sidecars) if stage and stage.share is not None else []
    yield m.SAMPLING_TOLD, _by(stage.told) if stage else []
    yield m.SAMPLING_SPREAD, _by(stage.spread) if stage else []


def _link_samples(snapshot: Snapshot) -> Iterator[Family]:
    link = snapshot.link
    yield m.CONTROL_ATTACHED, _one(float(link.attached)) if link and link.endpoint else []
    yield m.CONTROL_ATTEMPTS, _by(link.attempts) if link else []
    yield m.CONTROL_ENDS, _by(link.ends) if link else []
    yield m.CONTROL_SENT, _one(link.sent) if link else []
    yield m.CONTROL_RECEIVED, _one(link.received) if link else []


def _rescue_samples(snapshot: Snapshot) -> Iterator[Family]:
    rescue = snapshot.rescue
    yield m.RESCUE_WAITING, _by(rescue.waiting) if rescue else []
    yield m.RESCUE_GIVEN_UP, list(rescue.given_up.items()) if rescue else []
    yield m.RESCUE_REFUSED, _by(rescue.refused) if rescue else []
    yield m.RESCUE_SECONDS, _histogram(m.RESCUE_SECONDS, rescue.buckets, rescue.seconds) if rescue else []


def _adoption_samples(snapshot: Snapshot) -> Iterator[Family]:
    facts = snapshot.adoption
    yield m.ADOPTED_FOLDERS, _by(facts.endings) if facts else []
    yield m.ADOPTED_DELIVERED, list(facts.delivered.items()) if facts else []
    yield m.ADOPTED_DROPPED, list(facts.dropped.items()) if facts else []
    yield m.ADOPTED_PENDING, [((e.name,), e.pending) for e in facts.now.entries] if facts and facts.now else []


def _step_samples(snapshot: Snapshot) -> Iterator[Family]:
    rows: dict[m.Metric, list[Sample]] = {metric: [] for metric in STEPS}
    for sample in snapshot.steps:
        rows[sample.metric].append((sample.labels, sample.value))
    yield from rows.items()


def _log_samples(snapshot: Snapshot) -> Iterator[Family]:
    log = snapshot.log
    yield m.LOG_AVAILABLE, _one(float(not log.problem))
    yield m.LOG_BYTES, _one(log.bytes)
    yield m.LOG_QUOTA_BYTES, _one(log.quota)
    yield m.LOG_HISTORY_BYTES, _one(log.history)
    yield m.LOG_ROOM_BYTES, _one(log.room)
    yield m.LOG_SEGMENTS, _one(log.segments)
    yield m.LOG_COMMITS, _one(log.commits)
    yield m.LOG_SYNC_SECONDS, _one(log.sync_seconds)
    yield m.LOG_DAMAGED_BYTES, _one(log.damaged_bytes)
    kept = snapshot.kept_log
    yield m.KEPT_LOG_BYTES, _one(kept.bytes) if kept else []
    yield m.KEPT_LOG_QUOTA_BYTES, _one(kept.quota) if kept else []
    yield m.KEPT_LOG_ROOM_BYTES, _one(kept.room) if kept else []


def own(snapshot: Snapshot, version: str) -> tuple[Family, ...]:
    """The samples of a snapshot, all of them made now: what a snapshot points to may change afterwards."""
    return tuple(samples(snapshot, version))


def render(own: Iterable[Family], reading: Reading | None, shown: int, form: Form) -> bytes:
    """The page that `/metrics` answers with: the sidecar itself, its process, and what spans are counted as.

    Rows that were born after the number `shown` are shown as 0; see `newborn`. Takes milliseconds: for a thread.
    """
    return write(chain(own, process.families(), counted(reading, shown)), form)


def counted(reading: Reading | None, shown: int) -> Iterator[Family]:
    """What spans are counted as; nothing before anything is counted."""
    for metric, rows in reading.families.items() if reading is not None else ():
        yield metric, [(row.labels, _as_shown(metric, row, shown)) for row in rows]


def _as_shown(metric: m.Metric, row: Row, shown: int) -> float | Histogram:
    """The row's value where `shown` is the youngest row that is shown; a gauge is no count, and always shown."""
    if row.born <= shown or metric.type == "gauge":
        return row.value
    if isinstance(row.value, Histogram):
        return Histogram((0,) * len(row.value.counts), 0.0, ())
    return 0


def _histogram(metric: m.Metric, counts: Sequence[int], seconds: float) -> list[Sample]:
    """A histogram that has one row, though nothing was observed yet."""
    return [((), Histogram(tuple(counts) or (0,) * (len(metric.bounds) + 1), seconds, ()))]


def _one(value: float) -> list[Sample]:
    return [((), value)]


def _by(counts: Mapping[str, int], *always: str) -> list[Sample]:
    """Labels with their counts; 0 for those `always` there, so that the first one that is counted is an increase."""
    return [((label,), value) for label, value in (dict.fromkeys(always, 0) | dict(counts)).items()]


def _by_entry(entry: EntryHealth, counts: Mapping[str, int], *always: str) -> list[Sample]:
    """The same of one delivery entry."""
    return [((entry.name, *label), value) for label, value in _by(counts, *always)]
