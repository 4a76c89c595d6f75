"""Every built-in rule, run by the real promtool on written series: quiet in a world where all is well, and firing in
one where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alert_world import CONFIG, Labels, Series, Trial, Unit, compiled, per_second, run, steady
from tracekeeper_spec.alert import budget_rules, builtin, operator_rules, pipeline
from tracekeeper_spec.alert.compiled import AlertRule, Links

WHO = {"alerts": CONFIG, "namespace": "shop", "pod": "web-1", "service": "web", "agent": "planner"}
MODEL = {**WHO, "model": "m1", "provider": "p"}
POD = {"namespace": "shop", "pod": "web-1"}
METERING: Series = ("tracekeeper_metering", {"alerts": CONFIG, **POD}, steady(1, 300))
ELSEWHERE = {"namespace": "shop", "pod": "other-1"}
"""A pod of another config."""


class Case(NamedTuple):
    well: Sequence[Series]
    wrong: Sequence[Series]
    labels: Labels
    at: str = "20m"
    interval: str = "1m"


def errors(share: float) -> list[Series]:
    name = "tracekeeper_requests_total"
    return [
        (name, {**WHO, "status": "error"}, per_second(share, 60)),
        (name, {**WHO, "status": "ok"}, per_second(1 - share, 60)),
    ]


def durations(bound: str, share: float) -> list[Series]:
    name = "tracekeeper_request_duration_seconds"
    counts = {bound: share, "15.0": 1.0, "+Inf": 1.0}
    buckets = [(f"{name}_bucket", {**WHO, "le": le}, per_second(rate, 60)) for le, rate in counts.items()]
    return [*buckets, (f"{name}_count", WHO, per_second(1, 60))]


def tokens(today: int) -> list[Series]:
    """100 for each request or answer in a day of ten minutes' steps, then so many for two hours."""
    text = f"0+10000x144 {1_440_000 + today * 100}+{today * 100}x18"
    return [
        ("tracekeeper_tokens_total", {**MODEL, "type": "output"}, text),
        ("tracekeeper_requests_total", {**WHO, "status": "ok"}, "0+100x164"),
        ("tracekeeper_operations_total", {**MODEL, "kind": "llm"}, "0+100x164"),
    ]


def one(name: str, labels: Labels, values: str) -> list[Series]:
    return [(f"tracekeeper_{name}", labels, values)]


def ours(name: str, labels: Labels, values: str) -> list[Series]:
    """Of a pod of this config, and of one of another: only of the first is it told."""
    return [METERING, *one(name, {**POD, **labels}, values), *one(name, {**ELSEWHERE, **labels}, values)]


def budget(metric: str, value: float, **labels: str) -> Series:
    shown = {"namespace": "tracekeeper", "pod": "controller-1", "config": CONFIG, "budget": "daily", **labels}
    return f"tracekeeper_budget_{metric}", shown, steady(value, 60)


def controller(metric: str, value: float, **labels: str) -> list[Series]:
    return one(metric, {"job": "tracekeeper", "pod": "controller-1", **labels}, steady(value, 120))


BY_AGENT, BY_MODEL = {"service": "web", "agent": "planner"}, {"service": "web", "model": "m1"}
SPANS = {"alerts": CONFIG, "namespace": "shop", "service": "web"}
BUDGET = {"config": CONFIG, "budget": "daily"}
ENTRY = {"delivery": "tempo"}

