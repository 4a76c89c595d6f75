"""Service meshes in the same pod: where the sidecar goes beside their proxy, and how it is probed through it. Pure.

A proxy that is a native sidecar itself is stopped before the containers ahead of it. So the sidecar stands behind it:
it starts when there is a network, and what it delivers at the end of the pod has one still. The mesh's webhook has
usually been asked before ours, because the API server asks them by name.

Under strict mutual TLS a proxy refuses the kubelet's plain HTTP, and the mesh redirects only probes that it knew of. So
where the metrics port is not taken out of the mesh, the probes ask inside the container.
"""

from __future__ import annotations

from collections.abc import Iterator

from .pod import Pod

PROXIES = ("istio-proxy", "linkerd-proxy", "kuma-sidecar", "consul-dataplane")
"""The containers that carry the pod's traffic."""
HELPERS = (
    "istio-init",
    "istio-validation",
    "enable-core-dump",
    "linkerd-init",
    "linkerd-network-validator",
    "kuma-init",
    "kuma-validation",
    "consul-connect-inject-init",
)
"""Their init containers that end."""
EXCLUSIONS = (
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "config.linkerd.io/skip-inbound-ports",
    "traffic.kuma.io/exclude-inbound-ports",
)
"""Annotations that take ports out of the mesh."""

_ASK = (
    "import socket; c = socket.create_connection(('127.0.0.1', {port}), 4); "
    "c.sendall(b'GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); "
    "raise SystemExit(b' 200 ' not in c.recv(64))"
)
"""A probe that takes some 20 ms of CPU: neither our code nor a HTTP library is imported for it."""


def belongs(name: str) -> bool:
    """Whether a container of this name is a mesh's: no application, so nothing in it traces for the application."""
    return name in PROXIES or name in HELPERS


def place(pod: Pod) -> int:
    """Where among the init containers the sidecar goes: behind a native proxy; else behind what the mesh has put first,
    so that nothing of ours goes past it before the traffic is redirected."""
    native = [index for index, item in enumerate(pod.init_containers) if item.name in PROXIES and item.stays]
    if native:
        return native[-1] + 1
    for index, item in enumerate(pod.init_containers):
        if not belongs(item.name):
            return index
    return len(pod.init_containers)


def intercepts(pod: Pod, port: int) -> bool:
    """Whether a proxy stands between the kubelet and this port of the pod."""
    if not any(item.name in PROXIES for item in (*pod.init_containers, *pod.containers)):
        return False
    return not any(low <= port <= high for low, high in _excluded(pod))


def probe_command(path: str, port: int) -> list[str]:
    """The same question as over the network, from inside the container: ends with 0 if the answer is 200."""
    return ["python3", "-I", "-S", "-c", _ASK.format(path=path, port=port)]


def _excluded(pod: Pod) -> Iterator[tuple[int, int]]:
    for key in EXCLUSIONS:
        for part in pod.annotations.get(key, "").split(","):
            low, _, high = part.strip().partition("-")
            if low.isdigit() and (high or low).isdigit():
                yield int(low), int(high or low)
