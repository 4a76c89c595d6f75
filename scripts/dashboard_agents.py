"""The dashboard of agents: what they are asked, how they answer, what they call, and which one it is."""

from __future__ import annotations

from dashboard import AGENT, NAMESPACE, SERVICE, Board, Panel, quantiles, rate

ERRORS = (
    '(sum by (agent) (rate(tracekeeper_requests_total{status="error"}[$__rate_interval]))'
    " or 0 * sum by (agent) (rate(tracekeeper_requests_total{}[$__rate_interval])))"
    " / (sum by (agent) (rate(tracekeeper_requests_total{}[$__rate_interval])) > 0)"
)
TOOL_ERRORS = (
    '(sum by (tool) (rate(tracekeeper_tool_calls_total{status="error"}[$__rate_interval]))'
    " or 0 * sum by (tool) (rate(tracekeeper_tool_calls_total{}[$__rate_interval])))"
    " / (sum by (tool) (rate(tracekeeper_tool_calls_total{}[$__rate_interval])) > 0)"
)
P95 = "histogram_quantile(0.95, sum by (agent, le) (rate(tracekeeper_request_duration_seconds_bucket{}[$__range])))"
REQUESTS = "sum by (agent) (rate(tracekeeper_requests_total{}[$__range]))"

ROWS: dict[str, tuple[Panel, ...]] = {
    "At a glance": (
        Panel("Requests", "A second.", "reqps", rate("tracekeeper_requests_total"), "stat", 4, 4),
        Panel(
            "Failed",
            "Share of requests whose span has the status error.",
            "percentunit",
            (
                (
                    (
                        '(sum(rate(tracekeeper_requests_total{status="error"}[$__rate_interval])) or vector(0))'
                        " / (sum(rate(tracekeeper_requests_total{}[$__rate_interval])) > 0)"
                    ),
                    "failed",
                ),
            ),
            "stat",
            4,
            4,
        ),
        Panel(
            "Slowest of 100",
            "99 are faster.",
            "s",
            quantiles("tracekeeper_request_duration_seconds", 0.99),
            "stat",
            4,
            4,
        ),
        Panel(
            "Most calls of one request",
            "Of models and tools, in the last five minutes. A loop shows here first.",
            "short",
            (("max(tracekeeper_request_calls_highest{})", "calls"),),
            "stat",
            4,
            4,
        ),
        Panel("Tokens", "A second, in and out.", "short", rate("tracekeeper_tokens_total"), "stat", 4, 4),
        Panel(
            "Cost per hour",
            "At the present pace, where prices are known.",
            "currencyUSD",
            (("3600 * sum(rate(tracekeeper_cost_dollars_total{}[$__rate_interval]))", "cost"),),
            "stat",
            4,
            4,
        ),
    ),
    "Agents": (
        Panel(
            "Agents",
            "Over the time that is shown. Requests of spans that name no agent have an empty name.",
            "short",
            (
                (REQUESTS, "requests/s"),
                (
                    (
                        '(sum by (agent) (rate(tracekeeper_requests_total{status="error"}[$__range])) or 0 * '
                        f"{REQUESTS}) / ({REQUESTS} > 0)"
                    ),
                    "failed",
                ),
                (P95, "p95"),
                (f"sum by (agent) (rate(tracekeeper_tokens_total{{}}[$__range])) / ({REQUESTS} > 0)", "tokens/request"),
                ("max by (agent) (max_over_time(tracekeeper_request_calls_highest{}[$__range]))", "most calls"),
                ("3600 * sum by (agent) (rate(tracekeeper_cost_dollars_total{}[$__range]))", "cost/hour"),
            ),
            "table",
            24,
            10,
            ("reqps", "percentunit", "s", "short", "short", "currencyUSD"),
        ),
    ),
    "Trouble": (
        Panel(
            "Detected",
            "Times an hour that a detector has spoken of an agent. Each has a page in the documentation.",
            "short",
            (("sum by (agent, detector) (increase(tracekeeper_detections_total{}[1h]))", "{{agent}} {{detector}}"),),
            width=12,
        ),
        Panel(
            "Who calls whom",
            "Calls of agents and tools, and hand-offs, over the time that is shown, as far as one pod sees them.",
            "short",
            (("sum by (caller, callee, kind) (increase(tracekeeper_agent_calls_total{}[$__range]))", "calls"),),
            "table",
            12,
            units=("short",),
        ),
    ),
    "Requests": (
        Panel("By agent", "A second.", "reqps", rate("tracekeeper_requests_total", "agent")),
        Panel("Failed, by agent", "Share of its requests.", "percentunit", ((ERRORS, "{{agent}}"),)),
        Panel(
            "Errors",
            "Failed requests a second, by `error.type`.",
            "reqps",
            (
                (
                    'sum by (error_type) (rate(tracekeeper_requests_total{status="error"}[$__rate_interval]))',
                    "{{error_type}}",
                ),
            ),
        ),
        Panel(
            "How long they take",
            "All agents together.",
            "s",
            quantiles("tracekeeper_request_duration_seconds", 0.5, 0.95, 0.99),
        ),
        Panel(
            "Most calls of one request, by agent",
            "Of models and tools: one message that fans out to a hundred calls is one that somebody pays for.",
            "short",
            (("max by (agent) (tracekeeper_request_calls_highest{})", "{{agent}}"),),
        ),
        Panel(
            "By workflow",
            "Requests a second.",
            "reqps",
            rate("tracekeeper_requests_total", "workflow"),
        ),
    ),
    "Models": (
        Panel(
            "Calls",
            "A second, by model.",
            "reqps",
            (
                (
                    'sum by (provider, model) (rate(tracekeeper_operations_total{kind="llm"}[$__rate_interval]))',
                    "{{provider}} {{model}}",
                ),
            ),
        ),
        Panel(
            "How long they take",
            "95 of 100 calls are faster, by model.",
            "s",
            (
                (
                    (
                        "histogram_quantile(0.95, sum by (model, le) (rate("
                        'tracekeeper_operation_duration_seconds_bucket{kind="llm"}[$__rate_interval])))'
                    ),
                    "{{model}}",
                ),
            ),
        ),
        Panel(
            "Failed",
            "Calls a second that failed, by model and `error.type`.",
            "reqps",
            (
                (
                    (
                        "sum by (model, error_type) (rate("
                        'tracekeeper_operations_total{kind="llm",status="error"}[$__rate_interval]))'
                    ),
                    "{{model}} {{error_type}}",
                ),
            ),
        ),
        Panel("Tokens", "A second, by type.", "short", rate("tracekeeper_tokens_total", "type")),
        Panel(
            "Why answers end",
            "A second. More of `length` or `max_tokens` are answers cut short.",
            "reqps",
            rate("tracekeeper_finish_reasons_total", "reason"),
        ),
        Panel(
            "Another model answered",
            "Times an hour that the model which answered was another one than before, by the model asked for.",
            "short",
            (
                (
                    "sum by (model) (increase(tracekeeper_response_model_changes_total{}[1h]))",
                    "{{model}}",
                ),
            ),
        ),
    ),
    "Tools and conversations": (
        Panel("Tool calls", "A second, by tool.", "reqps", rate("tracekeeper_tool_calls_total", "tool")),
        Panel("Failed tool calls", "Share of a tool's calls.", "percentunit", ((TOOL_ERRORS, "{{tool}}"),)),
        Panel(
            "The costliest conversation",
            "Of those active in the last five minutes, so far, by agent.",
            "currencyUSD",
            (("max by (agent) (tracekeeper_conversation_cost_highest_dollars{})", "{{agent}}"),),
        ),
        Panel(
            "Traces",
            "From the first span's start to the last one's end, in one pod.",
            "s",
            quantiles("tracekeeper_trace_duration_seconds", 0.5, 0.95, 0.99),
        ),
        Panel(
            "Conversations",
            "That have begun, a second, by agent.",
            "ops",
            rate("tracekeeper_conversations_total", "agent"),
        ),
        Panel(
            "How long conversations last",
            "Until nothing of them has come for half an hour.",
            "s",
            quantiles("tracekeeper_conversation_duration_seconds", 0.5, 0.95),
        ),
    ),
}

BOARD = Board(
    "agents",
    "Tracekeeper / Agents",
    "Requests, latency, tokens, cost and errors of agents, counted before sampling.",
    (NAMESPACE, SERVICE, AGENT),
    ROWS,
)