CASES: dict[str, Case] = {
    "ErrorRateWarning": Case(errors(1 / 32), errors(1 / 16), BY_AGENT),
    "ErrorRateCritical": Case(errors(1 / 16), errors(1 / 8), BY_AGENT),
    "SlowOperations": Case(durations("1.0", 15 / 16), durations("1.0", 7 / 8), BY_AGENT),
    "HighP99Latency": Case(durations("10.0", 255 / 256), durations("10.0", 63 / 64), BY_AGENT),
    "CostlyConversation": Case(
        one("conversation_cost_highest_dollars", WHO, steady(1)),
        one("conversation_cost_highest_dollars", WHO, steady(1.01)),
        BY_AGENT,
    ),
    "TokensJump": Case(tokens(199), tokens(210), BY_AGENT, "1500m", "10m"),
    "AnswersLonger": Case(tokens(119), tokens(123), BY_MODEL, "1530m", "10m"),
    "AnswersTruncated": Case(
        one("finish_reasons_total", {**MODEL, "reason": "stop"}, per_second(1)),
        [
            *one("finish_reasons_total", {**MODEL, "reason": "stop"}, per_second(1)),
            *one("finish_reasons_total", {**MODEL, "reason": "max_tokens"}, per_second(0.25)),
        ],
        BY_MODEL,
    ),
    "ResponseModelChanged": Case(
        one("response_model_changes_total", MODEL, steady(3)),
        one("response_model_changes_total", MODEL, "0+0x14 1+0x10"),
        BY_MODEL,
    ),
    "FanOut": Case(
        one("request_calls_highest", WHO, steady(100)), one("request_calls_highest", WHO, steady(147)), BY_AGENT
    ),
    **{
        name: Case(
            one("detections_total", {**WHO, "detector": "FanOut"}, "0+0x14 1+0x10"),
            one("detections_total", {**WHO, "detector": detector}, "0+0x14 1+0x10"),
            BY_AGENT,
        )
        for name, detector in (
            ("AgentLoop", "Loop"),
            ("ContextExplosion", "ContextExplosion"),
            ("TokenRunaway", "TokenRunaway"),
            ("ToolFailures", "ToolFailures"),
            ("HandoffPingPong", "HandoffPingPong"),
            ("UndeclaredHandoff", "UndeclaredHandoff"),
        )
    },
    "AgentsSilent": Case(
        [METERING, *one("metered_spans_total", SPANS, per_second(0.125, 60))],
        [METERING, *one("metered_spans_total", SPANS, "0+60x5 _x60")],
        {},
        "50m",
    ),
    "UnpricedCalls": Case(
        one("unpriced_calls_total", MODEL, steady(5)), one("unpriced_calls_total", MODEL, "0+0x5 1+1x20"), BY_MODEL
    ),
    "BudgetThreshold": Case([budget("used_ratio", 0.74)], [budget("used_ratio", 0.8)], {**BUDGET, "threshold": "0.75"}),
    "BudgetBurnFast": Case(
        [budget("burn_ratio", 0.3, window="1h"), budget("burn_ratio", 0.0, window="5m")],
        [budget("burn_ratio", 0.3, window="1h"), budget("burn_ratio", 0.02, window="5m")],
        {**BUDGET, "window": "1h"},
    ),
    "BudgetBurnSlow": Case(
        [budget("burn_ratio", 0.4, window="6h"), budget("burn_ratio", 0.3, window="30m")],
        [budget("burn_ratio", 0.6, window="6h"), budget("burn_ratio", 0.3, window="30m")],
        {**BUDGET, "window": "6h"},
    ),
    "BudgetIncomplete": Case(
        [budget("state", 0, state="Incomplete"), budget("state", 1, state="Ok")],
        [budget("state", 1, state="Incomplete"), budget("state", 0, state="Ok")],
        BUDGET,
    ),
    "SpansDropped": Case(
        [*ours("spans_dropped_total", {**ENTRY, "reason": "lag"}, "0+1x30")],
        [*ours("spans_dropped_total", {**ENTRY, "reason": "buffer_full"}, "0+0x14 5+0x20")],
        {**POD, **ENTRY, "reason": "buffer_full"},
    ),
    "SpansRefused": Case(
        ours("spans_refused_total", {"reason": "quota"}, steady(4, 30)),
        ours("spans_refused_total", {"reason": "quota"}, "0+1x30"),
        {**POD, "reason": "quota"},
    ),
    "BufferFilling": Case(
        [
            *ours("log_room_bytes", {}, "900-1x60"),
            *one("log_quota_bytes", POD, steady(1000, 60)),
            *one("log_quota_bytes", ELSEWHERE, steady(1000, 60)),
        ],
        [
            *ours("log_room_bytes", {}, "600-5x60"),
            *one("log_quota_bytes", POD, steady(1000, 60)),
            *one("log_quota_bytes", ELSEWHERE, steady(1000, 60)),
        ],
        POD,
        "50m",
    ),
    "UnsentInDyingPods": Case(
        # At every rollout, spans come until the end.
        [
            *ours("spans_pending", ENTRY, steady(7)),
            *ours("draining", {}, steady(1)),
            *ours("delivery_lag_seconds", ENTRY, steady(2)),
        ],
        [
            *ours("spans_pending", ENTRY, steady(7)),
            *ours("draining", {}, steady(1)),
            *ours("delivery_lag_seconds", ENTRY, steady(61)),
        ],
        POD,
    ),
    "BreakerOpen": Case(
        ours("backend_circuit_state", {"backend": "tempo", "state": "Closed"}, steady(1, 60)),
        ours("backend_circuit_state", {"backend": "tempo", "state": "Open"}, steady(1, 60)),
        {"backend": "tempo"},
        "30m",
    ),
    "DeliveryStalled": Case(
        ours("delivery_lag_seconds", ENTRY, steady(900, 60)),
        ours("delivery_lag_seconds", ENTRY, steady(901, 60)),
        {**POD, **ENTRY},
    ),
    "PolicyRefused": Case(ours("policy_faults", {}, steady(0)), ours("policy_faults", {}, steady(2)), POD),
    "SpansNotCounted": Case(
        ours("meter_missed_spans_total", {"alerts": CONFIG}, steady(9)),
        ours("meter_missed_spans_total", {"alerts": CONFIG}, "0+0x14 5+0x10"),
        POD,
    ),
    **{
        f"Sidecars{state.title()}": Case(
            controller("controller_pods", 0, namespace="shop", state=state),
            controller("controller_pods", 2, namespace="shop", state=state),
            {"namespace": "shop"},
            "40m",
        )
        for state in ("missed", "failed", "stale", "unscraped", "silent")
    },
    "ConfigRejected": Case(
        [],
        controller("controller_config_faults", 2, namespace="tracekeeper", exported_namespace="shop", name="agents"),
        {"namespace": "shop", "name": "agents"},
    ),
    "CertificateExpiring": Case(
        controller("operator_certificate_expiry_timestamp_seconds", 700_000),
        controller("operator_certificate_expiry_timestamp_seconds", 600_000),
        {"job": "tracekeeper"},
        "80m",
    ),
    "NobodyLeads": Case(controller("controller_leader", 1), controller("controller_leader", 0), {}),
}
SEVERITIES = {
    "ErrorRateCritical": "critical",
    "ResponseModelChanged": "info",
    "UnpricedCalls": "info",
    "SidecarsSilent": "info",
    "BudgetBurnFast": "critical",
    "BudgetIncomplete": "info",
    "SpansDropped": "critical",
    "DeliveryStalled": "critical",
    "CertificateExpiring": "critical",
    "NobodyLeads": "critical",
}


