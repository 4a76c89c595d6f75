"""Every metric of the operator: name, type, labels and meaning, declared once.

Each process owns one `Metrics`; the controller's and the injector's values are zero in the other one, and
left out.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ADMISSION_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
"""Seconds; the goal is 0.02 for 99 of 100."""
SPREAD_BUCKETS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
RECONCILE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)


class Metrics:
    """What both processes have: the certificate and the API server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.certificate_expiry = Gauge(
            "tracekeeper_operator_certificate_expiry_timestamp_seconds",
            "When the webhooks' serving certificate or its authority ends, as Unix time; 0 until there is one.",
            registry=self.registry,
        )
        self.configs = Gauge(
            "tracekeeper_operator_tracingconfigs",
            "TracingConfigs known to this process.",
            registry=self.registry,
        )

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class ControllerMetrics(Metrics):
    """`tracekeeper-operator controller`."""

    def __init__(self) -> None:
        super().__init__()
        self.leader = Gauge(
            "tracekeeper_controller_leader",
            "1 in the controller that leads, 0 in those that stand by; the sum over all is 1.",
            registry=self.registry,
        )
        self.config_faults = Gauge(
            "tracekeeper_controller_config_faults",
            "Faults of the spec, of each TracingConfig that has any: it takes no part, or stays as it was before.",
            ["namespace", "name"],
            registry=self.registry,
        )
        self.reconciles = Counter(
            "tracekeeper_controller_reconciles",
            "Rounds of one namespace, by result: ok or error.",
            ["result"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "tracekeeper_controller_reconcile_seconds",
            "How long one round of one namespace took.",
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.policy_writes = Counter(
            "tracekeeper_controller_policy_writes",
            "Policies written to a namespace's Secret.",
            registry=self.registry,
        )
        self.status_writes = Counter(
            "tracekeeper_controller_status_writes",
            "Status updates of TracingConfigs.",
            registry=self.registry,
        )
        self.pods = Gauge(
            "tracekeeper_controller_pods",
            "Pods that opted in, by namespace and state: injected, missed (they have no sidecar), failed (it does not "
            "run), outdated (it has an older image); and of those that are attached to the control stream, current, "
            "stale (on an older policy), silent (no span ever came), unscraped (nobody has asked for their metrics for "
            "ten minutes) and at_floor (minProbability keeps more than the target of sampling).",
            ["namespace", "state"],
            registry=self.registry,
        )
        self.sweeps = Counter(
            "tracekeeper_controller_sweeps",
            "Looks at all pods, for those that opted in and have no sidecar, by result: ok or error.",
            ["result"],
            registry=self.registry,
        )
        self.swept = Gauge(
            "tracekeeper_controller_sweep_timestamp_seconds",
            "When all pods were last looked at, as Unix time; 0 until then.",
            registry=self.registry,
        )
        self.image_broken = Gauge(
            "tracekeeper_controller_sidecar_image_broken",
            "1 while the sidecar's image of this release cannot be pulled or does not start, so that new pods get an "
            "older one or no sidecar.",
            registry=self.registry,
        )
        self.image_refused = Gauge(
            "tracekeeper_controller_sidecar_image_refused_namespaces",
            "Namespaces in which a pod could not pull the sidecar's image, so that others there get an older one or no "
            "sidecar.",
            registry=self.registry,
        )
        self.preflights = Counter(
            "tracekeeper_controller_preflights",
            "Pods of our own that tried the sidecar's image, by result: proved, broken or unknown.",
            ["result"],
            registry=self.registry,
        )
        self.repairs = Counter(
            "tracekeeper_controller_repairs",
            "Pods without a sidecar, or with one that stays on an old policy, by what was done: evicted, refused (by a "
            "PodDisruptionBudget), waiting (no injector answered) or failed.",
            ["result"],
            registry=self.registry,
        )
        self.updates = Counter(
            "tracekeeper_controller_image_updates",
            "Sidecars that got another image in place, by result: done, stuck (it does not run), refused or failed.",
            ["result"],
            registry=self.registry,
        )
        self.events = Counter(
            "tracekeeper_controller_events",
            "Events on owners, by result: sent, repeated, dropped or failed.",
            ["result"],
            registry=self.registry,
        )
        self.control_sidecars = Gauge(
            "tracekeeper_control_sidecars",
            "Sidecars that are attached to the control stream.",
            registry=self.registry,
        )
        self.rollouts = Gauge(
            "tracekeeper_controller_rollouts",
            "TracingConfigs with a section rollout, by the phase of their newest generation (the worst one).",
            ["phase"],
            registry=self.registry,
        )
        self.alert_writes = Counter(
            "tracekeeper_controller_alert_writes",
            "Objects for Prometheus and Alertmanager that were written or deleted, by result: ok or error.",
            ["result"],
            registry=self.registry,
        )
        self.rules_loaded = Gauge(
            "tracekeeper_controller_rules_loaded",
            "TracingConfigs with alerts, by the status of their condition RulesLoaded: True, False or Unknown.",
            ["status"],
            registry=self.registry,
        )
        self.control_groups = Gauge(
            "tracekeeper_control_groups",
            "Groups of sidecars that share a target of sampling, or tell each other what they keep.",
            registry=self.registry,
        )
        self.control_refused = Counter(
            "tracekeeper_control_refused",
            "Sidecars that could not attach, by what was wrong: token, config, or full.",
            ["problem"],
            registry=self.registry,
        )
        self.control_streams_ended = Counter(
            "tracekeeper_control_streams_ended",
            "Streams of sidecars that ended: left (as it should be), broken, replaced (by a newer one of its pod), "
            "expired (its token), silent, slow, forbidden or invalid.",
            ["reason"],
            registry=self.registry,
        )
        self.control_messages = Counter(
            "tracekeeper_control_messages",
            "Messages from sidecars (in) and to them (out), by kind.",
            ["direction", "kind"],
            registry=self.registry,
        )
        self.control_decisions = Counter(
            "tracekeeper_control_decisions",
            "Traces that a sidecar keeps although others may not: told to the others, repeated (known already), or "
            "dropped, because there were too many; the others then keep such a trace only by its id.",
            ["result"],
            registry=self.registry,
        )
        self.control_spread_seconds = Histogram(
            "tracekeeper_control_spread_seconds",
            "From the arrival of a decision to when it is on its way to the last of the others.",
            buckets=SPREAD_BUCKETS,
            registry=self.registry,
        )
        self.budget_statements = Counter(
            "tracekeeper_budget_statements",
            "Statements of sidecars about what was spent, by result: counted, repeated (counted before), early (what "
            "was saved is not read yet) or full (there is no room for an account); the last two come again.",
            ["result"],
            registry=self.registry,
        )
        self.budget_spent = self._of_budgets(
            "spent_dollars",
            "What was spent of a budget in its period; where it is grouped by users, by the dearest one.",
        )
        self.budget_limit = self._of_budgets("limit_dollars", "What may be spent of a budget in its period.")
        self.budget_forecast = self._of_budgets(
            "forecast_dollars", "What will be spent of a budget when its period ends, if it goes on as lately."
        )
        self.budget_used = self._of_budgets("used_ratio", "Share of a budget's limit that was spent in its period.")
        self.budget_burn = self._of_budgets(
            "burn_ratio", "Share of a budget's limit that was spent in the last `window`. Not by keys.", "window"
        )
        self.budget_state = self._of_budgets(
            "state",
            "1 for the state that a budget is in (Ok, Warning, Critical or Exceeded), 0 for the others; and 1 for "
            "Incomplete while not all that was spent is known. Not by keys.",
            "state",
        )

    def _of_budgets(self, name: str, about: str, *more: str) -> Gauge:
        """`config`: `namespace/name` of the one that wrote the budget. `key`: the pods' namespace where that is another
        one than the config's, and the values of `groupBy`, with `/` between them."""
        labels = ["config", "budget", "key", *more]
        return Gauge(f"tracekeeper_budget_{name}", about, labels, registry=self.registry)


class InjectorMetrics(Metrics):
    """`tracekeeper-operator injector`."""

    def __init__(self) -> None:
        super().__init__()
        self.admissions = Counter(
            "tracekeeper_injector_admissions",
            "Answered admission requests, by webhook (mutate or validate) and result "
            "(injected, completed, skipped, allowed, denied, malformed, failed).",
            ["webhook", "result"],
            registry=self.registry,
        )
        self.skipped = Counter(
            "tracekeeper_injector_skipped",
            "Pods that were left alone, by reason.",
            ["skip_reason"],
            registry=self.registry,
        )
        self.admission_seconds = Histogram(
            "tracekeeper_injector_admission_seconds",
            "From a whole request to its answer.",
            buckets=ADMISSION_BUCKETS,
            registry=self.registry,
        )
        self.events = Counter(
            "tracekeeper_injector_events",
            "Events on owners, by result: sent, repeated, dropped or failed.",
            ["result"],
            registry=self.registry,
        )
        self.synced = Gauge(
            "tracekeeper_injector_watch_timestamp_seconds",
            "When the API server was last heard of TracingConfigs, as Unix time; 0 until the first list.",
            registry=self.registry,
        )
