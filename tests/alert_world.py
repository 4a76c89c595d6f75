"""Rules compiled from what somebody would write, and the real promtool that checks and runs them on written series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import promtool
from tracekeeper_spec.alert.compile import compile_alerts
from tracekeeper_spec.alert.compiled import AlertRule, Compiled, Links, RecordingRule
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.units import format_duration

CONFIG = "shop/agents"
Labels = Mapping[str, str]
Series = tuple[str, Labels, str]
"""A metric, its labels, and its values as promtool writes them."""


def compiled(
    *rules: Mapping[str, Any],
    built_in: str = "None",
    budgets: Sequence[Mapping[str, Any]] = (),
    config: str = CONFIG,
    root: bool = False,
    links: Links | None = None,
) -> Compiled:
    """What comes of a config with these rules. Fields that a rule lacks are filled in by the schema."""
    section: dict[str, Any] = {"builtIn": built_in, "rules": [dict(rule) for rule in rules]}
    spec, faults = parse_spec({"alerts": section, "budgets": [dict(budget) for budget in budgets]})
    assert not faults and spec.alerts is not None, [str(fault) for fault in faults]
    namespace, _, name = config.partition("/")
    return compile_alerts(spec.alerts, spec.budgets or (), namespace, name, root=root, links=links or Links())


def rule_file(groups: Mapping[str, Iterable[AlertRule | RecordingRule]]) -> str:
    """A file as Prometheus reads it."""
    made = [{"name": name, "rules": [_rule(rule) for rule in rules]} for name, rules in groups.items()]
    return yaml.safe_dump({"groups": made}, sort_keys=False, width=10_000)


def _rule(rule: AlertRule | RecordingRule) -> dict[str, Any]:
    if isinstance(rule, RecordingRule):
        return {"record": rule.record, "expr": rule.expr, "labels": dict(rule.labels)}
    found = {
        "alert": rule.alert,
        "expr": rule.expr,
        "for": format_duration(rule.for_),
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
    }
    return {**found, "keep_firing_for": format_duration(rule.keep_firing_for)} if rule.keep_firing_for else found


def per_second(rate: float, minutes: int = 20) -> str:
    """A counter that grows so fast, scraped each minute: of dyadic fractions, `rate()` is exactly that."""
    return f"0+{rate * 60:.12g}x{minutes}"


def steady(value: float, minutes: int = 20) -> str:
    return f"{value:.12g}+0x{minutes}"


@dataclass(frozen=True)
class Unit:
    """One written world, and what must fire in it."""

    name: str
    series: Sequence[Series]
    alert: str
    fires: Sequence[Labels]
    """Labels of each alert besides `alertname` and `alertstate`."""
    at: str = "12m"
    interval: str = "1m"
    state: str = "firing"


@dataclass
class Trial:
    """Rules, and worlds in which they are run; several trials are one run of promtool."""

    rules: Iterable[AlertRule | RecordingRule]
    units: list[Unit] = field(default_factory=list)
    interval: str = "1m"
    """Between two evaluations."""
    extra: Sequence[Mapping[str, Any]] = ()
    """Tests as promtool reads them."""


def run(folder: Path, *trials: Trial) -> None:
    """Raises AssertionError with what promtool says."""
    files = []
    for number, trial in enumerate(trials):
        rules, units = folder / f"rules-{number}.yaml", folder / f"units-{number}.yaml"
        rules.write_text(rule_file({"group": trial.rules}))
        tests = [*(_test(unit) for unit in trial.units), *trial.extra]
        content = {"rule_files": [rules.name], "evaluation_interval": trial.interval, "tests": tests}
        units.write_text(yaml.safe_dump(content, sort_keys=False, width=10_000))
        files.append((rules, units))
    code, said = promtool.said(promtool.promtool(), "check", "rules", *(rules for rules, _ in files))
    assert code == 0, said
    code, said = promtool.said(promtool.promtool(), "test", "rules", *(units for _, units in files))
    failed = [
        line for line in said.splitlines() if line.strip() and "SUCCESS" not in line and "Unit Testing" not in line
    ]
    assert code == 0, "\n".join(failed)[:20_000]


def _test(unit: Unit) -> dict[str, Any]:
    samples = [
        {"labels": selector("ALERTS", {"alertname": unit.alert, "alertstate": unit.state, **labels}), "value": 1}
        for labels in unit.fires
    ]
    asked = selector("ALERTS", {"alertname": unit.alert, "alertstate": unit.state})
    return {
        "name": unit.name,
        "interval": unit.interval,
        "input_series": [{"series": selector(name, labels), "values": text} for name, labels, text in unit.series],
        "promql_expr_test": [{"expr": asked, "eval_time": unit.at, "exp_samples": samples}],
    }


def selector(name: str, labels: Labels) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}"


def refused(rules: str, folder: Path) -> str:
    """What `promtool check rules` says against a file; empty for nothing."""
    (folder / "checked.yaml").write_text(rules)
    code, said = promtool.said(promtool.promtool(), "check", "rules", folder / "checked.yaml")
    return said if code else ""
