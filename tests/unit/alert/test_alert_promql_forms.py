"""What stands around a metric in an alert's condition, run by the real promtool: joins, filters, groups, windows, what
is made of nothing, and how long it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alert_world import CONFIG, Labels, Series, Trial, Unit, compiled, per_second, run, selector, steady
from tracekeeper_spec.alert.compiled import AlertRule, Links, RecordingRule

SHOP = {"severity": "warning", "namespace": "shop", "tracekeeper_config": CONFIG}
DAY_BUDGET = {"name": "daily", "period": "Day", "limit": {"amount": "10"}}


def requests(rate: float, **labels: str) -> Series:
    who = {"alerts": CONFIG, "namespace": "shop", "pod": "web-1", "service": "web", "status": "ok", **labels}
    return "tracekeeper_requests_total", who, per_second(rate)


def cost(rate: float, **labels: str) -> Series:
    who = {"alerts": CONFIG, "namespace": "shop", "pod": "web-1", "service": "web", "model": "m1", **labels}
    return "tracekeeper_cost_dollars_total", who, per_second(rate)


def metering(config: str = CONFIG, namespace: str = "shop", pod: str = "web-1") -> Series:
    return "tracekeeper_metering", {"alerts": config, "namespace": namespace, "pod": pod}, steady(1)


def trial(rule: Mapping[str, Any], *worlds: tuple[str, Sequence[Series], Sequence[Labels]], **config: Any) -> Trial:
    """A rule called X, and worlds: a name, series, and the labels that its alerts have besides those of all."""
    made = compiled({"name": "X", "window": "10m", **rule}, budgets=[DAY_BUDGET], **config)
    assert not made.faults, [fault.text for fault in made.faults]
    metric = next(rule.labels["tracekeeper_metric"] for rule in made.rules if "alert" in rule.__slots__)
    common = {**SHOP, "tracekeeper_metric": metric, "tracekeeper_config": made.config}
    return Trial(
        made.rules, [Unit(name, series, "X", [{**common, **one} for one in fires]) for name, series, fires in worlds]
    )


PLANNER, WRITER = {"agent": "planner"}, {"agent": "writer"}


def test_both_of_two_conditions_must_hold_for_the_same_group(tmp_path: Path) -> None:
    rule = {"condition": "request_rate > 2 && cost_per_hour > 225", "groupBy": ["Agent"]}
    run(
        tmp_path,
        trial(
            rule,
            ("both", [requests(3, **PLANNER), cost(0.125, **PLANNER)], [PLANNER]),
            ("one", [requests(3, **PLANNER), cost(0.03125, **PLANNER)], []),
            ("of two agents", [requests(3, **PLANNER), cost(0.125, **WRITER)], []),
        ),
    )


def test_one_of_two_conditions_is_enough_and_tells_of_each_group_once(tmp_path: Path) -> None:
    rule = {"condition": "request_rate > 2 || cost_per_hour > 225", "groupBy": ["Agent"]}
    run(
        tmp_path,
        trial(
            rule,
            ("both", [requests(3, **PLANNER), cost(0.125, **PLANNER)], [PLANNER]),
            ("the second", [requests(1, **PLANNER), cost(0.125, **PLANNER)], [PLANNER]),
            ("neither", [requests(1, **PLANNER), cost(0.03125, **PLANNER)], []),
            ("of two agents", [requests(3, **PLANNER), cost(0.125, **WRITER)], [PLANNER, WRITER]),
        ),
        trial(
            {"condition": "!(request_rate <= 2 || cost_per_hour <= 225)", "groupBy": ["Agent"]},
            ("both", [requests(3, **PLANNER), cost(0.125, **PLANNER)], [PLANNER]),
            ("one", [requests(3, **PLANNER), cost(0.03125, **PLANNER)], []),
        ),
    )


@pytest.mark.parametrize(
    ("condition", "agents"),
    [
        ('agent == "plan.er"', ["plan.er"]),
        ('agent != "plan.er"', ["", "planner", "writer", 'a"b{{']),
        ('!(agent == "plan.er")', ["", "planner", "writer", 'a"b{{']),
        ('agent in ["plan.er", "writer"]', ["plan.er", "writer"]),
        ('!(agent in ["plan.er", "writer"])', ["", "planner", 'a"b{{']),
        ('agent.startsWith("plan.")', ["plan.er"]),
        ('agent.endsWith("er")', ["plan.er", "planner", "writer"]),
        ('agent.contains("lan")', ["plan.er", "planner"]),
        (r'agent.matches("^(plan|wri)[tn]er$")', ["planner", "writer"]),
        ('agent.matches("RIT")', []),
        ('agent.matches("(?i)RIT")', ["writer"]),
        ("agent == 'a\"b{{'", ['a"b{{']),
        ('agent == ""', [""]),
        ('service == "web" && agent == "writer"', ["writer"]),
        ('service == "other"', []),
    ],
)
def test_a_label_picks_what_is_looked_at(condition: str, agents: list[str], tmp_path: Path) -> None:
    every = ["plan.er", "planner", "writer", 'a"b{{', ""]
    series = [requests(3, agent=name.replace('"', '\\"')) for name in every]
    fires = [{"agent": name.replace('"', '\\"')} if name else {} for name in sorted(agents)]
    rule = {"condition": f"{condition} && request_rate > 2", "groupBy": ["Agent"]}
    # Without a value of its own, Prometheus has a request rate of 0 only for agents that were seen.
    run(tmp_path, trial(rule, ("all", series, fires)))


def test_a_label_is_of_its_own_side_alone(tmp_path: Path) -> None:
    condition = '(agent == "planner" && request_rate > 2) || (agent == "writer" && request_rate > 4)'
    rule = {"condition": condition, "groupBy": ["Agent"]}
    run(
        tmp_path,
        trial(
            rule,
            ("planner", [requests(3, **PLANNER), requests(3, **WRITER)], [PLANNER]),
            ("writer", [requests(1, **PLANNER), requests(5, **WRITER)], [WRITER]),
        ),
    )


def test_too_few_samples_do_not_fire(tmp_path: Path) -> None:
    rule = {"condition": "error_rate > 0.25", "groupBy": ["Agent"], "minSamples": 300}
    failing = {"status": "error", **PLANNER}
    run(
        tmp_path,
        trial(
            rule,
            ("just enough", [requests(0.25, **PLANNER), requests(0.25, **failing)], [PLANNER]),
            ("too few", [requests(0.125, **PLANNER), requests(0.25, **failing)], []),
        ),
    )


def test_nothing_to_look_at_is_quiet_or_0_or_an_alert_of_its_own(tmp_path: Path) -> None:
    low = {"condition": "tool_success_rate < 0.9"}
    zero = trial({**low, "noData": "Zero"}, ("zero", [metering()], [{}]), ("no pods", [], []))
    quiet = trial(low, ("quiet", [metering()], []))
    told = compiled({"name": "X", "window": "10m", **low, "noData": "Alert"})
    labels = {**SHOP, "tracekeeper_metric": "NoData.X"}
    calls = ("tracekeeper_tool_calls_total", {"alerts": CONFIG, "namespace": "shop", "status": "ok"}, per_second(1))
    alert = Trial(
        told.rules,
        [
            Unit("nothing", [metering()], "XNoData", [labels]),
            Unit("something", [metering(), calls], "XNoData", []),
            Unit("no pods", [], "XNoData", []),
        ],
    )
    run(tmp_path, zero, quiet, alert)


def test_silence_is_told_from_never_having_spoken(tmp_path: Path) -> None:
    spans = ("tracekeeper_metered_spans_total", {"alerts": CONFIG, "namespace": "shop", "service": "web"})
    stopped = (*spans, "0+60x5 _x20")
    never, before = [metering()], [metering(), stopped]
    others = [
        metering("shop/other"),
        ("tracekeeper_metered_spans_total", {**spans[1], "alerts": "shop/other"}, "0+60x5 _x20"),
    ]
    silent = trial(
        {"condition": "span_rate == 0", "window": "5m"},
        ("never", never, []),
        ("before", before, [{}]),
        ("pods are gone", [stopped], []),
        ("of another config", others, []),
    )
    idle = trial(
        {"condition": "request_rate == 0"},
        ("never", [metering()], [{}]),
        ("no pods", [], []),
        ("a few", [metering(), requests(0.125)], []),
    )
    run(tmp_path, silent, idle)


def test_it_fires_after_for_and_goes_on_for_the_cooldown(tmp_path: Path) -> None:
    made = compiled(
        {"name": "X", "condition": "calls_per_request > 100", "window": "1m", "for": "5m", "cooldown": "4m"}
    )
    calls = {"alerts": CONFIG, "namespace": "shop"}
    world: Series = ("tracekeeper_request_calls_highest", calls, "1+0x2 147+0x9 1+0x15")  # high from minute 3 to 12
    labels = {**SHOP, "tracekeeper_metric": "calls_per_request"}
    units = [
        Unit("pending", [world], "X", [labels], at="4m", state="pending"),
        Unit("not yet", [world], "X", [], at="7m"),
        Unit("firing", [world], "X", [labels], at="9m"),
        Unit("still", [world], "X", [labels], at="16m"),
        Unit("resolved", [world], "X", [], at="20m"),
    ]
    run(tmp_path, Trial(made.rules, units))


def test_hold_keeps_an_alert_for_a_window_when_data_ends(tmp_path: Path) -> None:
    rule = {"name": "X", "condition": "error_rate > 0.25", "window": "5m", "noData": "Hold"}
    made = compiled(rule)
    failing = {"alerts": CONFIG, "namespace": "shop", "status": "error"}
    world: Series = ("tracekeeper_requests_total", failing, "0+60x10 _x30")
    labels = {**SHOP, "tracekeeper_metric": "error_rate"}
    units = [
        Unit("firing", [world], "X", [labels], at="10m"),
        Unit("held", [world], "X", [labels], at="17m"),
        Unit("gone", [world], "X", [], at="25m"),
    ]
    run(tmp_path, Trial(made.rules, units))


def test_a_rise_is_told_by_what_was_before(tmp_path: Path) -> None:
    rule = {"condition": "rise(output_tokens_per_call, 24h) > 1.2", "window": "1h", "groupBy": ["Model"]}

    def world(after: int) -> list[Series]:
        labels = {"alerts": CONFIG, "namespace": "shop", "service": "web", "model": "m1"}
        # 100 tokens an answer for a day, then another number for two hours; one call in each ten minutes.
        tokens = f"0+100x144 {14400 + after}+{after}x18"
        return [
            ("tracekeeper_tokens_total", {**labels, "type": "output"}, tokens),
            ("tracekeeper_operations_total", {**labels, "kind": "llm"}, "0+1x164"),
        ]

    made = compiled({"name": "X", **rule})
    labels = {**SHOP, "tracekeeper_metric": "output_tokens_per_call", "model": "m1"}
    units = [
        Unit(f"{after} after 100", world(after), "X", [labels] if after > 120 else [], at="1530m", interval="10m")
        for after in (100, 119, 123)
    ]
    run(tmp_path, Trial(made.rules, units, interval="10m"))


def test_costs_of_a_day_are_of_the_last_24_hours_without_a_budget(tmp_path: Path) -> None:
    made = compiled({"name": "X", "condition": "daily_cost > 72", "groupBy": ["Agent"]})
    (warning,) = made.warnings
    assert "misses pods" in warning.problem
    labels = {"alerts": CONFIG, "namespace": "shop", "agent": "planner"}
    units = [
        Unit(
            f"{dollars} in ten minutes",
            [("tracekeeper_cost_dollars_total", labels, f"0+{dollars}x150")],
            "X",
            [{**SHOP, "tracekeeper_metric": "daily_cost", "agent": "planner"}] if dollars > 0.5 else [],
            at="1470m",
            interval="10m",
        )
        for dollars in (0.25, 0.5, 0.75)
    ]
    run(tmp_path, Trial(made.rules, units, interval="10m"))


def test_a_root_config_tells_each_namespace_by_itself(tmp_path: Path) -> None:
    config = "tracing/all"

    def of(namespace: str, rate: float, **labels: str) -> Series:
        return requests(rate, alerts=config, namespace=namespace, **PLANNER, **labels)

    series = [
        *(of("shop", 0.5, status=status) for status in ("ok", "error")),
        *(of("bank", rate, status=status) for rate, status in ((0.75, "ok"), (0.125, "error"))),
        requests(1, status="error", **PLANNER),  # of a config of the namespace's own
    ]
    rule = {"condition": "error_rate > 0.25", "groupBy": ["Agent"]}
    here = {"condition": 'namespace in ["bank", "market"] && error_rate > 0.25', "groupBy": ["Agent"]}
    run(
        tmp_path,
        trial(rule, ("two namespaces", series, [PLANNER]), config=config, root=True),
        trial(here, ("another one", series, []), config=config, root=True),
    )


def test_raw_promql_sees_its_own_namespace(tmp_path: Path) -> None:
    up: list[Series] = [("up", {"namespace": name, "job": "j"}, steady(0)) for name in ("shop", "bank")]
    rule = {"promql": "sum by (job) (up) == 0", "severity": "critical"}
    alone = trial(rule, ("own", up, [{"severity": "critical", "job": "j"}]), ("others", up[1:], []))
    platform = compiled({"name": "X", "promql": "up == 0"}, config="tracing/all", root=True)
    labels = {**SHOP, "tracekeeper_config": "tracing/all", "tracekeeper_metric": "promql", "job": "j"}
    every = [{**labels, "namespace": name} for name in ("bank", "shop")]
    run(tmp_path, alone, Trial(platform.rules, [Unit("all", up, "X", every)]))


def who_told(tmp_path: Path, alert: str, series: Sequence[Series], told: str, at: str = "20m", **spec: Any) -> None:
    """What the annotation `top` of a built-in rule says of this world."""
    made = compiled(built_in="Agents", **spec)
    rules = [rule for rule in made.rules if isinstance(rule, AlertRule) and rule.alert == alert]
    (annotation,) = {rule.annotations["top"] for rule in rules}
    # Its labels are the alert's; promtool shows annotations with all else, so this is asked of the text alone.
    probe = AlertRule("Probe", rules[0].expr, 0, 0, {}, {"top": annotation})
    recorded = [rule for rule in made.rules if isinstance(rule, RecordingRule)]
    labels = {"namespace": "shop", "service": "web", "agent": "planner"} if "$labels" in annotation else {}
    shown = labels or {"namespace": "shop", "config": CONFIG, "budget": "daily"}
    extra = {
        "interval": "1m",
        "input_series": [{"series": selector(name, labels), "values": text} for name, labels, text in series],
        "alert_rule_test": [
            {
                "eval_time": at,
                "alertname": "Probe",
                "exp_alerts": [{"exp_labels": shown, "exp_annotations": {"top": told}}],
            }
        ],
    }
    run(tmp_path, Trial([*recorded, probe], extra=[extra]))


@pytest.mark.parametrize(("alert", "bound"), [("SlowOperations", "1.0"), ("HighP99Latency", "10.0")])
def test_of_latency_those_are_named_of_which_most_are_slow(tmp_path: Path, alert: str, bound: str) -> None:
    name = "tracekeeper_request_duration_seconds"
    series: list[Series] = []
    for workflow, slow in (("refunds", 0.5), ("orders", 0.25), ("greetings", 0.0)):
        who = {"alerts": CONFIG, "namespace": "shop", "service": "web", "agent": "planner", "workflow": workflow}
        for le, rate in {bound: 1 - slow, "15.0": 1.0, "+Inf": 1.0}.items():
            series.append((f"{name}_bucket", {**who, "le": le}, per_second(rate)))
        series.append((f"{name}_count", who, per_second(1)))
    minutes = 10 if alert == "SlowOperations" else 5
    told = f"refunds: {30 * minutes}; orders: {15 * minutes}; "
    who_told(tmp_path, alert, series, told)


def test_of_conversations_pods_are_named(tmp_path: Path) -> None:
    who = {"alerts": CONFIG, "namespace": "shop", "service": "web", "agent": "planner"}
    name = "tracekeeper_conversation_cost_highest_dollars"
    series = [(name, {**who, "pod": pod}, steady(value)) for pod, value in (("web-1", 1.5), ("web-2", 0.5))]
    who_told(tmp_path, "CostlyConversation", series, "web-1: 1.50; web-2: 0.50; ")


def test_of_budgets_those_are_named_who_spent_most_in_the_last_hour(tmp_path: Path) -> None:
    budget = {"config": CONFIG, "budget": "daily", "namespace": "tracekeeper"}
    series: list[Series] = [("tracekeeper_budget_used_ratio", budget, steady(0.8, 80))]
    for agent, rate in (("planner", 1 / 64), ("writer", 1 / 128)):
        who = {"alerts": CONFIG, "namespace": "shop", "agent": agent, "model": "m1"}
        series.append(("tracekeeper_cost_dollars_total", who, per_second(rate, 80)))
    told = "planner m1: 56.25; writer m1: 28.12; "
    who_told(tmp_path, "BudgetThreshold", series, told, "75m", budgets=[DAY_BUDGET])
    grouped = compiled(built_in="Agents", budgets=[{**DAY_BUDGET, "groupBy": ["User"]}])
    rules = [rule for rule in grouped.rules if isinstance(rule, AlertRule) and rule.alert == "BudgetThreshold"]
    assert rules and not any("top" in rule.annotations for rule in rules)


def test_only_those_are_named_of_whom_the_condition_speaks(tmp_path: Path) -> None:
    name = "tracekeeper_detections_total"
    who = {"alerts": CONFIG, "namespace": "shop", "agent": "planner"}
    series: list[Series] = [
        (name, {**who, "service": service, "detector": detector}, per_second(rate))
        for service, detector, rate in (("web", "Loop", 0.25), ("batch", "Loop", 0.125), ("web", "ToolFailures", 0.5))
    ]
    rule = {"name": "X", "condition": 'detections > 0 && detector == "Loop"', "window": "10m", "groupBy": ["Agent"]}
    (loops,) = [each for each in compiled(rule).rules if isinstance(each, AlertRule)]
    probe = AlertRule("Probe", loops.expr, 0, 0, {}, {"top": loops.annotations["top"]})
    shown = {"namespace": "shop", "agent": "planner"}
    expected = {"exp_labels": shown, "exp_annotations": {"top": "web: 150; batch: 75; "}}
    extra = {
        "interval": "1m",
        "input_series": [{"series": selector(name, labels), "values": text} for name, labels, text in series],
        "alert_rule_test": [{"eval_time": "20m", "alertname": "Probe", "exp_alerts": [expected]}],
    }
    run(tmp_path, Trial([probe], extra=[extra]))
    slow = compiled({**rule, "condition": 'p99_latency > 10s && service == "web"'})
    (alert,) = [each for each in slow.rules if isinstance(each, AlertRule)]
    assert alert.annotations["top"].count('service="web"') == 2


def test_annotations_say_what_where_and_who(tmp_path: Path) -> None:
    links = Links("https://runbooks.example/", "https://traces.example/?ns={namespace}&agent={agent}")
    rule = {
        "name": "ErrorRateWarning",
        "condition": 'error_rate > 0.25 && agent != "{{ query }}"',
        "window": "10m",
        "groupBy": ["Agent"],
        "annotations": {"note": "{{ $labels.agent | toUpper }}: {{ $value | humanizePercentage }}"},
    }
    made = compiled(rule, links=links)
    assert not made.faults
    series = [
        requests(0.5, agent="pl an"),
        requests(0.375, agent="pl an", status="error", workflow="refunds"),
        requests(0.125, agent="pl an", status="error", workflow="orders"),
        requests(1, agent="another", status="ok"),
    ]
    annotations = {
        "summary": "ErrorRateWarning: error_rate is 50% for agent pl an, namespace shop",
        "description": 'error_rate > 0.25 && agent != "{{ query }}" over 10m. Now: 50%.',
        "runbook_url": "https://runbooks.example/ErrorRate.md",
        "trace_url": "https://traces.example/?ns=shop&agent=pl+an",
        "top": "web refunds: 225; web orders: 75; ",
        "note": "PL AN: 50%",
    }
    labels = {**SHOP, "tracekeeper_metric": "error_rate", "agent": "pl an"}
    extra = {
        "interval": "1m",
        "input_series": [{"series": selector(name, labels), "values": text} for name, labels, text in series],
        "alert_rule_test": [
            {
                "eval_time": "12m",
                "alertname": "ErrorRateWarning",
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
            }
        ],
    }
    run(tmp_path, Trial(made.rules, extra=[extra]))
