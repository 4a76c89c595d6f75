"""Every metric of the sidecar, declared once; the exposition and docs/reference/metrics.md are made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name as scraped, its type, its labels in order, and its help text."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """As OpenMetrics writes it: the end of the name, before `_total`. Empty for numbers of things."""
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, ascending; one more bucket is for all above."""
    exemplars: bool = False
    """Whether buckets show the trace of something that fell into them."""


def counter(name: str, help: str, *labels: str) -> Metric:
    """One that only grows; its name ends in `_total`."""
    return Metric(name, "counter", help, labels, _unit(name))


def gauge(name: str, help: str, *labels: str) -> Metric:
    """A number of this moment."""
    return Metric(name, "gauge", help, labels, _unit(name))


def histogram(name: str, help: str, *bounds: float) -> Metric:
    """Counts in buckets up to `bounds`, without labels."""
    return Metric(name, "histogram", help, (), _unit(name), bounds)


def _unit(name: str) -> str:
    """Its name says it."""
    last = name.removesuffix("_total").rpartition("_")[2]
    return last if last in ("seconds", "bytes") else ""


SPANS_RECEIVED: Final = counter(
    "tracekeeper_spans_received_total", "Spans that arrived. Equals acknowledged + refused + filtered + suspended."
)
SPANS_ACKNOWLEDGED: Final = counter(
    "tracekeeper_spans_acknowledged_total", "Spans answered OK after they were synced to disk."
)
SPANS_REFUSED: Final = counter(
    "tracekeeper_spans_refused_total", "Spans refused, by reason; the sender was told.", "reason"
)
SPANS_SUSPENDED: Final = counter(
    "tracekeeper_spans_suspended_total", "Spans answered OK and not stored, because suspend is true."
)
SPANS_FILTERED: Final = counter(
    "tracekeeper_spans_filtered_total", "Spans answered OK and thrown away by a processor.", "processor"
)
REQUESTS_REFUSED: Final = counter(
    "tracekeeper_requests_refused_total",
    "Requests refused, by reason. Requests that cannot be parsed have no countable spans and show here only.",
    "reason",
)
REQUEST_DURATION: Final = histogram(
    "tracekeeper_application_request_duration_seconds",
    "Requests that the application has served, as its spans tell: those of kind SERVER or CONSUMER and local roots.",
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
REQUEST_ERRORS: Final = counter(
    "tracekeeper_application_request_errors_total", "Those of these requests whose span has the status error."
)
SPANS_DELIVERED: Final = counter(
    "tracekeeper_spans_delivered_total", "Spans that a backend has taken.", "delivery", "backend"
)
SPANS_DROPPED: Final = counter(
    "tracekeeper_spans_dropped_total", "Acknowledged spans given up, by reason.", "delivery", "reason"
)
SPANS_SAMPLED_OUT: Final = counter(
    "tracekeeper_spans_sampled_out_total", "Acknowledged spans that sampling left out, by rule.", "delivery", "rule"
)
SPANS_UNMATCHED: Final = counter(
    "tracekeeper_spans_unmatched_total", "Acknowledged spans that the entry's match does not take.", "delivery"
)
SPANS_REDELIVERED: Final = counter(
    "tracekeeper_spans_redelivered_total",
    "Spans sent after they had been settled, by reason. Not part of any equation.",
    "delivery",
    "reason",
)
SPANS_PENDING: Final = gauge("tracekeeper_spans_pending", "Acknowledged spans that are not settled yet.", "delivery")
DRAINING: Final = gauge(
    "tracekeeper_draining", "1 while the sidecar is being stopped and delivers what is pending, else 0."
)
DELIVERY_LAG: Final = gauge(
    "tracekeeper_delivery_lag_seconds", "Age of the oldest pending span; 0 when none is pending.", "delivery"
)
DELIVERY_ASIDE: Final = gauge(
    "tracekeeper_delivery_aside_batches",
    "Batches that a backend fails on or never answers; others pass them, and they are tried again.",
    "delivery",
)
BACKEND_USABLE: Final = gauge(
    "tracekeeper_backend_usable", "1, or 0 while a secret is missing or a certificate unreadable.", "backend"
)
CIRCUIT_STATE: Final = gauge(
    "tracekeeper_backend_circuit_state",
    "1 for the circuit breaker's present state, else 0.",
    "backend",
    "state",
)
CIRCUIT_TRANSITIONS: Final = counter(
    "tracekeeper_backend_circuit_transitions_total",
    "Changes of the circuit breaker, by new state and cause.",
    "backend",
    "state",
    "cause",
)
CIRCUIT_REJECTED: Final = counter(
    "tracekeeper_backend_circuit_rejected_total", "Calls not made because the circuit was open.", "backend"
)
BACKEND_RETRIES: Final = counter(
    "tracekeeper_backend_retries_total", "Calls for spans that the backend had failed to take before.", "backend"
)
RETRY_BUDGET: Final = gauge(
    "tracekeeper_backend_retry_budget", "Retries that may be made at once; below 1 they wait.", "backend"
)
PASSED_OVER: Final = counter(
    "tracekeeper_backend_passed_over_total",
    "Requests given to the next backend because sends to this one were stuck.",
    "backend",
)
REJECTED_SPANS: Final = counter(
    "tracekeeper_backend_rejected_spans_total",
    "Spans that the backend took and threw away (partial success); they are dropped as `rejected`.",
    "backend",
)
REQUEST_LIMIT: Final = gauge(
    "tracekeeper_backend_request_limit_bytes",
    "Size to which requests are cut, as learned from refusals; 0 while the backend has refused none.",
    "backend",
)
BACKEND_CALLS: Final = counter(
    "tracekeeper_backend_calls_total", "Export calls to a backend, by outcome.", "backend", "outcome"
)
BACKEND_LAST_SUCCESS: Final = gauge(
    "tracekeeper_backend_last_success_timestamp_seconds",
    "Unix time of the last delivery; 0 before the first.",
    "backend",
)
DEAD_LETTERS: Final = gauge("tracekeeper_dead_letters", "Refused requests kept as dead letters.")
DEAD_LETTER_SPANS: Final = gauge("tracekeeper_dead_letter_spans", "Spans in dead letters.")
DEAD_LETTER_BYTES: Final = gauge("tracekeeper_dead_letter_bytes", "Bytes that dead letters take.")
DEAD_LETTER_LIMIT: Final = gauge("tracekeeper_dead_letter_limit_bytes", "Bytes that dead letters may take.")
DEAD_LETTER_EVICTED: Final = counter(
    "tracekeeper_dead_letter_evicted_spans_total", "Spans in dead letters that were removed to make room."
)
DEAD_LETTER_LOST: Final = counter(
    "tracekeeper_dead_letter_lost_spans_total",
    "Spans given up without a dead letter: none are to be kept, there was no room, or the disk failed.",
)
SAMPLING_OPEN_TRACES: Final = gauge("tracekeeper_sampling_open_traces", "Traces that are not decided on yet.")
SAMPLING_TABLE_BYTES: Final = gauge(
    "tracekeeper_sampling_table_bytes", "Memory for what is known of open traces, and for verdicts that are remembered."
)
SAMPLING_UNDECIDED_SPANS: Final = gauge(
    "tracekeeper_sampling_undecided_spans", "Acknowledged spans that wait for the decision on their trace."
)
SAMPLING_LAG: Final = gauge(
    "tracekeeper_sampling_lag_seconds",
    "Age of the oldest of these spans, as far as it is known; 0 when none waits. Up to `decisionWait` is usual.",
)
SAMPLING_TRACES: Final = counter(
    "tracekeeper_sampling_traces_total",
    "Traces decided on since the start, by rule and by decision: kept, sampled_out.",
    "rule",
    "decision",
)
SAMPLING_LATE_TRACES: Final = counter(
    "tracekeeper_sampling_late_traces_total",
    "Traces of which more spans came after the decision; these followed it. Not counted in traces_total again.",
)
SAMPLING_OVERLOADED: Final = gauge(
    "tracekeeper_sampling_overloaded",
    "1 while rules are not asked, because sampling cannot keep up, and traces are decided on by their id; else 0.",
)
SAMPLING_OVERLOADS: Final = counter(
    "tracekeeper_sampling_overloads_total",
    "Times that this began, by what was too much: lag, open_traces, bytes.",
    "cause",
)
SAMPLING_OVERLOAD_SECONDS: Final = counter(
    "tracekeeper_sampling_overload_seconds_total", "Time for which this lasted. Its traces have the rule `overload`."
)
SAMPLING_HURRIES: Final = counter(
    "tracekeeper_sampling_hurries_total",
    "Times that undecided spans had nearly filled the log, so that traces were decided on before they were whole: by"
    " the rules, as far as the traces had come.",
)
SAMPLING_PROBABILITY: Final = gauge(
    "tracekeeper_sampling_probability", "The lowest probability with which `sampling.default` now keeps traces."
)
SAMPLING_SHARE: Final = gauge(
    "tracekeeper_sampling_share_traces_per_second",
    "What an `Adaptive` default may keep in this pod: its part of `targetTracesPerSecond`.",
)
SAMPLING_FLOOR: Final = gauge(
    "tracekeeper_sampling_floor_probability",
    "The probability below which no sidecar that shares the target goes; `minProbability` while nobody says another.",
)
SAMPLING_SIDECARS: Final = gauge(
    "tracekeeper_sampling_sidecars", "Sidecars that share the target, as the operator has last said; 1 before."
)
SAMPLING_TOLD: Final = counter(
    "tracekeeper_sampling_told_traces_total",
    "Traces that other pods keep, by what they were here when this sidecar was told: unknown, open, overturned (to be"
    " left out, and kept instead), passed (left out before; what the log still holds is rescued), kept.",
    "outcome",
)
SAMPLING_SPREAD: Final = counter(
    "tracekeeper_sampling_spread_traces_total",
    "Traces kept here that others may leave out, by what became of telling them: handed_over, dropped (too many"
    " waited, or for too long).",
    "outcome",
)
RESCUE_WAITING: Final = gauge(
    "tracekeeper_rescue_waiting_traces",
    "Traces left out here that other pods keep, and whose spans are still to be read from the log's history.",
    "delivery",
)
RESCUE_GIVEN_UP: Final = counter(
    "tracekeeper_rescue_given_up_traces_total",
    "Those of them that were given up, by reason: full (too many were waiting), gone (the history had no spans of them"
    " any more).",
    "delivery",
    "reason",
)
RESCUE_REFUSED: Final = counter(
    "tracekeeper_rescue_refused_spans_total", "Spans of such traces that no backend has taken.", "delivery"
)
RESCUE_SECONDS: Final = histogram(
    "tracekeeper_rescue_duration_seconds",
    "Such traces, by the time from the other pod's decision until a delivery entry's backend had all that there was.",
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
LOG_BYTES: Final = gauge(
    "tracekeeper_log_bytes", "Bytes that the data directory takes, without what sampling has decided on (`kept/`)."
)
LOG_QUOTA_BYTES: Final = gauge(
    "tracekeeper_log_quota_bytes", "Bytes that they may take: half of the storage while traces are sampled, else all."
)
LOG_HISTORY_BYTES: Final = gauge(
    "tracekeeper_log_history_bytes", "Bytes of delivered spans among them, which give way when their room is needed."
)
LOG_ROOM_BYTES: Final = gauge("tracekeeper_log_room_bytes", "Bytes that could be stored now, history counted as room.")
LOG_SEGMENTS: Final = gauge("tracekeeper_log_segments", "Segment files of the log.")
LOG_COMMITS: Final = counter(
    "tracekeeper_log_commits_total", "Group commits: one write and one sync for many requests."
)
LOG_SYNC_SECONDS: Final = counter("tracekeeper_log_sync_seconds_total", "Time spent waiting for the disk to sync.")
LOG_DAMAGED_BYTES: Final = counter(
    "tracekeeper_log_damaged_bytes_total", "Bytes of the log that could not be read back."
)
KEPT_LOG_BYTES: Final = gauge(
    "tracekeeper_kept_log_bytes", "Bytes that what sampling has decided on takes (`kept/`), while traces are sampled."
)
KEPT_LOG_QUOTA_BYTES: Final = gauge("tracekeeper_kept_log_quota_bytes", "Bytes that it may take: half of the storage.")
KEPT_LOG_ROOM_BYTES: Final = gauge(
    "tracekeeper_kept_log_room_bytes", "Bytes of it that could be stored now, history counted as room."
)
LOG_AVAILABLE: Final = gauge("tracekeeper_log_available", "1 while the log takes spans, 0 while it refuses them.")
CONTROL_ATTACHED: Final = gauge(
    "tracekeeper_control_attached",
    "1 while the sidecar is attached to the operator, 0 while it is not although the policy names one.",
)
CONTROL_ATTEMPTS: Final = counter(
    "tracekeeper_control_attempts_total",
    "Attempts to attach to the operator, by what came of them: attached, unreachable, refused, silent, ended, broken,"
    " token, policy, failed.",
    "outcome",
)
CONTROL_ENDS: Final = counter(
    "tracekeeper_control_ends_total", "Streams to the operator that have ended, by cause, as for attempts.", "cause"
)
CONTROL_SENT: Final = counter("tracekeeper_control_sent_bytes_total", "Bytes of messages to the operator.")
CONTROL_RECEIVED: Final = counter("tracekeeper_control_received_bytes_total", "Bytes of messages from the operator.")
ADOPTED_FOLDERS: Final = counter(
    "tracekeeper_adopted_folders_total",
    "Folders of pods that are gone from this node, by how their adoption ended: drained, handed_back, put_back.",
    "outcome",
)
ADOPTED_DELIVERED: Final = counter(
    "tracekeeper_adopted_spans_delivered_total",
    "Spans from such folders that a backend has taken; beside the ledger of this pod's own spans.",
    "delivery",
    "backend",
)
ADOPTED_DROPPED: Final = counter(
    "tracekeeper_adopted_spans_dropped_total", "Spans from such folders given up, by reason.", "delivery", "reason"
)
ADOPTED_PENDING: Final = gauge(
    "tracekeeper_adopted_spans_pending", "Spans not yet delivered or dropped in the folder being delivered.", "delivery"
)
POLICY_REVISION: Final = gauge(
    "tracekeeper_policy_revision", "Revision of the policy in force; 0 without one.", "config"
)
POLICY_FAULTS: Final = gauge(
    "tracekeeper_policy_faults",
    "Faults of the newest policy on disk; while there are any, the previous one is in force.",
)
PUSHES: Final = counter(
    "tracekeeper_pushes_total", "Pushes of `metrics.push`, by what became of them: sent, failed.", "push", "outcome"
)
PUSH_LAST_SUCCESS: Final = gauge(
    "tracekeeper_push_last_success_timestamp_seconds", "Unix time of the last push; 0 before the first.", "push"
)
BUILD_INFO: Final = gauge("tracekeeper_build_info", "Always 1; the version is a label.", "version")
PROCESS_CPU: Final = counter("process_cpu_seconds_total", "CPU time of this process, in user and system mode.")
PROCESS_RESIDENT: Final = gauge("process_resident_memory_bytes", "Memory of this process that is in RAM.")
PROCESS_VIRTUAL: Final = gauge("process_virtual_memory_bytes", "Address space of this process.")
PROCESS_START: Final = gauge("process_start_time_seconds", "Unix time of this process's start.")
PROCESS_FILES: Final = gauge("process_open_fds", "Files and sockets that this process has open.")
PROCESS_MAX_FILES: Final = gauge("process_max_fds", "How many of them it may have open.")

TABLE: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
