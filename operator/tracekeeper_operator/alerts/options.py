"""What the chart says about the delivery of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracekeeper_spec.alert.compiled import Links


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """Of one controller."""

    namespace: str
    """The operator's own."""
    root: str = ""
    """The root namespace; empty where there is none."""
    prometheus_operator: bool = True
    """Whether to write objects of the Prometheus operator where that is there."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of those objects; empty: those that the cluster's Prometheus and Alertmanager select by."""
    monitors: bool = True
    """Whether to have sidecars and operator scraped by PodMonitors of ours."""
    own_pods: Mapping[str, str] = field(default_factory=dict)
    """Labels by which the operator's own pods are found; empty: they are not scraped."""
    prometheus_url: str = ""
    """Where Prometheus is asked for its rules; empty: where the Prometheus operator runs one."""
    alertmanager_url: str = ""
    """Where Alertmanager is told to read its file again; empty: likewise."""
    plain_namespace: str = ""
    """Where plain files are written for Prometheus and Alertmanager; empty: nowhere."""
    plain_base: str = ""
    """`ConfigMap/NAME` or `Secret/NAME` there: the alertmanager.yml that ours is put into; empty: there is none."""
    links: Links = field(default_factory=Links)
    lease: str = ""
    """The Lease in the operator's namespace with which objects there are deleted; empty: they stay."""


NO_ALERTS = AlertOptions("", prometheus_operator=False)
"""Nothing is written, and nobody is asked."""
