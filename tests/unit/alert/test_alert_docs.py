"""What people read about alerts is true: every rule has its runbook, every metric is in the reference, and what the
sidecar and the operator count is what rules ask for.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from alert_world import compiled
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_sidecar import metrics
from tracekeeper_sidecar.meter import families
from tracekeeper_spec.alert.compiled import AlertRule, Links
from tracekeeper_spec.alert.metric import BOUNDS, METRICS, BudgetMember
from tracekeeper_spec.alert.operator_rules import operator_rules
from tracekeeper_spec.alert.routing import routing
from tracekeeper_spec.alert.section import Group
from tracekeeper_spec.parse import parse_spec

DOCS = Path(__file__).parents[3] / "docs"
LINKS = Links("https://runbooks.example/")
BUDGET = {"name": "daily", "limit": {"amount": "10"}}


def every_rule() -> list[AlertRule]:
    made = compiled(built_in="All", budgets=[BUDGET], links=LINKS)
    return [*(rule for rule in made.rules if isinstance(rule, AlertRule)), *operator_rules(LINKS)]


def test_of_refused_spans_it_is_told_which_must_not_be_sent_again() -> None:
    (rule,) = [rule for rule in every_rule() if rule.alert == "SpansRefused"]
    listed = (DOCS / "runbooks" / "SpansRefused.md").read_text()
    for reason in ("redaction", "malformed", "too_large"):
        assert reason in rule.annotations["description"] and f"`{reason}`" in listed.partition("## Look")[0]


def test_every_built_in_rule_has_a_runbook_that_begins_with_the_traces() -> None:
    pages = {path.name for path in (DOCS / "runbooks").glob("*.md")} - {"README.md"}
    named = {rule.annotations["runbook_url"].removeprefix("https://runbooks.example/") for rule in every_rule()}
    assert named == pages
    listed = (DOCS / "runbooks" / "README.md").read_text()
    for page in pages:
        text = (DOCS / "runbooks" / page).read_text()
        first = text[text.index("1. ") : text.index("2. ")]
        assert re.search(r"\b[Tt]races?\b", first), page
        assert "**Fires when**" in text and "## Do" in text
        assert f"({page})" in listed


def test_the_address_of_a_runbook_can_be_of_any_form() -> None:
    assert Links("https://a/").runbook("FanOut") == "https://a/FanOut.md"
    assert Links("https://a/{name}.html").runbook("FanOut") == "https://a/FanOut.html"
    assert Links().runbook("FanOut") == ""


def test_every_metric_of_conditions_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "alert-conditions.md").read_text()
    for name in METRICS:
        assert re.search(rf"`{name}[`(]", page), name
    for member in BudgetMember:
        assert f'`budget("daily").{member}' in page


def test_the_examples_of_the_pages_compile() -> None:
    found = 0
    for page in ("reference/alert-conditions.md", "how-to/alert.md"):
        for block in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            document = yaml.safe_load(block)
            section = (document.get("spec") or document).get("alerts") or {}
            budgets = (document.get("spec") or document).get("budgets") or []
            made = compiled(*section.get("rules", []), budgets=budgets)
            assert not made.faults and not made.warnings, [fault.text for fault in (*made.faults, *made.warnings)]
            found += len(section.get("rules", []))
    assert found >= 10


def test_the_inhibition_to_copy_is_ours() -> None:
    page = (DOCS / "how-to" / "alert.md").read_text()
    (block,) = re.findall(r"inhibit_rules:.*?(?=```)", page, re.DOTALL)
    (rule,) = yaml.safe_load("  " + block)["inhibit_rules"]
    spec, _ = parse_spec({"alerts": {}})
    assert spec.alerts is not None
    (ours,) = routing(spec.alerts, "shop/agents", root=True).inhibitions
    assert tuple(rule["equal"]) == ours.equal
    for side, matchers in (("source", ours.source), ("target", ours.target)):
        named = {matcher.name for matcher in matchers} - {"tracekeeper_config"}
        assert named <= {re.split("[=!]", text)[0] for text in rule[f"{side}_matchers"]}


def known() -> dict[str, set[str]]:
    """Every metric that there is, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in (*metrics.TABLE, *families.METERED):
        names = [metric.name]
        if metric.type == "histogram":
            names = [f"{metric.name}{suffix}" for suffix in ("_bucket", "_count", "_sum")]
        for name in names:
            found[name] = {*metric.labels, *(["le"] if name.endswith("_bucket") else [])}
    for family in ControllerMetrics().registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        found[family.name + suffix] = {"namespace", "name", "state", "config", "budget", "key", "window", "reason"}
    return found


def test_rules_ask_only_for_what_there_is() -> None:
    there = known()
    conditions = [
        *(f"{name} > 0.5" for name in METRICS if not name.endswith("_latency") and name != "slow_rate"),
        *(f"{name} > 1s" for name in METRICS if name.endswith("_latency")),
        "slow_rate(1s) > 0.5",
        *(f'budget("daily").{member} > 0.5' for member in BudgetMember if member is not BudgetMember.BURN),
    ]
    rules = [{"name": f"R{index}", "condition": text} for index, text in enumerate(conditions)]
    made = compiled(*rules[:64], budgets=[BUDGET])
    assert not made.faults
    exprs = [rule.expr for rule in (*made.rules, *every_rule())]
    asked = 0
    for expr in exprs:
        for name, inside in re.findall(r"\b(tracekeeper_[a-z0-9_]+)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expr)):
            labels = {part.rstrip("=!~") for part in re.findall(r"([a-z_]+[=!~]+)", inside)}
            assert name in there, name
            assert labels - {"namespace", "alerts"} <= there[name], (name, labels)
            asked += 1
    assert asked > 80


def test_groups_and_steps_are_those_of_the_families() -> None:
    counted = {metric.name: metric for metric in families.METERED}
    assert BOUNDS == families.DURATIONS
    for metric in METRICS.values():
        for source in metric.sources:
            for name in filter(None, (source.counter, source.over)):
                labels = set(counted[name].labels)
                assert {group.label for group in source.groups} <= labels, (metric.name, name)
                fixed = source.fixed if name == source.counter else source.over_fixed
                assert {matcher.label for matcher in fixed} <= labels
    assert {group.label for group in Group} == {"service", "agent", "workflow", "model", "provider", "tool", "detector"}
