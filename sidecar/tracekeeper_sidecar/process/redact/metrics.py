"""Metrics of redaction, declared once."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter, gauge

VALUES: Final = counter(
    "tracekeeper_redacted_values_total",
    "Values that were hidden, by what has found them: a detector, a pattern of the config, Names, Key, MessageContent; "
    "UnknownField: fields that OTLP does not know.",
    "processor",
    "detector",
    "action",
)
SPANS: Final = counter("tracekeeper_redacted_spans_total", "Spans in which something was hidden.", "processor")
FAST: Final = gauge(
    "tracekeeper_redaction_prefilter",
    "1 while one pass over raw bytes finds what must be looked at; 0 while everything is looked at, which is slow.",
    "processor",
)
TABLE: Final[tuple[Metric, ...]] = (VALUES, SPANS, FAST)
