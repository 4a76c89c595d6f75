"""Shows which TracingConfigs have faults, so that somebody can be alerted who does not look at their statuses."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Gauge

from .plan import Assessed


class ConfigFaults:
    """Owns a gauge with the labels `namespace` and `name`. Configs without faults are not in it."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: dict[str, frozenset[str]] = {}
        """Names, by namespace."""

    def note(self, namespace: str, items: Iterable[Assessed]) -> None:
        """These are the namespace's configs now."""
        counts = {str(item.meta.get("name")): len(item.faults) for item in items if item.faults}
        for name, count in counts.items():
            self._gauge.labels(namespace, name).set(count)
        for name in self._shown.get(namespace, frozenset()) - counts.keys():
            self._gauge.remove(namespace, name)
        if counts:
            self._shown[namespace] = frozenset(counts)
        else:
            self._shown.pop(namespace, None)
