"""Who scrapes sidecars and operator where there is a Prometheus operator: two PodMonitors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import names
from .kinds import POD_MONITORS
from .objects import Object, made

PORT = "tk-metrics"
"""Of the sidecar's container."""
OPERATOR_PORT = "metrics"
SAMPLES = 50_000
"""Of one sidecar, at most; an honest one has a third of that with every table full. Any pod may have our label and
port, and the cluster's Prometheus is everybody's."""
SIDECARS = "tracekeeper-sidecars"
OPERATOR = "tracekeeper-operator"


def sidecars(namespace: str, labels: Mapping[str, str], owner: Object | None) -> Object:
    """Of all namespaces. A pod's own label `namespace` never replaces that of where it runs."""
    spec = {
        "namespaceSelector": {"any": True},
        "selector": {"matchLabels": {names.INJECTED: "true"}},
        "podMetricsEndpoints": [{"port": PORT}],
        "sampleLimit": SAMPLES,
    }
    return made(POD_MONITORS, namespace, SIDECARS, labels, spec, of=SIDECARS, owner=owner)


def operator(namespace: str, pods: Mapping[str, str], labels: Mapping[str, str], owner: Object | None) -> Object:
    """Of the operator's own pods, which have the labels `pods`. Their metrics have a label `namespace` that means the
    namespace of what they tell of."""
    spec = {
        "selector": {"matchLabels": dict(pods)},
        "podMetricsEndpoints": [{"port": OPERATOR_PORT, "honorLabels": True}],
    }
    return made(POD_MONITORS, namespace, OPERATOR, labels, spec, of=OPERATOR, owner=owner)


def scraped_by_others(monitors: Iterable[Mapping[str, Any]], trusted: Iterable[str]) -> str:
    """`namespace/name` of a PodMonitor that is not ours and has the sidecars of all namespaces scraped; empty when
    there is none. With two, every count would be there twice. `trusted` are the namespaces of which one is believed: a
    tenant must not be able to end the scraping of all others by a PodMonitor that no Prometheus selects.
    """
    allowed = frozenset(trusted)
    for manifest in monitors:
        meta, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
        endpoints = spec.get("podMetricsEndpoints") or ()
        scrapes = any(PORT in (each.get("port"), each.get("targetPort")) for each in endpoints)
        everywhere = (spec.get("namespaceSelector") or {}).get("any") is True
        if scrapes and everywhere and meta.get("namespace") in allowed:
            return f"{meta['namespace']}/{meta.get('name')}"
    return ""
