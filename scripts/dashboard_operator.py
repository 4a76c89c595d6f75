"""The dashboard of the operator: injection, pods, configuration, alerts, the control stream."""

from __future__ import annotations

from dashboard import NAMESPACE_OF_OPERATOR, Board, Panel, quantiles, rate

ROWS: dict[str, tuple[Panel, ...]] = {
    "Injection": (
        Panel(
            "Admissions",
            "Answers a second, by webhook and result. `failed` and `malformed` are faults: see the injector's log.",
            "reqps",
            rate("tracekeeper_injector_admissions_total", "webhook", "result"),
        ),
        Panel(
            "Time of an answer",
            "From a whole request to its answer, inside the injector. The goal is 20 ms for 99 of 100.",
            "s",
            quantiles("tracekeeper_injector_admission_seconds", 0.5, 0.99),
        ),
        Panel(
            "Pods left alone",
            "Opted-in pods that got no sidecar, by reason. An Event on each pod's owner says more.",
            "reqps",
            rate("tracekeeper_injector_skipped_total", "skip_reason"),
        ),
        Panel(
            "Since the API server was heard",
            "Age of what each injector knows of TracingConfigs. Minutes mean that it answers from memory alone.",
            "s",
            (("time() - (tracekeeper_injector_watch_timestamp_seconds{} > 0)", "{{pod}}"),),
        ),
        Panel(
            "Events on owners",
            "What was told to the owners of pods. `dropped` and `failed` are lost.",
            "reqps",
            rate("tracekeeper_injector_events_total", "result"),
        ),
        Panel(
            "Certificate's days left",
            "Until the serving certificate, or its authority, ends. It is renewed when a third of its life is left.",
            "d",
            (
                (
                    "(min by (pod) (tracekeeper_operator_certificate_expiry_timestamp_seconds{} > 0) - time()) / 86400",
                    "{{pod}}",
                ),
            ),
        ),
    ),
    "Pods": (
        Panel(
            "Pods",
            "Opted-in pods by state: `missed` have no sidecar, `failed` one that does not run, `stale` an old policy.",
            "short",
            (("sum by (state) (tracekeeper_controller_pods{})", "{{state}}"),),
        ),
        Panel(
            "Looks at all pods",
            "By which missed ones are found. Errors are tried again.",
            "ops",
            rate("tracekeeper_controller_sweeps_total", "result"),
        ),
        Panel(
            "What was done about them",
            "Evictions of missed pods, and sidecars that got another image in place; only where it is asked for.",
            "ops",
            (
                (
                    "sum by (result) (rate(tracekeeper_controller_repairs_total{}[$__rate_interval]))",
                    "eviction {{result}}",
                ),
                (
                    "sum by (result) (rate(tracekeeper_controller_image_updates_total{}[$__rate_interval]))",
                    "image {{result}}",
                ),
            ),
        ),
        Panel(
            "Images that do not work",
            "1 while this release's sidecar cannot be pulled or started, and in how many namespaces it was refused.",
            "short",
            (
                ("max(tracekeeper_controller_sidecar_image_broken{})", "broken"),
                ("max(tracekeeper_controller_sidecar_image_refused_namespaces{})", "namespaces"),
            ),
        ),
    ),
    "Configuration": (
        Panel(
            "Who leads",
            "1 for the controller that leads. More than one at a time, or none for minutes, is a fault.",
            "short",
            (("max by (pod) (tracekeeper_controller_leader{})", "{{pod}}"),),
        ),
        Panel(
            "TracingConfigs",
            "As many as each process knows. They differ for moments only.",
            "short",
            (("max by (pod) (tracekeeper_operator_tracingconfigs{})", "{{pod}}"),),
        ),
        Panel(
            "Rounds",
            "Namespaces brought to what their TracingConfigs say, by result. Errors are tried again.",
            "ops",
            rate("tracekeeper_controller_reconciles_total", "result"),
        ),
        Panel(
            "Time of a round",
            "Of one namespace: reading its Secrets, compiling its policy, writing it and its statuses.",
            "s",
            quantiles("tracekeeper_controller_reconcile_seconds", 0.5, 0.99),
        ),
        Panel(
            "Writes",
            "Policies published and statuses written. Both are rare while nothing changes.",
            "ops",
            (
                ("sum(rate(tracekeeper_controller_policy_writes_total{}[$__rate_interval]))", "policies"),
                ("sum(rate(tracekeeper_controller_status_writes_total{}[$__rate_interval]))", "statuses"),
            ),
        ),
        Panel(
            "Rollouts",
            "TracingConfigs with a section `rollout`, by phase. `Halted` ones were taken back: see `rollout status`.",
            "short",
            (("sum by (phase) (tracekeeper_controller_rollouts{})", "{{phase}}"),),
        ),
    ),
    "Alerts": (
        Panel(
            "Rules",
            "TracingConfigs with alerts, by whether Prometheus has loaded their rules. `tracekeeper alerts list` says "
            "why not.",
            "short",
            (("max by (status) (tracekeeper_controller_rules_loaded{})", "{{status}}"),),
        ),
        Panel(
            "Writes for Prometheus and Alertmanager",
            "By result. Errors are tried again.",
            "ops",
            rate("tracekeeper_controller_alert_writes_total", "result"),
        ),
        Panel(
            "Statements of what was spent",
            "From sidecars, by result. `repeated` is what came twice, and was counted once.",
            "ops",
            rate("tracekeeper_budget_statements_total", "result"),
        ),
    ),
    "Control stream": (
        Panel(
            "Sidecars attached",
            "And the groups in which they share a target, or tell each other which traces they keep.",
            "short",
            (
                ("sum(tracekeeper_control_sidecars{})", "sidecars"),
                ("sum(tracekeeper_control_groups{})", "groups"),
            ),
        ),
        Panel(
            "Refused and ended",
            "Sidecars that could not attach, by problem, and streams that ended, by reason; `left` is as it should be.",
            "ops",
            (
                *rate("tracekeeper_control_refused_total", "problem"),
                *rate("tracekeeper_control_streams_ended_total", "reason"),
            ),
        ),
        Panel(
            "Messages",
            "From sidecars (in) and to them (out), by kind.",
            "ops",
            rate("tracekeeper_control_messages_total", "direction", "kind"),
        ),
        Panel(
            "Kept traces told to others",
            "`dropped` means that there were too many: others then keep such a trace only by its id.",
            "ops",
            rate("tracekeeper_control_decisions_total", "result"),
        ),
        Panel(
            "Time until all others know",
            "From the arrival of a decision to when it is on its way to the last sidecar.",
            "s",
            quantiles("tracekeeper_control_spread_seconds", 0.5, 0.99),
        ),
    ),
}

BOARD = Board(
    "operator",
    "Tracekeeper / Operator",
    "Injection, pods, configuration, alerts and the control stream.",
    (NAMESPACE_OF_OPERATOR,),
    ROWS,
)
