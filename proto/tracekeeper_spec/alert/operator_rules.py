"""Built-in rules about the operator itself, and about what it knows of pods and configs. They belong to no config.

A Prometheus that scrapes without `honorLabels` calls the operator's own label `namespace` `exported_namespace`, and
gives that name to where the operator runs; both are put right here.

Any pod may show metrics of these names. So they count only from where the operator runs, where that is known: of a
metric that has a label `namespace` of its own, what the same target shows besides says where it is.
"""

from __future__ import annotations

from typing import NamedTuple

from tracekeeper_spec.alert.compiled import AlertRule, Links
from tracekeeper_spec.alert.expression import Matcher, matchers
from tracekeeper_spec.alert.severity import Severity

LEADER = "tracekeeper_controller_leader"
"""Of every controller, whether it leads or not."""


class _Kind(NamedTuple):
    name: str
    severity: Severity
    expr: str
    for_: float
    summary: str
    description: str


_HERE, _THERE = "{here}", "{there}"
"""Stand for a matcher of metrics that have no `namespace` of their own, and for a join of those that have."""


def _own(selector: str) -> str:
    """What has a label `namespace` of its own."""
    return f'label_replace({selector}{_THERE}, "namespace", "$1", "exported_namespace", "(.+)")'


def _pods(name: str, state: str, severity: Severity, for_: float, summary: str, description: str) -> _Kind:
    selected = f'tracekeeper_controller_pods{{state="{state}"}}'
    expr = f"max by (namespace) ({_own(selected)}) > 0"
    return _Kind(name, severity, expr, for_, summary, description)


_KINDS = (
    _pods(
        "SidecarsMissed",
        "missed",
        Severity.WARNING,
        600,
        "{{ $value }} pods that opted in have no sidecar in namespace {{ $labels.namespace }}",
        "They run untraced: nothing of what they do is recorded.",
    ),
    _pods(
        "SidecarsFailed",
        "failed",
        Severity.WARNING,
        600,
        "{{ $value }} sidecars do not run in namespace {{ $labels.namespace }}",
        "Their pods run untraced.",
    ),
    _pods(
        "SidecarsStale",
        "stale",
        Severity.WARNING,
        900,
        "{{ $value }} sidecars are on an older policy in namespace {{ $labels.namespace }}",
        "Changes of a TracingConfig have not come to them.",
    ),
    _pods(
        "SidecarsUnscraped",
        "unscraped",
        Severity.WARNING,
        900,
        "nobody asks {{ $value }} sidecars for their metrics in namespace {{ $labels.namespace }}",
        "Alerts about them cannot fire.",
    ),
    _pods(
        "SidecarsSilent",
        "silent",
        Severity.INFO,
        1800,
        "no span ever came to {{ $value }} sidecars in namespace {{ $labels.namespace }}",
        "Their applications trace nothing, or send it elsewhere.",
    ),
    _Kind(
        "ConfigRejected",
        Severity.WARNING,
        f"max by (namespace, name) ({_own('tracekeeper_controller_config_faults')}) > 0",
        300,
        "TracingConfig {{ $labels.name }} in namespace {{ $labels.namespace }} has {{ $value }} faults",
        "It takes no part, or stays as it was before, until they are mended: see its condition Accepted.",
    ),
    _Kind(
        "CertificateExpiring",
        Severity.CRITICAL,
        f"min by (job) (tracekeeper_operator_certificate_expiry_timestamp_seconds{_HERE} > 0) - time() < 604800",
        3600,
        "the webhooks' certificate ends in {{ $value | humanizeDuration }}",
        "It should have been renewed. When it ends, pods start without a sidecar.",
    ),
    _Kind(
        "NobodyLeads",
        Severity.CRITICAL,
        # Where no controller runs, there is no such metric.
        f"(sum({LEADER}{_HERE}) or vector(0)) < 1",
        600,
        "no controller leads",
        "Policies, statuses, rules and budgets stay as they are. Sidecars go on.",
    ),
)
NAMES = tuple(kind.name for kind in _KINDS)


def operator_rules(links: Links) -> tuple[AlertRule, ...]:
    """All of them; they live in the release's namespace."""
    return tuple(_rule(kind, links) for kind in _KINDS)


def _rule(kind: _Kind, links: Links) -> AlertRule:
    annotations = {"summary": f"{kind.name}: {kind.summary}", "description": kind.description}
    if address := links.runbook(kind.name):
        annotations["runbook_url"] = address
    here = f"{{{matchers([Matcher('namespace', '=', links.operator)])}}}" if links.operator else ""
    there = f" and on (job, instance) {LEADER}{here}" if here else ""
    expr = kind.expr.replace(_HERE, here).replace(_THERE, there)
    labels = {"severity": kind.severity.value, "tracekeeper_metric": kind.name}
    return AlertRule(kind.name, expr, kind.for_, 0.0, labels, annotations)
