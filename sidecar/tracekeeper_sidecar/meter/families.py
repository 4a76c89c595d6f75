"""The families of metrics that spans are counted in, declared once; `metrics.TABLE` holds the sidecar's own.

Each has the label `alerts`: the config whose alerts hold for this pod, as `NAMESPACE/NAME`, or nothing. The other
labels come from the application, so each family has a bound: what is beyond it is counted together, as `other`.
"""

from __future__ import annotations

from typing import Final, Literal

from tracekeeper_sidecar.metrics import Metric

DURATIONS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0,
    1800.0, 3600.0, 7200.0, 14400.0,
)  # fmt: skip
"""Upper bounds of the buckets of durations, in seconds: agents may work for hours."""
CALLS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Of numbers of calls."""


def _family(type: Literal["counter", "gauge"], name: str, help: str, labels: str = "", unit: str = "") -> Metric:
    return Metric(name, type, help, ("alerts", *labels.split()), unit)


def _histogram(name: str, help: str, labels: str, bounds: tuple[float, ...], unit: str = "") -> Metric:
    return Metric(name, "histogram", help, ("alerts", *labels.split()), unit, bounds, exemplars=True)


REQUESTS: Final = _family(
    "counter",
    "tracekeeper_requests_total",
    "Requests that the application has served: spans of kind SERVER or CONSUMER and local roots. Counted when the"
    " request has ended and its trace has been quiet for 2 s.",
    "service agent workflow status error_type",
)
REQUEST_DURATION: Final = _histogram(
    "tracekeeper_request_duration_seconds", "How long they took.", "service agent workflow", DURATIONS, "seconds"
)
OPERATIONS: Final = _family(
    "counter",
    "tracekeeper_operations_total",
    "Operations of agents: spans with gen_ai.operation.name, or with a tracekeeper.kind that is known.",
    "service agent kind operation provider model status error_type",
)
OPERATION_DURATION: Final = _histogram(
    "tracekeeper_operation_duration_seconds", "How long they took.", "service agent kind model", DURATIONS, "seconds"
)
METERED_SPANS: Final = _family(
    "counter", "tracekeeper_metered_spans_total", "Acknowledged spans, all of them.", "service kind"
)
REQUEST_CALLS: Final = _histogram(
    "tracekeeper_request_calls", "Calls of models and tools that one request has made.", "service agent workflow", CALLS
)
REQUEST_CALLS_HIGHEST: Final = _family(
    "gauge",
    "tracekeeper_request_calls_highest",
    "The most calls of models and tools that one request of the last 5 minutes has made, those under way included.",
    "service agent workflow",
)
TOKENS: Final = _family(
    "counter",
    "tracekeeper_tokens_total",
    "Tokens of calls of models, by type: input, output.",
    "service agent workflow provider model type",
    "tokens",
)
TOKEN_DETAILS: Final = _family(
    "counter",
    "tracekeeper_token_details_total",
    "Parts of them, by type: cache_read and cache_write of the input, reasoning of the output.",
    "service provider model type",
)
COST: Final = _family(
    "counter",
    "tracekeeper_cost_dollars_total",
    "What calls of models have cost, where their price is known.",
    "service agent workflow provider model",
    "dollars",
)
UNPRICED_CALLS: Final = _family(
    "counter", "tracekeeper_unpriced_calls_total", "Calls of models whose cost is not known.", "service provider model"
)
UNPRICED_TOKENS: Final = _family(
    "counter",
    "tracekeeper_unpriced_tokens_total",
    "Tokens of these calls.",
    "service provider model",
    "tokens",
)
FINISH_REASONS: Final = _family(
    "counter", "tracekeeper_finish_reasons_total", "Answers of models, by why they ended.", "service agent model reason"
)
MODEL_CHANGES: Final = _family(
    "counter",
    "tracekeeper_response_model_changes_total",
    "Times that another model has answered than the one that answered such calls before.",
    "service model",
)
TOOL_CALLS: Final = _family(
    "counter",
    "tracekeeper_tool_calls_total",
    "Calls of tools. One that an MCP client's span tells as well counts once.",
    "service agent tool status error_type",
)
TRACE_DURATION: Final = _histogram(
    "tracekeeper_trace_duration_seconds",
    "From the earliest start to the latest end of what a trace has in this pod.",
    "service agent",
    DURATIONS,
    "seconds",
)
CONVERSATIONS: Final = _family(
    "counter",
    "tracekeeper_conversations_total",
    "Conversations that have begun in this pod.",
    "service agent",
)
CONVERSATION_DURATION: Final = _histogram(
    "tracekeeper_conversation_duration_seconds",
    "How long they lasted; one ends when nothing of it has come for 30 minutes.",
    "service agent",
    DURATIONS,
    "seconds",
)
CONVERSATION_COST: Final = _family(
    "counter",
    "tracekeeper_conversation_cost_dollars_total",
    "What calls of models in conversations have cost.",
    "service agent",
    "dollars",
)
CONVERSATION_COST_HIGHEST: Final = _family(
    "gauge",
    "tracekeeper_conversation_cost_highest_dollars",
    "What the costliest conversation that was active in the last 5 minutes has cost in this pod so far.",
    "service agent",
    "dollars",
)
DETECTIONS: Final = _family(
    "counter",
    "tracekeeper_detections_total",
    "What detectors have said of spans: each attribute tracekeeper.detected, by the detectors that it names.",
    "service agent detector",
)
METERING: Final = _family("gauge", "tracekeeper_metering", "Always 1: this pod counts what comes.")
METER_ROWS: Final = _family("gauge", "tracekeeper_meter_rows", "Rows of each family.", "family")
METER_OVERFLOW: Final = _family(
    "counter",
    "tracekeeper_meter_overflow_total",
    "What was counted as `other` because a label or a family was full.",
    "family",
)
METER_MISSED: Final = _family(
    "counter",
    "tracekeeper_meter_missed_spans_total",
    "Acknowledged spans that were not counted: their room was needed, or the disk has lost them.",
)
METER_LAG: Final = _family(
    "gauge",
    "tracekeeper_meter_lag_seconds",
    "Age of the oldest acknowledged span that is not counted yet; 0 when there is none.",
    unit="seconds",
)

METERED: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
