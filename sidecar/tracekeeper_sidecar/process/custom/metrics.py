"""What steps of the user's own have done, and what they cost."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter, gauge

REQUESTS: Final = counter(
    "tracekeeper_custom_requests_total",
    "Requests given to a step of type Custom, by what came of it: answered, raised, timed_out, died (its process"
    " ended), invalid (what it gave back was no such request), overloaded (too many waited), unusable (its process did"
    " not run).",
    "processor",
    "outcome",
)
BYPASSED: Final = counter(
    "tracekeeper_custom_bypassed_spans_total", "Spans that went on as they were, because the step failed.", "processor"
)
CPU: Final = counter(
    "tracekeeper_custom_cpu_seconds_total",
    "CPU time of the step's own processes, in user and system mode.",
    "processor",
)
MEMORY: Final = gauge(
    "tracekeeper_custom_resident_memory_bytes",
    "Memory of the step's process that is in RAM; 0 while none runs.",
    "processor",
)
STARTS: Final = counter(
    "tracekeeper_custom_starts_total", "Times that the step's process was started; the first time is one.", "processor"
)

TABLE: Final[tuple[Metric, ...]] = (REQUESTS, BYPASSED, CPU, MEMORY, STARTS)
