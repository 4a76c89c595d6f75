"""Objects for tests of the control plane, and a clock that stands where it is put."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracekeeper_operator.sidecar import Options
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.scope import Scope

Object = dict[str, Any]
OPTIONS = Options(image="registry.example/tracekeeper-sidecar:1", pull_policy="IfNotPresent", version="0.1.0")


@dataclass
class StoodClock:
    """Both times are what the test says."""

    wall: float = 1_800_000_000.0
    mono: float = 1000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


def config(name: str = "agents", namespace: str = "shop", *, generation: int = 1, **spec: Any) -> Object:
    """A TracingConfig as the API server sends it; one backend unless `spec` says otherwise."""
    return {
        "apiVersion": "tracekeeper.dev/v1alpha1",
        "kind": "TracingConfig",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"backends": [backend("a")], **spec},
    }


def scope(configs: Iterable[TracingConfig], namespace: str = "shop", **elsewhere: Iterable[TracingConfig]) -> Scope:
    """A namespace that has `configs`, with root namespace `observability`; `elsewhere` are those of others."""
    known = {namespace: list(configs), **{name: list(found) for name, found in elsewhere.items()}}
    return Scope(namespace, {}, lambda wanted: known.get(wanted, []), "observability")


def backend(name: str, secret: str | None = None, key: str = "token") -> Object:
    """An OTLP backend, with a bearer token if `secret` is given."""
    otlp: Object = {"protocol": "GRPC", "endpoint": "https://tempo.obs:4317"}
    if secret is not None:
        otlp["auth"] = {"type": "Bearer", "bearer": {"secretKeyRef": {"name": secret, "key": key}}}
    return {"name": name, "type": "OTLP", "otlp": otlp}


def secret(name: str, namespace: str = "shop", **values: str) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def pod(**annotations: str) -> Object:
    """A pod as a ReplicaSet makes it; `inject="false"` stands for the annotation tracekeeper.dev/inject."""
    return {
        "metadata": {
            "generateName": "app-5f6d-",
            "namespace": "shop",
            "labels": {"app": "care"},
            "annotations": {f"tracekeeper.dev/{key}": value for key, value in annotations.items()},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "app-5f6d",
                    "uid": "uid-rs",
                    "controller": True,
                }
            ],
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


def review(found: Object, *, old: Object | None = None, namespace: str = "shop", dry_run: bool = False) -> Object:
    """An AdmissionReview request."""
    request: Object = {
        "uid": "review-1",
        "namespace": namespace,
        "operation": "UPDATE" if old else "CREATE",
        "object": found,
        "dryRun": dry_run,
    }
    if old is not None:
        request["oldObject"] = old
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
