"""The metrics of all steps, and those that each type of step has of its own, declared once.

A type of step with metrics of its own declares them in a module `metrics` of its own, which is gathered in `TABLE`.
"""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.metrics import Metric, counter
from tracekeeper_sidecar.process.custom import metrics as custom
from tracekeeper_sidecar.process.detect import metrics as detect
from tracekeeper_sidecar.process.normalize import metrics as normalize
from tracekeeper_sidecar.process.price import metrics as price
from tracekeeper_sidecar.process.redact import metrics as redact

SPANS: Final = counter("tracekeeper_processor_spans_total", "Spans that the step was given.", "processor", "type")
CHANGED_SPANS: Final = counter(
    "tracekeeper_processor_changed_spans_total",
    "Spans of the requests that the step did not leave as they came.",
    "processor",
    "type",
)
ERRORS: Final = counter(
    "tracekeeper_processor_errors_total",
    "Requests that the step has failed on. What that means depends on it: redaction refuses them, most let them pass.",
    "processor",
    "type",
)
SECONDS: Final = counter(
    "tracekeeper_processor_seconds_total", "Time that the step has taken of the receivers'.", "processor", "type"
)

TABLE: Final[tuple[Metric, ...]] = (
    SPANS,
    CHANGED_SPANS,
    ERRORS,
    SECONDS,
    *normalize.TABLE,
    *redact.TABLE,
    *price.TABLE,
    *detect.TABLE,
    *custom.TABLE,
)
"""All of them, in the order in which they are shown."""
