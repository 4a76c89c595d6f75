"""From a config's alerts to Prometheus rules. Pure."""

from __future__ import annotations

from tracekeeper_spec.alert.compiled import Compiled, Links
from tracekeeper_spec.alert.section import Alerts
from tracekeeper_spec.budget import Budget


def compile_alerts(
    alerts: Alerts, budgets: tuple[Budget, ...], namespace: str, name: str, *, root: bool, links: Links
) -> Compiled:
    """The rules of the config `namespace`/`name`. `root`: it is for all namespaces, and so are its rules."""
    return Compiled(f"{namespace}/{name}")
