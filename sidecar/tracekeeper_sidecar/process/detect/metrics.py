"""Metrics of the step `Detect`, besides those that every step has."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter, gauge

REPORTS: Final = counter(
    "tracekeeper_detect_reports_total",
    "Events that the step has written on spans, by detector.",
    "processor",
    "detector",
)
AGENT_CALLS: Final = counter(
    "tracekeeper_agent_calls_total",
    "Calls of agents and tools, and hand-offs, by who calls whom. The caller is empty where no agent is above.",
    "processor",
    "caller",
    "callee",
    "kind",
)
LINKS: Final = counter(
    "tracekeeper_detect_links_total",
    "Traces linked to the one before in their conversation.",
    "processor",
)
LEFT: Final = counter(
    "tracekeeper_detect_left_total",
    "Events and links that were not written, because one request had more than 2,048 of them.",
    "processor",
)
TRACES: Final = gauge("tracekeeper_detect_traces", "Traces that the step remembers.", "processor")
CONVERSATIONS: Final = gauge("tracekeeper_detect_conversations", "Conversations that the step remembers.", "processor")
FORGOTTEN: Final = counter(
    "tracekeeper_detect_forgotten_traces_total",
    "Traces forgotten before their time because there was no room: what goes wrong in them may not be seen.",
    "processor",
)
MEMORY: Final = gauge("tracekeeper_detect_memory_bytes", "Memory that this takes.", "processor")

TABLE: Final[tuple[Metric, ...]] = (REPORTS, AGENT_CALLS, LINKS, LEFT, TRACES, CONVERSATIONS, FORGOTTEN, MEMORY)
