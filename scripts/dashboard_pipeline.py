"""The dashboard of the pipeline: what becomes of spans, and what keeps them."""

from __future__ import annotations

from dashboard import NAMESPACE, Board, Panel, quantiles, rate

ROWS: dict[str, tuple[Panel, ...]] = {
    "Lost, or about to be": (
        Panel(
            "Refused",
            "Spans a second that applications were told to keep, by reason.",
            "ops",
            rate("tracekeeper_spans_refused_total", "reason"),
        ),
        Panel(
            "Dropped",
            "Acknowledged spans a second that were given up, by reason.",
            "ops",
            rate("tracekeeper_spans_dropped_total", "delivery", "reason"),
        ),
        Panel(
            "Buffer used, by pod",
            "Share that holds what is not delivered yet. At 1 new spans are refused.",
            "percentunit",
            (("1 - tracekeeper_log_room_bytes{} / (tracekeeper_log_quota_bytes{} > 0)", "{{namespace}} {{pod}}"),),
        ),
    ),
    "Ledger": (
        Panel(
            "Received",
            "Spans a second, and what became of them at the door.",
            "ops",
            (
                *(
                    (f"sum(rate(tracekeeper_spans_{what}_total{{}}[$__rate_interval]))", what)
                    for what in ("received", "acknowledged", "refused", "filtered", "suspended")
                ),
            ),
        ),
        Panel(
            "Settled",
            "Acknowledged spans a second, by what became of them; of each delivery entry all of them.",
            "ops",
            (
                *(
                    (
                        f"sum by (delivery) (rate(tracekeeper_spans_{what}_total{{}}[$__rate_interval]))",
                        f"{{{{delivery}}}} {what.replace('_', ' ')}",
                    )
                    for what in ("delivered", "sampled_out", "unmatched", "dropped")
                ),
            ),
        ),
        Panel(
            "Pending",
            "Acknowledged spans that are not settled yet.",
            "short",
            (("sum by (delivery) (tracekeeper_spans_pending{})", "{{delivery}}"),),
        ),
        Panel(
            "The ledger's difference",
            "Received less acknowledged, refused, filtered and suspended. It is 0 in every scrape.",
            "short",
            (
                (
                    (
                        "sum(tracekeeper_spans_received_total{}) - sum(tracekeeper_spans_acknowledged_total{})"
                        " - sum(tracekeeper_spans_refused_total{}) - sum(tracekeeper_spans_suspended_total{})"
                        " - (sum(tracekeeper_spans_filtered_total{}) or vector(0))"
                    ),
                    "difference",
                ),
            ),
        ),
        Panel(
            "Age of the oldest pending span",
            "By delivery entry. It grows with the clock while a backend is away.",
            "s",
            (("max by (delivery) (tracekeeper_delivery_lag_seconds{})", "{{delivery}}"),),
        ),
        Panel(
            "Pushed",
            "Pushes of metrics a second, for configs that have them.",
            "ops",
            rate("tracekeeper_pushes_total", "push", "outcome"),
        ),
    ),
    "Processors": (
        Panel(
            "Values hidden",
            "Personal data and secrets a second, by what has found them.",
            "ops",
            rate("tracekeeper_redacted_values_total", "detector", "action"),
        ),
        Panel(
            "Requests that a step has failed on",
            "A second. Those of Redact are refused; with most others they go on as they were.",
            "reqps",
            rate("tracekeeper_processor_errors_total", "processor", "type"),
        ),
        Panel(
            "Time for a span",
            "Of the receivers, by step.",
            "s",
            (
                (
                    (
                        "sum by (processor, type) (rate(tracekeeper_processor_seconds_total{}[$__rate_interval]))"
                        " / (sum by (processor, type) (rate(tracekeeper_processor_spans_total{}[$__rate_interval]))"
                        " > 0)"
                    ),
                    "{{processor}} {{type}}",
                ),
            ),
        ),
    ),
    "Backends": (
        Panel(
            "Calls",
            "A second, by backend and outcome.",
            "reqps",
            rate("tracekeeper_backend_calls_total", "backend", "outcome"),
        ),
        Panel(
            "Circuits that are open",
            "Pods whose circuit breaker keeps calls from the backend.",
            "short",
            (('sum by (backend) (tracekeeper_backend_circuit_state{state="Open"})', "{{backend}}"),),
        ),
        Panel(
            "Since the last success",
            "Of the pod that has waited longest, by backend.",
            "s",
            (
                (
                    "max by (backend) (time() - (tracekeeper_backend_last_success_timestamp_seconds{} > 0))",
                    "{{backend}}",
                ),
            ),
        ),
        Panel(
            "Dead letters",
            "Refused requests that are kept, in spans.",
            "short",
            (("sum(tracekeeper_dead_letter_spans{})", "spans"),),
        ),
        Panel(
            "Unusable",
            "Pods in which a Secret of the backend is missing, or a certificate cannot be read.",
            "short",
            (("sum by (backend) (1 - tracekeeper_backend_usable{})", "{{backend}}"),),
        ),
        Panel(
            "Set aside",
            "Batches that a backend fails on or never answers.",
            "short",
            (("sum by (delivery) (tracekeeper_delivery_aside_batches{})", "{{delivery}}"),),
        ),
    ),
    "Sampling": (
        Panel(
            "Traces decided on",
            "A second, by rule and decision.",
            "ops",
            rate("tracekeeper_sampling_traces_total", "rule", "decision"),
        ),
        Panel(
            "Overloaded",
            "Pods in which rules are not asked because sampling cannot keep up.",
            "short",
            (("sum(tracekeeper_sampling_overloaded{})", "pods"),),
        ),
        Panel(
            "Probability",
            "The lowest with which the default keeps traces.",
            "percentunit",
            (("min(tracekeeper_sampling_probability{})", "lowest"),),
        ),
    ),
    "Sidecars": (
        Panel(
            "Sidecars",
            "By version.",
            "short",
            (("sum by (version) (tracekeeper_build_info{})", "{{version}}"),),
        ),
        Panel(
            "Log that cannot be written",
            "Pods whose log refuses spans.",
            "short",
            (("sum(1 - tracekeeper_log_available{})", "pods"),),
        ),
        Panel(
            "Faults of policies",
            "By config; while there are any, the previous policy is in force.",
            "short",
            (("sum by (namespace) (tracekeeper_policy_faults{})", "{{namespace}}"),),
        ),
        Panel(
            "Not attached to the operator",
            "Pods whose policy names an operator that they have no stream to.",
            "short",
            (("sum(1 - tracekeeper_control_attached{})", "pods"),),
        ),
        Panel(
            "Behind in counting",
            "Age of the oldest span that is not counted yet.",
            "s",
            (("max(tracekeeper_meter_lag_seconds{})", "oldest"),),
        ),
        Panel(
            "Requests, as the door sees them",
            "How long the application's requests took: without labels, and for every pod.",
            "s",
            quantiles("tracekeeper_application_request_duration_seconds", 0.5, 0.99),
        ),
    ),
}

BOARD = Board(
    "pipeline",
    "Tracekeeper / Pipeline and ledger",
    "What becomes of spans, what waits, and what is wrong.",
    (NAMESPACE,),
    ROWS,
)
