"""The OpenTelemetry operator beside the test cluster: its CRDs and webhooks as it ships them, its program on the node.

It runs as a process of the node's network in place of a pod, which makes no difference to what it does: it is its own
service account, its webhooks are reached by URL, and it leads without an election, which would add some three requests
a minute.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import operator_build
import yaml
from control_plane_sides import Process, Side, flow_schema

from cluster.errors import ClusterError
from cluster.node import Cluster
from cluster.pki import SERVER
from cluster.wait import wait_for
from tracekeeper_operator.certs import Lives, Material, make

Object = dict[str, Any]

SYSTEM = "opentelemetry-operator-system"
ACCOUNT = "controller-manager"
HOST = "localhost"
PORT, METRICS, PROBES = 9443, 8443, 8081
API = "/apis/opentelemetry.io/v1beta1"
START = 60.0
STOP = 15.0


@contextmanager
def theirs(cluster: Cluster, folder: Path) -> Iterator[Side]:
    """Run it until the end of the block; `folder` is for its files. Raises ClusterError with the end of its log."""
    built = operator_build.ensure()
    material = make(time.time(), [HOST], Lives())
    _write(folder, material)
    # One is 400 KB, more than a note of what was applied last may have: they are applied on the server's side.
    crds = (built / operator_build.MANIFESTS / "crd/bases").glob("*.yaml")
    cluster.apply("\n---\n".join(file.read_text() for file in sorted(crds)))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    cluster.apply([*_account(), flow_schema("manager", SYSTEM, ACCOUNT)])
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", SYSTEM, "--duration=24h").strip()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(_kubeconfig(cluster, token)))
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "TMPDIR": str(folder),
        "NAMESPACE": SYSTEM,
        "SERVICE_ACCOUNT_NAME": ACCOUNT,
        "METRICS_ADDR": f":{METRICS}",
        "METRICS_SECURE": "false",
        "ENABLE_LEADER_ELECTION": "false",
        "RELATED_IMAGE_COLLECTOR": "registry.example.com/collector:1",
    }
    log = folder / "log"
    argv = cluster.argv([str(built / "manager"), "--zap-log-level=info", "--zap-time-encoding=rfc3339nano"])
    with log.open("w") as written, subprocess.Popen(argv, env=environment, stdout=written, stderr=written) as process:
        try:
            wait_for(lambda: _ready(cluster, process, log), START, lambda: f"it is ready:\n{_end(log)}")
            cluster.apply(_webhooks(built / operator_build.MANIFESTS / "webhook/manifests.yaml", material))
            yield _side(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()


def _side(pid: int) -> Side:
    return Side(
        name="opentelemetry-operator",
        processes={"injector": Process("manager", HOST, pid)},
        configs=f"{API}/namespaces/{{}}/opentelemetrycollectors",
        listed=f"{API}/opentelemetrycollectors",
        config=config,
        ready=lambda item: bool(item.get("status", {}).get("version")),
        opt_in={"sidecar.opentelemetry.io/inject": "true"},
        container="otc-container",
        webhook=f"https://{HOST}:{PORT}/mutate-v1-pod",
        metrics=f"http://{HOST}:{METRICS}/metrics",
        asked="controller_runtime_webhook_requests_total",
        labels='webhook="/mutate-v1-pod"',
    )


def config() -> Object:
    """A sidecar with two backends, sampling and a queue, as near to ours as it comes."""
    queue = {"sending_queue": {"queue_size": 1000}}
    exporters = {
        "otlp/tempo": {
            "endpoint": "https://tempo.obs:4317",
            "headers": {"authorization": "Bearer ${env:TOKEN}"},
            **queue,
        },
        "otlphttp/standby": {"endpoint": "https://standby.example.com", **queue},
    }
    pipeline = {"receivers": ["otlp"], "processors": ["probabilistic_sampler"], "exporters": list(exporters)}
    return {
        "apiVersion": "opentelemetry.io/v1beta1",
        "kind": "OpenTelemetryCollector",
        "metadata": {"name": "agents"},
        "spec": {
            "mode": "sidecar",
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tempo", "key": "token"}}}],
            "config": {
                "receivers": {"otlp": {"protocols": {"grpc": {}, "http": {}}}},
                "processors": {"probabilistic_sampler": {"sampling_percentage": 10}},
                "exporters": exporters,
                "service": {"pipelines": {"traces": pipeline}},
            },
        },
    }


def _write(folder: Path, material: Material) -> None:
    """Where controller-runtime looks for a certificate: in a folder of $TMPDIR."""
    served = folder / "k8s-webhook-server/serving-certs"
    served.mkdir(parents=True)
    (served / "tls.crt").write_text(material.certificate)
    (served / "tls.key").touch(mode=0o600)
    (served / "tls.key").write_text(material.key)


def _account() -> list[Object]:
    """It may do everything: what it may do changes nothing of what it costs."""
    rights = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": SYSTEM}},
        {
            "apiVersion": f"{rights}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-manager"},
            "roleRef": {"apiGroup": rights, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}],
        },
    ]


def _kubeconfig(cluster: Cluster, token: str) -> Object:
    authority = base64.b64encode((cluster.state / "pki/ca.crt").read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": SERVER, "certificate-authority-data": authority}}],
        "users": [{"name": "bench", "user": {"token": token}}],
    }


def _webhooks(shipped: Path, material: Material) -> list[Object]:
    """Its webhook configurations, each by URL in place of a Service."""
    found = [item for item in yaml.safe_load_all(shipped.read_text()) if item]
    bundle = base64.b64encode(material.ca.encode()).decode()
    for item in found:
        for hook in item["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://{HOST}:{PORT}{path}", "caBundle": bundle}
    return found


def _ready(cluster: Cluster, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise ClusterError(f"the OpenTelemetry operator ended with {process.returncode}:\n{_end(log)}")
    with suppress(OSError, ClusterError):
        return cluster.http("GET", f"http://{HOST}:{PROBES}/readyz")[0] == 200
    return False


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