def test_each_built_in_rule_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    made = compiled(built_in="All", budgets=[{"name": "daily", "period": "Day", "limit": {"amount": "10"}}])
    assert not made.faults and not made.warnings
    own = [rule for rule in made.rules if isinstance(rule, AlertRule)]
    others = list(operator_rules.operator_rules(Links()))
    assert set(CASES) == {rule.alert for rule in (*own, *others)}, "each rule needs a case"
    trials = []
    for name, case in CASES.items():
        mine = [rule for rule in (*own, *others) if rule.alert == name]
        metric = mine[0].labels["tracekeeper_metric"]
        about = {} if mine[0] in others else {"namespace": "shop", "tracekeeper_config": CONFIG}
        fires = {"severity": SEVERITIES.get(name, "warning"), "tracekeeper_metric": metric, **about, **case.labels}
        recorded = [rule for rule in made.rules if not isinstance(rule, AlertRule)] if mine[0] in own else []
        units = [
            Unit(f"{name}: well", case.well, name, [], case.at, case.interval),
            Unit(f"{name}: wrong", case.wrong, name, [fires], case.at, case.interval),
        ]
        trials.append(Trial([*recorded, *mine], units, case.interval))
    run(tmp_path, *trials)
    print(f"{len(trials)} built-in rules in {2 * len(trials)} worlds")


def test_truncated_answers_are_told_of_when_they_jump(tmp_path: Path) -> None:
    made = compiled(built_in="Agents")
    rules = [rule for rule in made.rules if not isinstance(rule, AlertRule) or rule.alert == "AnswersTruncated"]
    common = {"severity": "warning", "namespace": "shop", "tracekeeper_config": CONFIG, **BY_MODEL}
    fires = [{**common, "tracekeeper_metric": "truncated_rate"}]

    def world(before: int, today: int) -> list[Series]:
        """Truncated answers of a thousand, in a day of ten minutes' steps and in the two hours after it."""
        cut = f"0+{before}x144 {before * 144 + today}+{today}x12"
        return [
            *one("finish_reasons_total", {**MODEL, "reason": "stop"}, "0+1000x158"),
            *one("finish_reasons_total", {**MODEL, "reason": "length"}, cut),
        ]

    units = [
        Unit(f"{before} to {today}", world(before, today), "AnswersTruncated", expected, "1500m", "10m")
        for before, today, expected in ((5, 80, fires), (50, 80, []), (5, 15, []), (0, 150, fires))
    ]
    run(tmp_path, Trial(rules, units, "10m"))


def test_only_the_highest_threshold_of_a_budget_fires(tmp_path: Path) -> None:
    made = compiled(built_in="Agents", budgets=[{"name": "daily", "period": "Day", "limit": {"amount": "10"}}])
    rules = [rule for rule in made.rules if isinstance(rule, AlertRule) and rule.alert == "BudgetThreshold"]
    common = {"namespace": "shop", "tracekeeper_config": CONFIG, "tracekeeper_metric": "BudgetThreshold", **BUDGET}
    units = [
        Unit(f"at {used}", [budget("used_ratio", used)], "BudgetThreshold", fires, "5m")
        for used, fires in (
            (0.7, []),
            (0.75, [{**common, "severity": "warning", "threshold": "0.75"}]),
            (0.95, [{**common, "severity": "critical", "threshold": "0.9"}]),
            (1.5, [{**common, "severity": "critical", "threshold": "1"}]),
        )
    ]
    run(tmp_path, Trial(rules, units))


