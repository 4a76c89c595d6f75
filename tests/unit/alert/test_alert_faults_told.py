"""One broken rule of six: five are written, and everybody who looks says which one is broken, where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from alert_world import compiled
from control_objects import backend, config
from tracekeeper_cli.__main__ import main as tracekeeper
from tracekeeper_operator.alert_faults import AlertFaults
from tracekeeper_operator.config_faults import ConfigFaults
from tracekeeper_operator.plan import Published, assess, plan
from tracekeeper_operator.status import Outcome, conditions
from tracekeeper_operator.validate import MAX_WARNING, validate
from tracekeeper_sidecar.control.check import check_file
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.scope import Scope

RULES = [
    {"name": "Errors", "condition": "error_rate > 0.05", "window": "10m"},
    {"name": "Slow", "condition": "p99_latency > 10s"},
    {"name": "Broken", "condition": "eror_rate > 0.05"},
    {"name": "Dear", "condition": "cost_per_hour > 5"},
    {"name": "Wide", "condition": "calls_per_request > 100"},
    {"name": "Raw", "promql": "up == 0"},
]
SAID = "rule Broken, character 1: there is no metric eror_rate (did you mean error_rate?)"


def manifest(**alerts: Any) -> dict[str, Any]:
    return config(backends=[backend("tempo")], alerts={"builtIn": "None", "rules": RULES, **alerts})


def test_the_five_others_are_compiled() -> None:
    made = compiled(*RULES)
    assert [rule.alert for rule in made.rules if isinstance(rule, AlertRule)] == [
        "Errors",
        "Slow",
        "Dear",
        "Wide",
        "Raw",
    ]
    assert [fault.text for fault in made.faults] == [SAID]


def test_the_config_is_accepted_and_its_condition_says_what_is_broken() -> None:
    decided = plan("shop", assess([manifest()], None), {}, Published(None), floor=0, now=1e9)
    item = decided.configs[0]
    assert item.config is not None
    faults = AlertFaults("").of(item.config).faults
    accepted, _, ready = conditions(item, decided, {}, Outcome(), now=1e9, alerts=faults)
    assert (accepted.status, accepted.reason) == ("True", "AcceptedWithFaults")
    assert SAID in accepted.message and "spec.alerts.rules[2]" in accepted.message
    assert (ready.status, ready.reason) == ("True", "Published")


def test_what_was_found_is_remembered_for_a_generation_only() -> None:
    faults = AlertFaults("")
    first = assess([manifest()], None)[0].config
    mended = manifest(rules=RULES[:2])
    mended["metadata"]["generation"] += 1
    second = assess([mended], None)[0].config
    assert first is not None and second is not None
    assert faults.of(first) is faults.of(first)
    assert faults.of(first).faults and not faults.of(second).faults


def test_admission_warns_of_faults_before_all_else_and_denies_nothing() -> None:
    verdict = validate(manifest(), None, Scope("shop", {}, lambda namespace: []))
    assert verdict.allowed
    assert verdict.warnings[0] == f"spec.alerts.rules[2]: {SAID}"
    assert all(len(text) <= MAX_WARNING for text in verdict.warnings)


def test_admission_warns_of_what_is_probably_not_meant() -> None:
    rules = [{"name": "Odd", "condition": "p99_latency > 11s"}]
    verdict = validate(manifest(rules=rules), None, Scope("shop", {}, lambda namespace: []))
    assert "exact are 10s and 15s" in verdict.warnings[0]


def test_both_checks_find_it_in_a_file(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(manifest()))
    assert check_file(str(file)) == [f"{file}: spec.alerts.rules[2]: {SAID}"]
    assert tracekeeper(["check", str(file)]) != 0
    assert SAID in capsys.readouterr().err
    file.write_text(yaml.safe_dump(manifest(rules=RULES[:2])))
    assert check_file(str(file)) == []
    assert tracekeeper(["check", str(file)]) == 0


def test_a_config_with_faults_of_its_spec_is_shown_until_it_has_none() -> None:
    registry = CollectorRegistry()
    shown = ConfigFaults(Gauge("faults", "Faults.", ["namespace", "name"], registry=registry))
    shown.note("shop", assess([config(bakends=[], logLevel="Loud")], None))
    assert b'faults{name="agents",namespace="shop"} 2.0' in generate_latest(registry)
    shown.note("shop", assess([manifest()], None))
    assert b"{" not in generate_latest(registry)
