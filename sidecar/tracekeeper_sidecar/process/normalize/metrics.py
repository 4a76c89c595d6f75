"""Metrics of the step `Normalize`, besides those that every step has."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter

TRANSLATED: Final = counter(
    "tracekeeper_normalize_spans_total",
    "Spans that were translated, by the dialect that they spoke.",
    "processor",
    "dialect",
)
REPEATED: Final = counter(
    "tracekeeper_normalize_repeated_total",
    "Spans whose tokens are those of other spans once more, and count no more.",
    "processor",
)
UNUSABLE: Final = counter(
    "tracekeeper_normalize_unusable_total",
    "Attributes that are not what their key says; they stay as they came and are not translated. Reasons: type, "
    "negative, absurd (more than a thousand million tokens), fraction, not_finite, json (cut off, or none), messages "
    "(JSON that has none), too_large.",
    "processor",
    "dialect",
    "reason",
)
LATE: Final = counter(
    "tracekeeper_normalize_late_total",
    "Spans that a request had no CPU time left for, of one second; they went on without what was left: messages (all "
    "but these was translated) or all (they are as they came).",
    "processor",
    "left",
)

TABLE: Final[tuple[Metric, ...]] = (TRANSLATED, REPEATED, UNUSABLE, LATE)
