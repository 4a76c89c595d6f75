"""The rules of TracingConfigs, as they are compiled, loaded and firing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekeeper_cli.monitoring import members
from tracekeeper_cli.tables import table
from tracekeeper_cli.terminal import plain
from tracekeeper_spec.alert.compiled import AlertRule, Compiled

States = Mapping[str, Mapping[str, str]]
"""Group to rule to what Prometheus says of it: `inactive`, `pending`, `firing: 2`, or why it cannot evaluate it."""
ORDER = ("firing", "pending")
HEADER = ("TRACINGCONFIG", "RULE", "SEVERITY", "STATE")


@dataclass(frozen=True, slots=True)
class Item:
    """One config that has alerts."""

    name: str
    """`namespace/name`"""
    compiled: Compiled
    condition: Mapping[str, Any] | None
    """`RulesLoaded`; None where the controller says nothing of it."""


def states(answer: Any) -> States:
    """What Prometheus answers at /api/v1/rules."""
    found: dict[str, dict[str, str]] = {}
    data = answer.get("data") if isinstance(answer, Mapping) else None
    for group in members(data, "groups"):
        rules = found.setdefault(str(group.get("name")), {})
        for rule in members(group, "rules"):
            if rule.get("type") == "alerting":
                rules[str(rule.get("name"))] = _state(rule)
    return found


def _state(rule: Mapping[str, Any]) -> str:
    if rule.get("health") == "err":
        return f"cannot be evaluated: {rule.get('lastError')}"
    counted = Counter(str(alert.get("state")) for alert in members(rule, "alerts"))
    told = [f"{state}: {counted[state]}" for state in ORDER if counted[state]]
    return ", ".join(told) or str(rule.get("state") or "unknown")


def listing(items: Sequence[Item], known: States | None) -> str:
    """A row for each alerting rule; below, what is wrong. `known` is None where Prometheus was not asked."""
    rows: list[Sequence[object]] = []
    notes: list[str] = []
    for item in items:
        there = None if known is None else known.get(item.compiled.group, {})
        for rule in item.compiled.rules:
            if isinstance(rule, AlertRule):
                state = "unknown" if there is None else there.get(rule.alert, "not loaded")
                rows.append((item.name, rule.alert, rule.labels.get("severity", "-"), plain(state)))
        rows += [(item.name, name, "-", "left out") for name in dict.fromkeys(f.rule for f in item.compiled.faults)]
        notes += [f"{item.name}: {plain(fault.text)}" for fault in (*item.compiled.faults, *item.compiled.warnings)]
        notes += _loaded(item)
    return "\n".join([table(HEADER, rows), *notes])


def _loaded(item: Item) -> Iterable[str]:
    if item.condition is None:
        yield f"{item.name}: the controller says nothing of these rules yet: is it running, and of this version?"
    elif item.condition.get("status") != "True":
        yield f"{item.name}: RulesLoaded is {item.condition.get('status')}: {plain(str(item.condition.get('message')))}"
