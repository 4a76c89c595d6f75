"""The sidecar as Kubernetes objects: one restartable init container and up to five volumes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.config import ParentFrom
from tracekeeper_spec.pod_facts import VARIABLES
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.units import format_duration

from . import mesh, names
from .storage import NOWHERE, HostPaths, Storage

Object = dict[str, Any]

USER = 65532
"""A user and group without a name or rights on any node; files in the image are readable by it."""

TOKEN_SECONDS = 3600
"""Life of a sidecar's token. The kubelet writes a new one when four fifths of it are over."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator was told about sidecars."""

    image: str
    """Empty while there is none that can be expected to start."""
    pull_policy: str
    version: str
    """The operator's own version, written on each injected pod."""
    host_paths: HostPaths = NOWHERE
    registries: tuple[str, ...] = ()
    """What an image that a pod's annotation names must begin with, up to a slash; empty: no pod may name one."""
    pull_secrets: tuple[str, ...] = ()
    """Added to the pods' own: Secrets of theirs by which nodes pull the image."""
    scrape: bool = False
    """Whether pods say by annotations where the sidecar is scraped."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What depends on the pod and its namespace."""

    image: str
    resources: Object
    probe_inside: bool
    """Whether the kubelet's probes cannot come over the network."""
    hide_token: bool
    """Whether the API server would mount the application's own token."""


def container(spec: ResolvedSpec, options: Options, storage: Storage, fit: Fit) -> Object:
    """The native sidecar: an init container that stays, so that it starts first and stops last."""
    return {
        "name": names.SIDECAR,
        "image": fit.image,
        "imagePullPolicy": options.pull_policy,
        "restartPolicy": "Always",
        "args": arguments(spec, storage),
        "env": [*_pod_facts(), *storage.environment, *_receivers(spec)],
        "ports": [{"name": "tk-metrics", "containerPort": spec.sidecar.ports.metrics, "protocol": "TCP"}],
        **probes(spec, inside=fit.probe_inside),
        "resources": fit.resources,
        "securityContext": security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            storage.mount,
            {"name": names.POLICY_VOLUME, "mountPath": names.POLICY_PATH, "readOnly": True},
            {"name": names.POD_INFO_VOLUME, "mountPath": names.POD_INFO_PATH, "readOnly": True},
            {"name": names.TOKEN_VOLUME, "mountPath": names.TOKEN_PATH, "readOnly": True},
            *([_no_token()] if fit.hide_token else []),
        ],
    }


def arguments(spec: ResolvedSpec, storage: Storage) -> list[str]:
    """The sidecar's command line after the image's entry point."""
    ports, otlp = spec.sidecar.ports, spec.sidecar.receivers.otlp
    return [
        "run",
        f"--policy={names.POLICY_PATH}/{names.POLICY_KEY}",
        f"--pod-info={names.POD_INFO_PATH}",
        f"--control-token={names.TOKEN_PATH}/{names.TOKEN_FILE}",
        *storage.arguments,
        f"--grpc-listen=127.0.0.1:{otlp.grpc_port}",
        f"--http-listen=127.0.0.1:{otlp.http_port}",
        f"--metrics-listen=:{ports.metrics}",
        f"--log-level={spec.log_level}",
        f"--drain-timeout={format_duration(spec.sidecar.drain_timeout)}",
    ]


def _receivers(spec: ResolvedSpec) -> list[Object]:
    """What is taken besides OTLP, as far as it must be said. In the environment, because an image of an earlier
    version, to which pods may fall back, would not start with a flag that it does not know.
    """
    receivers = spec.sidecar.receivers
    found = {}
    if receivers.openai.parent_from is ParentFrom.METADATA_OR_REQUEST:
        found[names.OPENAI_PARENT_FROM_REQUEST] = "true"
    if receivers.zipkin is not None:
        found[names.ZIPKIN] = "true"
        if receivers.zipkin.port is not None:
            found[names.ZIPKIN_LISTEN] = f"127.0.0.1:{receivers.zipkin.port}"
    return [{"name": name, "value": value} for name, value in found.items()]


def probes(spec: ResolvedSpec, *, inside: bool) -> Object:
    """When the application may start, and when the container is started again. There is no readiness probe: it would
    count for the pod, and a backend's outage would take the application out of its Service."""
    return {
        # It passes before the log is recovered, so the application waits for bound ports and nothing else; 180 s is
        # for a throttled CPU, where imports alone take many seconds.
        "startupProbe": _probe("/startupz", spec, inside=inside, period=1, failures=180),
        "livenessProbe": _probe("/livez", spec, inside=inside, period=10, failures=6),
    }


def volumes(storage: Storage, *, hide_token: bool) -> list[Object]:
    """Buffer, policy, what the pod knows of itself, how it proves that to the control stream, and nothing in place of
    the application's token.

    The policy is optional: a pod must start in a namespace that has none yet.
    """
    fields = {
        "labels": "metadata.labels",
        "annotations": "metadata.annotations",
        "name": "metadata.name",
        "namespace": "metadata.namespace",
        "uid": "metadata.uid",
    }
    return [
        storage.volume,
        {
            "name": names.POLICY_VOLUME,
            "secret": {"secretName": names.POLICY_SECRET, "optional": True},
        },
        {
            "name": names.POD_INFO_VOLUME,
            "downwardAPI": {
                "items": [{"path": path, "fieldRef": {"fieldPath": field}} for path, field in fields.items()]
            },
        },
        {
            "name": names.TOKEN_VOLUME,
            "projected": {
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": names.CONTROL_AUDIENCE,
                            "expirationSeconds": TOKEN_SECONDS,
                            "path": names.TOKEN_FILE,
                        }
                    }
                ]
            },
        },
        *([{"name": names.NO_TOKEN_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}}] if hide_token else []),
    ]


def ports(spec: ResolvedSpec) -> dict[int, str]:
    """The ports that the sidecar listens on, and what each is."""
    otlp, zipkin = spec.sidecar.receivers.otlp, spec.sidecar.receivers.zipkin
    found = {
        otlp.grpc_port: "OTLP gRPC",
        otlp.http_port: "OTLP HTTP",
        spec.sidecar.ports.metrics: "metrics and health",
    }
    return found | {zipkin.port: "Zipkin"} if zipkin is not None and zipkin.port is not None else found


def security_context() -> Object:
    """What the `restricted` Pod Security Standard asks for, and a read-only root file system."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": USER,
        "runAsNonRoot": True,
        "runAsUser": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pod_facts() -> list[Object]:
    return [
        {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": field}}} for variable, field in VARIABLES.values()
    ]


def _probe(path: str, spec: ResolvedSpec, *, inside: bool, period: int, failures: int) -> Object:
    port = spec.sidecar.ports.metrics
    over_network = {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}
    return {
        **({"exec": {"command": mesh.probe_command(path, port)}} if inside else over_network),
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _no_token() -> Object:
    """The API server mounts the token into every container that has nothing in this place, ours included."""
    return {"name": names.NO_TOKEN_VOLUME, "mountPath": names.API_TOKEN_PATH, "readOnly": True}
