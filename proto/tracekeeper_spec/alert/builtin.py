"""The rules that come with the product."""

from __future__ import annotations

from tracekeeper_spec.alert.compiled import AlertRule, Links


def operator_rules(links: Links) -> tuple[AlertRule, ...]:
    """Those about the operator itself. They belong to no config, and live in the release's namespace."""
    return ()
