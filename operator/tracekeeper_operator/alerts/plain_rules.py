"""Files of rules for a Prometheus that no Prometheus operator looks after, in ConfigMaps. Pure.

There are always the same ConfigMaps, so that they can be mounted once and for all. A config has its place by its name:
other configs that come and go do not move it, except where a ConfigMap is full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tracekeeper_spec.alert.compiled import AlertRule, RecordingRule
from tracekeeper_spec.units import format_duration

MAPS = tuple(f"tracekeeper-rules-{index}" for index in range(8))
FOLDER = "/etc/tracekeeper/rules"
"""Where all of them are to be mounted, in one volume."""
MOST = 900_000
"""Bytes of one: Kubernetes keeps none above 1 MiB."""
OPERATOR_KEY = "operator.yaml"
"""The file of the rules on the operator itself."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What is to be written."""

    maps: Mapping[str, Mapping[str, str]]
    """The data of each ConfigMap of MAPS, by its name; it may be empty."""
    left_out: tuple[str, ...]
    """Keys that there is no room for."""


def rule_file(group: str, rules: Sequence[AlertRule | RecordingRule]) -> str:
    """One group, as Prometheus reads it: evaluated as often as Prometheus is told to for all rules."""
    content = {"groups": [{"name": group, "rules": [_rule(rule) for rule in rules]}]}
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False, width=1000, allow_unicode=True))


def _rule(rule: AlertRule | RecordingRule) -> dict[str, Any]:
    if isinstance(rule, RecordingRule):
        found: dict[str, Any] = {"record": rule.record, "expr": rule.expr}
        return {**found, "labels": dict(rule.labels)} if rule.labels else found
    found = {"alert": rule.alert, "expr": rule.expr}
    if rule.for_:
        found["for"] = format_duration(rule.for_)
    if rule.keep_firing_for:
        found["keep_firing_for"] = format_duration(rule.keep_firing_for)
    return {**found, "labels": dict(rule.labels), "annotations": dict(rule.annotations)}


def rule_key(config: str) -> str:
    """The key of the file of `namespace/name`: `shop.agents.yaml`. No other config's is the same: a namespace has no
    dot in its name."""
    namespace, _, name = config.partition("/")
    if len(name) > 180:
        name = hashlib.sha256(name.encode()).hexdigest()
    return f"{namespace}.{name}.yaml"


def pack(files: Mapping[str, str]) -> Packed:
    """Lay files, by key, into the ConfigMaps."""
    maps: dict[str, dict[str, str]] = {name: {} for name in MAPS}
    room = dict.fromkeys(MAPS, MOST)
    left_out = []
    for key in sorted(files):
        need = len(key) + len(files[key].encode())
        first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % len(MAPS)
        name = next((name for name in (*MAPS[first:], *MAPS[:first]) if need <= room[name]), None)
        if name is None:
            left_out.append(key)
            continue
        room[name] -= need
        maps[name][key] = files[key]
    return Packed(maps, tuple(left_out))
