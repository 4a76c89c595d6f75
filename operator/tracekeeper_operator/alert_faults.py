"""Faults of rules of alerts, as conditions and admission tell of them: they keep a rule from being written, and no
config from being accepted."""

from __future__ import annotations

from collections import OrderedDict

# Without it, PromQL that tenants wrote would be checked by one parser alone: then nothing must start.
import promql_parser as promql_parser

from tracekeeper_spec.alert.review import Reviewed, review
from tracekeeper_spec.config import TracingConfig

MOST = 4096
"""Configs of which it is remembered."""


class AlertFaults:
    """Remembers what was found, because statuses are looked at far more often than configs change."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: OrderedDict[tuple[str, int], Reviewed] = OrderedDict()
        """By UID and generation."""

    def of(self, config: TracingConfig) -> Reviewed:
        """Of what `config` itself says."""
        if config.spec.alerts is None or not config.spec.alerts.rules:
            return Reviewed()
        key = (config.uid, config.generation)
        if key not in self._known:
            self._known[key] = review(config, root=config.namespace == self._root)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
