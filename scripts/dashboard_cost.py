"""The dashboard of cost and budgets."""

from __future__ import annotations

from dashboard import NAMESPACE, SERVICE, Board, Panel, rate

OURS = 'config=~"$namespace/.*"'
"""Budgets are told by the operator, whose namespace is another one: their config names the namespace."""

ROWS: dict[str, tuple[Panel, ...]] = {
    "Budgets": (
        Panel(
            "Used",
            "Share of each budget's limit that its period has used.",
            "percentunit",
            (
                (
                    f"max by (config, budget, key) (tracekeeper_budget_used_ratio{{{OURS}}})",
                    "{{config}} {{budget}} {{key}}",
                ),
            ),
        ),
        Panel(
            "Spent, and what it will be at the end of the period",
            "The forecast goes on as the last hours did.",
            "currencyUSD",
            (
                (
                    f"max by (config, budget) (tracekeeper_budget_spent_dollars{{{OURS}}})",
                    "{{config}} {{budget}} spent",
                ),
                (
                    f"max by (config, budget) (tracekeeper_budget_forecast_dollars{{{OURS}}})",
                    "{{config}} {{budget}} forecast",
                ),
                (
                    f"max by (config, budget) (tracekeeper_budget_limit_dollars{{{OURS}}})",
                    "{{config}} {{budget}} limit",
                ),
            ),
        ),
        Panel(
            "Pace",
            "Share of the limit that was spent within each window.",
            "percentunit",
            (
                (
                    f"max by (config, budget, window) (tracekeeper_budget_burn_ratio{{{OURS}}})",
                    "{{config}} {{budget}} {{window}}",
                ),
            ),
        ),
        Panel(
            "Budgets",
            "Each in its present period. `tracekeeper budget status` says more.",
            "short",
            (
                (f"max by (config, budget, key) (tracekeeper_budget_spent_dollars{{{OURS}}})", "spent"),
                (f"max by (config, budget, key) (tracekeeper_budget_limit_dollars{{{OURS}}})", "limit"),
                (f"max by (config, budget, key) (tracekeeper_budget_used_ratio{{{OURS}}})", "used"),
                (f"max by (config, budget, key) (tracekeeper_budget_forecast_dollars{{{OURS}}})", "forecast"),
            ),
            "table",
            24,
            8,
            ("currencyUSD", "currencyUSD", "percentunit", "currencyUSD"),
        ),
    ),
    "Cost": (
        Panel(
            "Per hour, by agent",
            "At the present pace. Calls whose price is not known are not part of it.",
            "currencyUSD",
            (("3600 * sum by (agent) (rate(tracekeeper_cost_dollars_total{}[$__rate_interval]))", "{{agent}}"),),
        ),
        Panel(
            "Per hour, by model",
            "The same.",
            "currencyUSD",
            (
                (
                    "3600 * sum by (provider, model) (rate(tracekeeper_cost_dollars_total{}[$__rate_interval]))",
                    "{{provider}} {{model}}",
                ),
            ),
        ),
        Panel(
            "Per hour, by namespace",
            "The same.",
            "currencyUSD",
            (
                (
                    "3600 * sum by (namespace) (rate(tracekeeper_cost_dollars_total{}[$__rate_interval]))",
                    "{{namespace}}",
                ),
            ),
        ),
        Panel(
            "Per request, by agent",
            "What one request costs on average.",
            "currencyUSD",
            (
                (
                    (
                        "sum by (agent) (rate(tracekeeper_cost_dollars_total{}[$__rate_interval]))"
                        " / (sum by (agent) (rate(tracekeeper_requests_total{}[$__rate_interval])) > 0)"
                    ),
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            "Per conversation, by agent",
            "On average.",
            "currencyUSD",
            (
                (
                    (
                        "sum by (agent) (rate(tracekeeper_conversation_cost_dollars_total{}[$__rate_interval]))"
                        " / (sum by (agent) (rate(tracekeeper_conversations_total{}[$__rate_interval])) > 0)"
                    ),
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            "Where it goes",
            "Over the time that is shown. Pods that ended within it, and were scraped, are part of it.",
            "currencyUSD",
            (("sum by (agent, model) (increase(tracekeeper_cost_dollars_total{}[$__range]))", "cost"),),
            "table",
            units=("currencyUSD",),
        ),
    ),
    "Tokens": (
        Panel(
            "By model",
            "A second.",
            "short",
            rate("tracekeeper_tokens_total", "model", "type"),
        ),
        Panel(
            "Per request, by agent",
            "A jump is a longer prompt, a longer answer, or more calls.",
            "short",
            (
                (
                    (
                        "sum by (agent) (rate(tracekeeper_tokens_total{}[$__rate_interval]))"
                        " / (sum by (agent) (rate(tracekeeper_requests_total{}[$__rate_interval])) > 0)"
                    ),
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            "Read from a cache, or thought",
            "Parts of the tokens above, a second.",
            "short",
            rate("tracekeeper_token_details_total", "type"),
        ),
    ),
    "What is not known": (
        Panel(
            "Where prices come from",
            "Calls of models a second that Price has seen. An override is `own`, the book `computed`.",
            "reqps",
            rate("tracekeeper_price_calls_total", "source"),
        ),
        Panel(
            "Calls without a price",
            "A second, by model. They are in no sum of costs: give their price in `processors`.",
            "reqps",
            rate("tracekeeper_unpriced_calls_total", "provider", "model"),
        ),
        Panel(
            "Their tokens",
            "A second, by model.",
            "short",
            rate("tracekeeper_unpriced_tokens_total", "provider", "model"),
        ),
        Panel(
            "Spans that were not counted",
            "A second. Budgets that they belong to are `Incomplete`.",
            "ops",
            rate("tracekeeper_meter_missed_spans_total"),
        ),
    ),
}

BOARD = Board(
    "cost",
    "Tracekeeper / Cost and budgets",
    "What calls of models cost, where it goes, and how budgets stand.",
    (NAMESPACE, SERVICE),
    ROWS,
)
