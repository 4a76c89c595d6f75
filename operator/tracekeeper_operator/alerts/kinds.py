"""The Prometheus operator's kinds, as far as we read and write them."""

from __future__ import annotations

from ..kinds import Kind

GROUP = "monitoring.coreos.com"
PROMETHEUS_RULES = Kind(GROUP, "v1", "prometheusrules", "PrometheusRule")
POD_MONITORS = Kind(GROUP, "v1", "podmonitors", "PodMonitor")
ALERTMANAGER_CONFIGS = Kind(GROUP, "v1alpha1", "alertmanagerconfigs", "AlertmanagerConfig")
PROMETHEUSES = Kind(GROUP, "v1", "prometheuses", "Prometheus")
ALERTMANAGERS = Kind(GROUP, "v1", "alertmanagers", "Alertmanager")
WRITTEN = (PROMETHEUS_RULES, POD_MONITORS, ALERTMANAGER_CONFIGS)
READ = (PROMETHEUSES, ALERTMANAGERS)
