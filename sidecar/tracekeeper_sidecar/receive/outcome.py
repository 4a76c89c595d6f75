"""What became of a request: a value that gRPC and HTTP each turn into an answer of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tracekeeper_sidecar.errors import LogFull, LogTooLarge, LogUnavailable, NotReady, StepUnavailable, WireError
from tracekeeper_sidecar.wire import status

Reason = Literal[
    "malformed", "too_large", "overloaded", "quota", "disk", "unavailable", "timeout", "internal",
    "media_type", "encoding", "method", "path", "slow_client", "disconnected", "redaction", "processor",
]  # fmt: skip
"""Why a request was refused: the `reason` label of the ledger's metrics."""

RETRY_AFTER: Final = 1.0
"""Seconds that a refused sender is asked to wait where the log did not name a time. Well below the 10 s that SDKs give
an export in all, or they would drop the spans at once."""

MAX_REQUEST: Final = 64 * 1024 * 1024
"""Bytes of a request after decompression. OTLP 1.11 recommends this limit to both sides."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The spans are on disk (or counted and let go, while suspended, or by a processor): answer OK."""

    spans: int
    """How many came, without those that were rejected."""
    rejected: int = 0
    """Spans of the same request that are not stored, and must not be sent again."""
    problem: str = ""
    """Why, for the person who reads the application's log."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The spans are not taken; the sender is told why and whether to come back."""

    reason: Reason
    grpc_code: int
    """Of google.rpc.Code."""
    http_status: int
    message: str
    """For the person who reads the application's log."""
    retry_after: float | None = None
    """Seconds after which to send the same again; None: never."""


Outcome = Accepted | Refused


def malformed(error: WireError) -> Refused:
    """The request is not OTLP; sending it again changes nothing."""
    return Refused("malformed", status.INVALID_ARGUMENT, 400, f"not a valid OTLP trace request: {error}")


def too_large(size: int | None = None) -> Refused:
    """Beyond the size limit; `size` in bytes where it is known. Such a request must not be sent again, says OTLP."""
    known = "" if size is None else f" of {size} bytes"
    return Refused(
        "too_large",
        status.RESOURCE_EXHAUSTED,
        413,
        f"the request{known} is over the limit of {MAX_REQUEST} bytes (after decompression); "
        "make the exporter's batches smaller (OTEL_BSP_MAX_EXPORT_BATCH_SIZE)",
    )


def too_large_for_json(size: int, limit: int) -> Refused:
    """Converting so much JSON would take more memory than requests may have."""
    return Refused(
        "too_large",
        status.RESOURCE_EXHAUSTED,
        413,
        f"the request of {size} bytes is over the limit of {limit} bytes for JSON; make the exporter's batches smaller "
        "or send protobuf",
    )


def never_fits(error: LogTooLarge) -> Refused:
    """Larger than the buffer could ever take. Like any request that is too large, it must not be sent again."""
    return Refused("too_large", status.RESOURCE_EXHAUSTED, 413, str(error))


def overloaded(limit: int) -> Refused:
    """Too many bytes in flight."""
    return Refused(
        "overloaded",
        status.RESOURCE_EXHAUSTED,
        429,
        f"{limit} bytes of requests are already waiting for the disk; try again in {RETRY_AFTER:g} s",
        RETRY_AFTER,
    )


def overcrowded(problem: str) -> Refused:
    """Too many connections."""
    return Refused("overloaded", status.UNAVAILABLE, 503, problem, RETRY_AFTER)


def full(error: LogFull) -> Refused:
    """The buffer has no room until a backend takes something out of it."""
    reason: Reason = "disk" if error.reason == "disk" else "quota"
    return Refused(reason, status.RESOURCE_EXHAUSTED, 429, f"the buffer is full: {error}", error.retry_after)


def unavailable(error: LogUnavailable) -> Refused:
    """The log cannot be written at the moment."""
    return Refused("unavailable", status.UNAVAILABLE, 503, f"the buffer cannot be written: {error}", error.retry_after)


def not_ready(error: NotReady) -> Refused:
    """It is too early."""
    return Refused("unavailable", status.UNAVAILABLE, 503, str(error), RETRY_AFTER)


def step_unavailable(error: StepUnavailable) -> Refused:
    """A processor that spans must not pass without does not work at the moment."""
    return Refused("processor", status.UNAVAILABLE, 503, str(error), RETRY_AFTER)


def timed_out(seconds: float) -> Refused:
    """The disk did not answer in time."""
    return Refused(
        "timeout",
        status.UNAVAILABLE,
        503,
        f"the disk has not confirmed the spans within {seconds:g} s; they may still be stored, "
        "and then sending them again duplicates them",
        RETRY_AFTER,
    )


def rejected(reason: Reason, problem: str) -> Refused:
    """No span of the request may be stored; sending it again changes nothing."""
    return Refused(reason, status.INVALID_ARGUMENT, 400, problem)


def internal() -> Refused:
    """A fault of ours; the log line has the trace."""
    return Refused(
        "internal", status.UNAVAILABLE, 503, "the sidecar failed on this request; its log has the details", RETRY_AFTER
    )
