"""The NetworkPolicy that sidecars need where everything is denied by default: pure, from what is there."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

NAME = "tracekeeper-sidecars"
INJECTED = {"tracekeeper.dev/injected": "true"}
METRICS_PORT, CONTROL_PORT, DNS_PORT = 14316, 9444, 53
SPACE = "kubernetes.io/metadata.name"
DEFAULT_PORTS = {"http": 80, "https": 443}
UDP = "udp"
Object = dict[str, Any]
FindService = Callable[[str, str], Mapping[str, Any] | None]
"""A Service by namespace and name, as the API server has it; None where there is none, or none that may be read."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way out: what it leads to, and the rule that opens it."""

    to: str
    rule: Object


@dataclass(frozen=True, slots=True)
class Need:
    """What sidecars of one namespace need."""

    policy: Object
    """It opens all of it."""
    ways: tuple[Way, ...]
    """Those out."""


def need(namespace: str, configs: Iterable[Mapping[str, Any]], operator: str, find: FindService) -> Need:
    """What sidecars of `namespace` need.

    `configs` are TracingConfigs as they apply there, of which only the `spec` counts; `operator` is the namespace of
    Tracekeeper itself.
    """
    specs = [spec for spec in (config.get("spec") for config in configs) if isinstance(spec, Mapping)]
    endpoints = dict.fromkeys(found for spec in specs for found in _endpoints(spec))
    ways = [_dns(), _control(operator), *(_backend(endpoint, namespace, find) for endpoint in endpoints)]
    ports = sorted({METRICS_PORT} | {port for spec in specs if (port := _metrics_port(spec))})
    egress: list[Object] = []
    for way in ways:
        if way.rule not in egress:
            egress.append(way.rule)
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": dict(INJECTED)},
            "policyTypes": ["Ingress", "Egress"],
            # Whoever scrapes: metrics and health show counts and names of backends, never what is in spans.
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [_tcp(port) for port in ports]}],
            "egress": egress,
        },
    }
    return Need(body, tuple(ways))


def _dns() -> Way:
    to = {
        "namespaceSelector": {"matchLabels": {SPACE: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"protocol": protocol, "port": DNS_PORT} for protocol in ("UDP", "TCP")]
    return Way(
        "names: the cluster's DNS (with a cache on each node, allow its address too)", {"to": [to], "ports": ports}
    )


def _control(operator: str) -> Way:
    to = {
        "namespaceSelector": {"matchLabels": {SPACE: operator}},
        "podSelector": {
            "matchLabels": {"app.kubernetes.io/part-of": "tracekeeper", "app.kubernetes.io/component": "controller"}
        },
    }
    return Way(f"the control stream, in {operator}", {"to": [to], "ports": [_tcp(CONTROL_PORT)]})


def _backend(endpoint: str, namespace: str, find: FindService) -> Way:
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
    protocol = "UDP" if parts.scheme == UDP else "TCP"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _named(host, port, protocol, namespace, find)
    block = {"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}
    return Way(f"{host}:{port}, by its address", {"to": [block], "ports": [_port(port, protocol)]})


def _named(host: str, port: int, protocol: str, namespace: str, find: FindService) -> Way:
    """By name: a Service where there is one of that name, else somewhere outside."""
    labels = host.split(".")
    name, space = labels[0], labels[1] if len(labels) > 1 else namespace
    inside = len(labels) <= 2 or labels[2] == "svc"
    service = find(space, name) if inside else None
    if service is None and (not inside or len(labels) == 2):
        anywhere = [{"ipBlock": {"cidr": cidr}} for cidr in ("0.0.0.0/0", "::/0")]
        told = f"{host}:{port}, at any address: policies know no names, so put its network there if you know it"
        return Way(told, {"to": anywhere, "ports": [_port(port, protocol)]})
    peer: Object = {"namespaceSelector": {"matchLabels": {SPACE: space}}}
    selector = ((service or {}).get("spec") or {}).get("selector")
    if not selector:
        told = f"{host}:{port}, any pod of {space}: what is behind its Service is not known here"
        return Way(told, {"to": [peer], "ports": [_port(port, protocol)]})
    # A policy looks at the pod's port, behind the Service's.
    target = _target(service or {}, port)
    peer["podSelector"] = {"matchLabels": dict(selector)}
    return Way(
        f"{host}:{port}, the pods behind Service {space}/{name}", {"to": [peer], "ports": [_port(target, protocol)]}
    )


def _target(service: Mapping[str, Any], port: int) -> int | str:
    for entry in service["spec"].get("ports") or ():
        if entry.get("port") == port:
            found: int | str = entry.get("targetPort") or port
            return found
    return port


def _endpoints(spec: Mapping[str, Any]) -> list[str]:
    """Of backends, and of what metrics are pushed to; those of StatsD as `udp://host:port`."""
    metrics = spec.get("metrics")
    pushes = metrics.get("push") if isinstance(metrics, Mapping) else None
    items = [item for item in (*(spec.get("backends") or ()), *(pushes or ())) if isinstance(item, Mapping)]
    found = [_endpoint(item, member) for item in items for member in ("otlp", "pushgateway")]
    over_udp = [endpoint and f"{UDP}://{endpoint}" for item in items for endpoint in [_endpoint(item, "statsd")]]
    return [endpoint for endpoint in (*found, *over_udp) if endpoint]


def _endpoint(item: Mapping[str, Any], member: str) -> str:
    found = item.get(member)
    endpoint = found.get("endpoint") if isinstance(found, Mapping) else None
    return endpoint if isinstance(endpoint, str) else ""


def _metrics_port(spec: Mapping[str, Any]) -> int | None:
    port = ((spec.get("sidecar") or {}).get("ports") or {}).get("metrics")
    return port if isinstance(port, int) else None


def _tcp(port: int | str) -> Object:
    return _port(port, "TCP")


def _port(port: int | str, protocol: str) -> Object:
    return {"protocol": protocol, "port": port}
