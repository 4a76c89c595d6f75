"""A config's rules as a PrometheusRule: pure.

One object for each config, in its namespace and deleted with it: Prometheus' operator drops a whole object for one rule
that Prometheus refuses, so nobody's rules are beside those of others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tracekeeper_spec.alert.compiled import AlertRule, RecordingRule
from tracekeeper_spec.units import format_duration

from .. import names
from .kinds import PROMETHEUS_RULES
from .objects import Object, made, owner_of, part_of_name
from .wanted import Alerting

MOST = 450 * 1024
"""Bytes of an object's rules: Prometheus' operator takes 512 KiB."""
OPERATOR = "operator.tracekeeper.dev"
"""The object, and the group, of the rules about the operator itself. No config's object can have this name."""


def prometheus_rule(item: Alerting, labels: Mapping[str, str]) -> Object:
    """The object of one config."""
    groups = [_group(item.compiled.group, item.compiled.rules)]
    return made(
        PROMETHEUS_RULES,
        item.namespace,
        names.OBJECT_PREFIX + part_of_name(item.config),
        labels,
        {"groups": groups},
        of=item.config,
        owner=owner_of(item),
    )


def operator_rule(
    rules: Iterable[AlertRule], namespace: str, labels: Mapping[str, str], owner: Object | None
) -> Object:
    """The object of the rules about the operator, in its own namespace."""
    spec = {"groups": [_group(OPERATOR, rules)]}
    return made(PROMETHEUS_RULES, namespace, OPERATOR, labels, spec, of=OPERATOR, owner=owner)


def _group(name: str, rules: Iterable[AlertRule | RecordingRule]) -> Object:
    """Evaluated as often as whoever owns that Prometheus has it evaluate rules."""
    return {"name": name, "rules": [_rule(rule) for rule in rules]}


def too_large(manifest: Object) -> int:
    """Its bytes, if Prometheus' operator would not take so many; else 0."""
    size = len(json.dumps(manifest["spec"]).encode())
    return size if size > MOST else 0


def _rule(rule: AlertRule | RecordingRule) -> dict[str, Any]:
    found: dict[str, Any]
    if isinstance(rule, RecordingRule):
        found = {"record": rule.record, "expr": rule.expr, "labels": dict(rule.labels)}
    else:
        found = {
            "alert": rule.alert,
            "expr": rule.expr,
            "for": format_duration(rule.for_) if rule.for_ else "",
            "keep_firing_for": format_duration(rule.keep_firing_for) if rule.keep_firing_for else "",
            "labels": dict(rule.labels),
            "annotations": dict(rule.annotations),
        }
    return {key: value for key, value in found.items() if value}
