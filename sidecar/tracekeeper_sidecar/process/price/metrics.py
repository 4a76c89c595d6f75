"""Metrics of the step `Price`, besides those that every step has."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter, gauge

CALLS: Final = counter(
    "tracekeeper_price_calls_total",
    "Calls of models, by where their price comes from: own (an override), reported (by the application), computed (from"
    " the book), unknown, before (a sidecar has priced them before), left (too many new names of models came at once,"
    " or too many times of day).",
    "processor",
    "source",
)
IGNORED: Final = counter(
    "tracekeeper_price_ignored_costs_total",
    "Costs reported by the application that cannot be: negative, no number, or beyond a million dollars.",
    "processor",
)
TRACES: Final = gauge("tracekeeper_price_traces", "Traces whose calls are added up.", "processor")
FORGOTTEN: Final = counter(
    "tracekeeper_price_forgotten_traces_total",
    "Traces whose sum was forgotten before its time because there was no room: their roots may say too little.",
    "processor",
)

TABLE: Final[tuple[Metric, ...]] = (CALLS, IGNORED, TRACES, FORGOTTEN)
