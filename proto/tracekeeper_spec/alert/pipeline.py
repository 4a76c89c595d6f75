"""Built-in rules about what happens to spans, from the sidecars' own metrics.

These have no label `alerts`: a pod's metrics are joined with its `tracekeeper_metering`, which has. So Prometheus must
give them the labels `namespace` and `pod`, as PodMonitors and the usual annotations' job do.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tracekeeper_spec.alert.build import Site
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.alert.envelope import Envelope
from tracekeeper_spec.alert.expression import Matcher, matchers
from tracekeeper_spec.alert.labels import NAMESPACE
from tracekeeper_spec.alert.metric import METERING
from tracekeeper_spec.alert.severity import Severity


class _Kind(NamedTuple):
    name: str
    severity: Severity
    expr: str
    """With `<…>` in place of the braces of each selector, into which the site's namespace is put, and `<mine>` for
    what only pods of the site have."""
    summary: str
    """Behind it comes where."""
    description: str
    for_: float = 0.0


_KINDS = (
    _Kind(
        "SpansDropped",
        Severity.CRITICAL,
        'sum by (namespace, pod, delivery, reason) (increase(tracekeeper_spans_dropped_total<reason!="lag">[10m])) > 0'
        " <mine>",
        '{{ printf "%.0f" $value }} acknowledged spans were given up ({{ $labels.reason }})',
        "Delivery entry {{ $labels.delivery }} gave up spans that the application was told are safe.",
    ),
    _Kind(
        "SpansRefused",
        Severity.WARNING,
        "sum by (namespace, pod, reason) (increase(tracekeeper_spans_refused_total<>[10m])) > 0 <mine>",
        '{{ printf "%.0f" $value }} spans were refused ({{ $labels.reason }})',
        "The application was told. For most reasons SDKs send them again a few times, and what they give up is lost; "
        "what is refused as redaction, malformed or too_large must not be sent again, and is lost at once.",
        300,
    ),
    _Kind(
        "BufferFilling",
        Severity.WARNING,
        "predict_linear(tracekeeper_log_room_bytes<>[30m], 14400) < 0 and on (namespace, pod)"
        " tracekeeper_log_room_bytes<> / tracekeeper_log_quota_bytes<> < 0.5 <mine>",
        "the buffer will be full within 4 hours",
        "More comes in than backends take. A full buffer refuses spans, or drops the oldest, as buffer.whenFull says.",
        300,
    ),
    _Kind(
        "UnsentInDyingPods",
        Severity.WARNING,
        "sum by (namespace, pod) (tracekeeper_spans_pending<>) > 0 and on (namespace, pod)"
        " tracekeeper_draining<> == 1 and on (namespace, pod)"
        " max by (namespace, pod) (tracekeeper_delivery_lag_seconds<>) > 60 <mine>",
        '{{ printf "%.0f" $value }} spans are unsent, and the pod is about to go',
        "The pod is being stopped, and the oldest span has waited for more than a minute. What it cannot deliver in "
        "time is lost, unless its storage outlives it.",
    ),
    _Kind(
        "BreakerOpen",
        Severity.WARNING,
        'sum by (namespace, backend) (tracekeeper_backend_circuit_state<state=~"Open|ForcedOpen"> == 1 <mine>) > 0',
        "backend {{ $labels.backend }} fails for {{ $value }} sidecars",
        "Their circuit breakers are open: they send to the next backend of each delivery entry, or keep spans.",
        900,
    ),
    _Kind(
        "DeliveryStalled",
        Severity.CRITICAL,
        "max by (namespace, pod, delivery) (tracekeeper_delivery_lag_seconds<>) > 900 <mine>",
        "delivery {{ $labels.delivery }} is {{ $value | humanizeDuration }} behind",
        "Its oldest span has waited so long. Nothing is lost while the buffer has room.",
        300,
    ),
    _Kind(
        "PolicyRefused",
        Severity.WARNING,
        "max by (namespace, pod) (tracekeeper_policy_faults<>) > 0 <mine>",
        "the sidecar refuses the newest policy",
        "It goes on with the one before, so changes do not take effect there.",
        300,
    ),
    _Kind(
        "SpansNotCounted",
        Severity.WARNING,
        "sum by (namespace, pod) (increase(tracekeeper_meter_missed_spans_total<>[10m])) > 0 <mine>",
        '{{ printf "%.0f" $value }} spans were stored and not counted',
        "Metrics and budgets of this pod are too low by these. The spans themselves are delivered.",
    ),
)
NAMES = tuple(kind.name for kind in _KINDS)


def pipeline_rules(site: Site, envelope: Envelope) -> tuple[AlertRule, ...]:
    """All of them, for the pods of one site."""
    return tuple(_rule(kind, site, envelope) for kind in _KINDS)


def _rule(kind: _Kind, site: Site, envelope: Envelope) -> AlertRule:
    own = matchers([Matcher(NAMESPACE, "=", site.namespace)]) if site.namespace else ""
    mine = f"and on (namespace, pod) max_over_time({METERING}{{{matchers(site.matchers)}}}[10m])"
    expr = re.sub(r"<([^<>]*)>", lambda found: _braces(own, found[1]), kind.expr.replace("<mine>", mine))
    place = "" if kind.name == "BreakerOpen" else "pod {{ $labels.pod }}, "
    summary = f"{kind.name}: {kind.summary} in {place}namespace {site.namespace or '{{ $labels.namespace }}'}"
    annotations = envelope.annotations(kind.name, summary, kind.description, ())
    return AlertRule(kind.name, expr, kind.for_, 0.0, envelope.labels(kind.severity, kind.name), annotations)


def _braces(*items: str) -> str:
    inside = ",".join(item for item in items if item)
    return f"{{{inside}}}" if inside else ""
