"""The controller's flags about the delivery of alerts."""

from __future__ import annotations

import argparse
import re
from urllib.parse import urlsplit

from tracekeeper_spec.alert.compiled import Links
from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN

from ..errors import SettingsError
from .options import AlertOptions

FLAGS = (
    ("prometheus-operator", "Auto", "Auto: its objects are written where its kinds are; or Never"),
    ("alert-labels", "", "labels of these objects, as a=b,c=d; without any, those that Prometheus selects by"),
    ("pod-monitors", "true", "whether PodMonitors are written, for sidecars and operator"),
    ("operator-labels", "", "labels of the operator's own pods, as a=b,c=d, for theirs"),
    ("prometheus-url", "", "where Prometheus is asked for its rules; without one, where its operator runs it"),
    ("alertmanager-url", "", "where Alertmanager is told to read its file again"),
    ("plain-namespace", "", "where plain files for Prometheus and Alertmanager are written; without one, nowhere"),
    ("plain-base", "", "ConfigMap/NAME or Secret/NAME there, with the alertmanager.yml that channels are put into"),
    ("runbook-url", "", "what the addresses of runbooks begin with"),
    ("trace-url", "", "where traces are looked at; {namespace}, {service} and {agent} are put in"),
)
"""Name, default and meaning of each."""

LABEL = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?=([A-Za-z0-9._-]{0,63})")


def read_alerts(options: argparse.Namespace, namespace: str, root: str, lease: str) -> AlertOptions:
    """What they say. Raises SettingsError naming the flag."""
    if options.prometheus_operator not in ("Auto", "Never"):
        raise SettingsError("--prometheus-operator", f"{options.prometheus_operator!r} is none of Auto, Never")
    if options.pod_monitors not in ("true", "false"):
        raise SettingsError("--pod-monitors", f"{options.pod_monitors!r} is none of true, false")
    return AlertOptions(
        namespace=namespace,
        root=root,
        prometheus_operator=options.prometheus_operator == "Auto",
        labels=_labels("--alert-labels", options.alert_labels),
        monitors=options.pod_monitors == "true",
        own_pods=_labels("--operator-labels", options.operator_labels),
        prometheus_url=_url("--prometheus-url", options.prometheus_url),
        alertmanager_url=_url("--alertmanager-url", options.alertmanager_url),
        plain_namespace=_namespace(options.plain_namespace),
        plain_base=_base(options.plain_base, options.plain_namespace),
        links=Links(options.runbook_url, options.trace_url, namespace),
        lease=lease,
    )


def _labels(flag: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if LABEL.fullmatch(part) is None:
            raise SettingsError(flag, f"{part!r} is not a label as name=value")
        name, _, value = part.partition("=")
        found[name] = value
    return found


def _url(flag: str, text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError(flag, f"{text!r} is not a URL such as http://prometheus.monitoring.svc:9090")
    return text.rstrip("/")


def _namespace(text: str) -> str:
    if text and not (re.fullmatch(DNS_LABEL.pattern, text) and len(text) <= DNS_LABEL.max_length):
        raise SettingsError("--plain-namespace", f"{text!r} is no name of a namespace")
    return text


def _base(text: str, namespace: str) -> str:
    kind, _, name = text.partition("/")
    if not text:
        return ""
    if kind not in ("ConfigMap", "Secret") or re.fullmatch(DNS_SUBDOMAIN.pattern, name) is None:
        raise SettingsError("--plain-base", f"{text!r} is neither ConfigMap/NAME nor Secret/NAME")
    if not namespace:
        raise SettingsError("--plain-namespace", "is required where --plain-base names something in it")
    return text
