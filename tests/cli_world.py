"""A cluster in which everything is well, for tests of the commands that judge one: an installed Tracekeeper, a
config, a namespace, pods with and without a sidecar. Tests spoil what they are about.
"""

from __future__ import annotations

import base64
import datetime
import functools
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from control_api import Api
from control_objects import Object, config

SYSTEM = "tracekeeper-system"
IMAGE = "registry.example/tracekeeper-sidecar:1"
LABELS = {"app.kubernetes.io/part-of": "tracekeeper", "app.kubernetes.io/version": "0.1.0"}
INJECT = "tracekeeper.dev/inject"
GOOD = [{"type": kind, "status": "True", "reason": kind} for kind in ("Accepted", "ResolvedRefs", "Ready")]


def kubeconfig(path: Path, server: str) -> str:
    """A file of that name, whose context is in the namespace shop."""
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}],
                "clusters": [{"name": "k", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t0ken"}}],
            }
        )
    )
    return str(path)


@functools.cache
def authority(days: float) -> str:
    """A `caBundle` that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tracekeeper")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1000))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def install(api: Api) -> None:
    """Tracekeeper, and the namespace shop with a config that works."""
    for component in ("controller", "injector"):
        env = [{"name": "TRACEKEEPER_SIDECAR_IMAGE", "value": IMAGE}]
        api.put(
            "deployments",
            {
                "metadata": {
                    "name": f"tracekeeper-{component}",
                    "namespace": SYSTEM,
                    "labels": {**LABELS, "app.kubernetes.io/component": component},
                },
                "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": component, "env": env}]}}},
                "status": {"readyReplicas": 1},
            },
        )
    for kind, name in (("mutating", "inject.tracekeeper.dev"), ("validating", "validate.tracekeeper.dev")):
        api.put(
            f"{kind}webhookconfigurations",
            {"metadata": {"name": "tracekeeper", "labels": LABELS}, "webhooks": [webhook(name)]},
        )
    for name in ("shop", SYSTEM):
        api.put("namespaces", {"metadata": {"name": name}})
    api.put("configmaps", told(60.0))
    api.put("tracingconfigs", well(config()))
    api.put("secrets", {"metadata": {"name": "tracekeeper-policy", "namespace": "shop"}, "data": {"policy.json": "x"}})


def told(days: float, life: float = 90.0) -> Object:
    """What the controller says of the control stream, whose certificate lives for `life` days and ends in `days`."""
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    times = {"before": ends - datetime.timedelta(days=life), "after": ends}
    data = {f"certificate-not-{key}": time.strftime("%Y-%m-%dT%H:%M:%SZ") for key, time in times.items()}
    meta = {"name": "tracekeeper-ca", "namespace": SYSTEM}
    return {"metadata": meta, "data": {"ca.crt": "PEM", "endpoint": f"tracekeeper-control.{SYSTEM}.svc:9444", **data}}


def webhook(name: str, days: float = 700) -> Object:
    """As the chart and the controller have it."""
    excluded = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", SYSTEM]}
    return {
        "name": name,
        "clientConfig": {"service": {"name": "i", "namespace": SYSTEM}, "caBundle": authority(days)},
        "namespaceSelector": {"matchExpressions": [excluded]},
    }


def well(found: Object, **status: Any) -> Object:
    """A config about which the controller says nothing bad, but for `status`."""
    meta = found["metadata"]
    # The API server of these tests counts generations itself, from 1.
    return {**found, "status": {"observedGeneration": 1, "conditions": GOOD, **status}, "metadata": meta}


def pod(
    name: str = "care",
    namespace: str = "shop",
    *,
    wish: str | None = "true",
    injected: str | None = None,
    owner: Object | None = None,
    **spec: Any,
) -> Object:
    """A running pod; `injected` is what its sidecar was resolved from."""
    notes = {} if wish is None else {INJECT: wish}
    containers = [{"name": "app", "image": "app:1"}]
    body: Object = {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "annotations": notes},
        "spec": {"containers": containers, **spec},
        "status": {"phase": "Running"},
    }
    if injected is not None:
        notes["tracekeeper.dev/resolved-from"] = injected
        notes["tracekeeper.dev/sidecar-version"] = "0.1.0"
        ports = [{"containerPort": 14316}]
        body["spec"]["initContainers"] = [{"name": "tracekeeper-sidecar", "image": IMAGE, "ports": ports}]
    if owner is not None:
        body["metadata"]["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "controller": True}]
    return body


def workload(
    api: Api, kind: str = "Deployment", *, on_itself: str | None = None, on_template: str | None = None
) -> Object:
    """A workload called care, put there; where it has the annotation."""
    template = {"metadata": {"annotations": {INJECT: on_template} if on_template else {}}}
    spec: Object = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    notes = {INJECT: on_itself} if on_itself else {}
    meta = {"name": "care", "namespace": "shop", "annotations": notes}
    return api.put(f"{kind.lower()}s", {"metadata": meta, "spec": spec})
