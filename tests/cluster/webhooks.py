"""An admission webhook of a test's own, in a pod, with a certificate that the API server is told to trust."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from cluster import paths
from cluster.commands import run
from cluster.node import Cluster

NAME = "webhook"


def serve(cluster: Cluster, namespace: str, image: str, folder: Path, patch: str = "") -> dict[str, Any]:
    """Run it and wait until it answers; how the API server finds it (`clientConfig`). It refuses everything, or applies
    the JSON patch.
    """
    key, certificate = folder / "key", folder / "certificate"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    make += ["-subj", "/CN=x", "-addext", f"subjectAltName=DNS:{NAME}.{namespace}.svc"]
    run([*make, "-keyout", str(key), "-out", str(certificate)])
    pair = ["--cert", str(certificate), "--key", str(key)]
    cluster.kubectl("create", "secret", "tls", NAME, "-n", namespace, *pair)
    script = paths.HERE / "webhook_pod.py"
    cluster.kubectl("create", "configmap", NAME, "-n", namespace, f"--from-file=server.py={script}")
    cluster.apply([_pod(image, patch), _service()], namespace)
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "-n", namespace, "--timeout=60s", timeout=70)
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    return {"service": {"namespace": namespace, "name": NAME}, "caBundle": bundle}


def _pod(image: str, patch: str) -> dict[str, Any]:
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "/script/server.py"],
        "env": [{"name": "PATCH", "value": patch}],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}, {"name": "script", "mountPath": "/script"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [{"name": "tls", "secret": {"secretName": NAME}}, {"name": "script", "configMap": {"name": NAME}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "labels": {"app": NAME}}, "spec": spec}


def _service() -> dict[str, Any]:
    ports = [{"port": 443, "targetPort": 8443}]
    meta = {"name": NAME}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": {"app": NAME}, "ports": ports},
    }