def test_what_is_chosen_is_what_comes() -> None:
    agents = {rule.name for rule in builtin.AGENT_RULES}
    for chosen, names in (
        ("None", set()),
        ("Agents", agents | set(budget_rules.NAMES)),
        ("Pipeline", set(pipeline.NAMES)),
        ("All", agents | set(budget_rules.NAMES) | set(pipeline.NAMES)),
    ):
        made = compiled(built_in=chosen, budgets=[{"name": "daily", "limit": {"amount": "10"}}])
        assert {rule.alert for rule in made.rules if isinstance(rule, AlertRule)} == names


def test_a_rule_of_the_same_name_takes_the_place_of_a_built_in_one() -> None:
    mine = {"name": "FanOut", "condition": "calls_per_request > 20"}
    for rule in (mine, {**mine, "name": "BreakerOpen"}):
        made = compiled(rule, built_in="All")
        found = [each for each in made.rules if isinstance(each, AlertRule) and each.alert == rule["name"]]
        assert len(found) == 1 and found[0].expr.endswith("> 20")


HERE = Links(operator="tracekeeper")
LED = "tracekeeper_controller_leader"


def test_nobody_leads_where_no_controller_runs(tmp_path: Path) -> None:
    rules = [rule for rule in operator_rules.operator_rules(HERE) if rule.alert == "NobodyLeads"]
    fires = [{"severity": "critical", "tracekeeper_metric": "NobodyLeads"}]
    mine, forged = ({"namespace": where, "pod": "c-1"} for where in ("tracekeeper", "shop"))
    units = [
        Unit("none at all", [], "NobodyLeads", fires, "30m"),
        Unit("gone", [(LED, mine, "1x5 _x60")], "NobodyLeads", fires, "30m"),
        Unit("one", [(LED, mine, steady(1, 60))], "NobodyLeads", [], "30m"),
        Unit("another's pod says so", [(LED, forged, steady(1, 60))], "NobodyLeads", fires, "30m"),
    ]
    run(tmp_path, Trial(rules, units))


def test_what_is_said_of_the_operator_counts_only_from_where_it_runs(tmp_path: Path) -> None:
    """However Prometheus scrapes: with the metric's own `namespace`, or with that of the target."""
    trials = []
    for name, metric, more in (
        ("SidecarsMissed", "tracekeeper_controller_pods", {"state": "missed"}),
        ("ConfigRejected", "tracekeeper_controller_config_faults", {"name": "agents"}),
    ):
        (rule,) = (rule for rule in operator_rules.operator_rules(HERE) if rule.alert == name)
        told = {"name": "agents"} if "name" in more else {}
        fires = [{"severity": "warning", "tracekeeper_metric": name, "namespace": "shop", **told}]
        units = []
        for where, alerts in (("tracekeeper", fires), ("mallory", [])):
            target = {"job": f"{where}/pods", "instance": f"{where}:1"}
            led = (LED, {**target, "namespace": where}, steady(1, 60))
            real = (LED, {"job": "tracekeeper/pods", "instance": "real:1", "namespace": "tracekeeper"}, steady(1, 60))
            for own in ({"namespace": "shop"}, {"namespace": where, "exported_namespace": "shop"}):
                series = [led, real, (metric, {**target, **own, **more}, steady(1, 60))]
                units.append(Unit(f"{name} from {where} as {own}", series, name, alerts, "30m"))
        trials.append(Trial([rule], units))
    run(tmp_path, *trials)


def test_a_budget_is_what_the_operator_says_of_it(tmp_path: Path) -> None:
    daily = {"name": "daily", "period": "Day", "limit": {"amount": "10"}}
    condition = {"name": "Mine", "condition": 'budget("daily").used > 0.7'}
    made = compiled(condition, built_in="Agents", budgets=[daily], links=HERE)
    fires = {"severity": "warning", "namespace": "shop", "tracekeeper_config": CONFIG, **BUDGET}
    alerts = {
        "BudgetThreshold": {**fires, "tracekeeper_metric": "BudgetThreshold", "threshold": "0.75"},
        "Mine": {**fires, "tracekeeper_metric": "budget.used"},
    }
    units = [
        Unit(f"{name} from {where}", [budget("used_ratio", 0.8, namespace=where)], name, expected, "5m")
        for name, alert in alerts.items()
        for where, expected in (("tracekeeper", [alert]), ("mallory", []))
    ]
    run(tmp_path, Trial([rule for rule in made.rules if isinstance(rule, AlertRule) and rule.alert in alerts], units))
