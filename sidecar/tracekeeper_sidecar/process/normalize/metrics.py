"""Metrics of the step Normalize."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric

TRANSLATED: Final = Metric(
    "tracekeeper_normalize_spans_total",
    "counter",
    "Spans that were translated, by the dialect that they spoke.",
    ("processor", "dialect"),
)
REPEATED: Final = Metric(
    "tracekeeper_normalize_repeated_total",
    "counter",
    "Calls of models whose usage repeats that of another span, and counts no more.",
    ("processor",),
)
UNUSABLE: Final = Metric(
    "tracekeeper_normalize_unusable_total",
    "counter",
    "Attributes that are not what their key says, by reason; they stay as they came and are not translated.",
    ("processor", "dialect", "reason"),
)
