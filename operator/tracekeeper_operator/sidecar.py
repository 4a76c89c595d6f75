"""The sidecar as Kubernetes objects: one restartable init container and three volumes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.units import format_duration, format_quantity

from . import names

Object = dict[str, Any]

USER = 65532
"""A user and group without a name or rights on any node; files in the image are readable by it."""
QUOTA_PERCENT = 95
"""Of the volume's size: the log must refuse before the kubelet evicts the pod for a full volume."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator was told about the sidecar's image."""

    image: str
    pull_policy: str
    version: str
    """The operator's own version, written on each injected pod."""


def container(spec: ResolvedSpec, options: Options) -> Object:
    """The native sidecar: an init container that stays, so that it starts first and stops last."""
    return {
        "name": names.SIDECAR,
        "image": options.image,
        "imagePullPolicy": options.pull_policy,
        "restartPolicy": "Always",
        "args": arguments(spec),
        "ports": [{"name": "tk-metrics", "containerPort": spec.sidecar.ports.metrics, "protocol": "TCP"}],
        # The probe passes before the log is recovered, so the application waits for bound ports and nothing
        # else; 180 s is for a throttled CPU, where imports alone take many seconds.
        "startupProbe": _probe("/startupz", spec, period=1, failures=180, timeout=5),
        "livenessProbe": _probe("/livez", spec, period=10, failures=6, timeout=5),
        # There is no readiness probe: it would count for the pod, and a backend's outage would take the
        # application out of its Service.
        "resources": _resources(spec),
        "securityContext": security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": names.BUFFER_VOLUME, "mountPath": names.BUFFER_PATH},
            {"name": names.POLICY_VOLUME, "mountPath": names.POLICY_PATH, "readOnly": True},
            {"name": names.POD_INFO_VOLUME, "mountPath": names.POD_INFO_PATH, "readOnly": True},
        ],
    }


def arguments(spec: ResolvedSpec) -> list[str]:
    """The sidecar's command line after the image's entry point."""
    ports, otlp = spec.sidecar.ports, spec.sidecar.receivers.otlp
    return [
        "run",
        f"--policy={names.POLICY_PATH}/{names.POLICY_KEY}",
        f"--pod-info={names.POD_INFO_PATH}",
        f"--data-dir={names.BUFFER_PATH}",
        f"--storage-size={spec.sidecar.storage.size * QUOTA_PERCENT // 100}",
        f"--grpc-listen=127.0.0.1:{otlp.grpc_port}",
        f"--http-listen=127.0.0.1:{otlp.http_port}",
        f"--metrics-listen=:{ports.metrics}",
        f"--log-level={spec.log_level}",
        f"--drain-timeout={format_duration(spec.sidecar.drain_timeout)}",
    ]


def volumes(spec: ResolvedSpec) -> list[Object]:
    """Buffer, policy and what the pod knows of itself.

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
        {
            "name": names.BUFFER_VOLUME,
            "emptyDir": {"sizeLimit": format_quantity(spec.sidecar.storage.size)},
        },
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
    ]


def ports(spec: ResolvedSpec) -> dict[int, str]:
    """The ports that the sidecar listens on, and what each is."""
    otlp = spec.sidecar.receivers.otlp
    return {
        otlp.grpc_port: "OTLP gRPC",
        otlp.http_port: "OTLP HTTP",
        spec.sidecar.ports.metrics: "metrics and health",
    }


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


def _probe(path: str, spec: ResolvedSpec, *, period: int, failures: int, timeout: int) -> Object:
    return {
        "httpGet": {"path": path, "port": spec.sidecar.ports.metrics, "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def _resources(spec: ResolvedSpec) -> Object:
    resources = spec.sidecar.resources
    return {"requests": dict(resources.requests), "limits": dict(resources.limits)}
