"""The cluster itself: what the other tests take for granted, on real pods."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cluster import binaries, kernel, netns, webhooks
from cluster.errors import CommandFailed
from cluster.node import Cluster
from cluster.process import Process
from cluster.wait import wait_for

pytestmark = pytest.mark.cluster


def pod(name: str, image: str, command: list[str], **spec: Any) -> dict[str, Any]:
    """A pod with one container `main`; `spec` adds to the pod's, `container` in it to the container's."""
    container = {"name": "main", "image": image, "command": command, **spec.pop("container", {})}
    meta = {"name": name, "labels": {"app": name}}
    body = {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}


def service(name: str, app: str, port: int, target: int) -> dict[str, Any]:
    """A ClusterIP service for the pods labelled `app`."""
    spec = {"selector": {"app": app}, "ports": [{"port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def wait_ready(cluster: Cluster, namespace: str, name: str) -> None:
    """Wait until the pod is Ready."""
    cluster.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=60s", timeout=70)


def finished(cluster: Cluster, namespace: str, name: str) -> str:
    """Wait until the pod succeeded, and return what it printed."""

    def phase() -> bool:
        status = cluster.get("pod", name, namespace=namespace)["status"]
        assert status["phase"] != "Failed", cluster.kubectl("logs", "-n", namespace, name)
        return bool(status["phase"] == "Succeeded")

    wait_for(phase, 60, lambda: f"{name} succeeds:\n{cluster.kubectl('describe', 'pod', '-n', namespace, name)}")
    return cluster.kubectl("logs", "-n", namespace, name)


def test_node_is_ready_and_says_its_version(cluster: Cluster) -> None:
    node = cluster.get("node", "node1")
    conditions = {entry["type"]: entry["status"] for entry in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    version = binaries.version("k8s.io/kubernetes")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == version
    assert cluster.kubectl("version").count(version) == 2  # the client's and the server's


def test_pod_resolves_names_of_the_cluster(cluster: Cluster, namespace: str, demo_image: str) -> None:
    lookup = "import socket; print(socket.gethostbyname('kubernetes.default'))"
    cluster.apply(pod("lookup", demo_image, ["python3", "-c", lookup], restartPolicy="Never"), namespace)
    assert finished(cluster, namespace, "lookup").strip() == "10.96.0.1"


def test_native_sidecar_starts_first_and_ends_with_the_pod(cluster: Cluster, namespace: str, demo_image: str) -> None:
    mounts = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    sidecar = {
        "name": "sidecar",
        "image": demo_image,
        "command": ["bash", "-c", "echo first > /shared/file; trap 'exit 0' TERM; sleep infinity & wait"],
        "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["test", "-e", "/shared/file"]}, "periodSeconds": 1},
        **mounts,
    }
    volumes = [{"name": "shared", "emptyDir": {}}]
    main = pod("main", demo_image, ["cat", "/shared/file"], restartPolicy="Never", volumes=volumes, container=mounts)
    main["spec"]["initContainers"] = [sidecar]
    cluster.apply(main, namespace)
    assert finished(cluster, namespace, "main").strip() == "first"


def test_service_is_reached_from_pods_and_from_the_node(cluster: Cluster, namespace: str, demo_image: str) -> None:
    serve = ["python3", "-m", "http.server", "8000", "--directory", "/etc"]
    cluster.apply([pod("server", demo_image, serve), service("web", "server", 80, 8000)], namespace)
    wait_ready(cluster, namespace, "server")
    address = cluster.get("service", "web", namespace=namespace)["spec"]["clusterIP"]

    def answers() -> bool:
        try:
            return cluster.http("GET", f"http://{address}/hostname")[2].strip() == b"server"
        except OSError:
            return False

    wait_for(answers, 20, "the service answers the node")
    ask = "import sys, urllib.request; print(urllib.request.urlopen('http://web/hostname', timeout=5).read().decode())"
    cluster.apply(pod("client", demo_image, ["python3", "-c", ask], restartPolicy="Never"), namespace)
    assert finished(cluster, namespace, "client").strip() == "server"
    itself = cluster.kubectl("exec", "-n", namespace, "server", "--", "python3", "-c", ask)
    assert itself.strip() == "server"


def test_webhook_in_a_pod_is_asked_by_the_api_server(
    cluster: Cluster, namespace: str, demo_image: str, tmp_path: Path
) -> None:
    found = webhooks.serve(cluster, namespace, demo_image, tmp_path)
    cluster.apply(webhook(namespace, found))
    try:
        # The API server reads new webhook configurations a moment after they are written.
        wait_for(
            lambda: "refused by the webhook" in refusal(cluster, namespace), 20, lambda: refusal(cluster, namespace)
        )
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", namespace)


def webhook(namespace: str, client: dict[str, Any]) -> dict[str, Any]:
    """A webhook configuration for the ConfigMaps of one namespace."""
    entry = {
        "name": "refuse.tracekeeper.dev",
        "clientConfig": client,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": {"name": namespace}, "webhooks": [entry]}


def refusal(cluster: Cluster, namespace: str) -> str:
    """Try to create a ConfigMap (without keeping it): the complaint, or that it was let through."""
    try:
        cluster.kubectl("create", "configmap", "any", "-n", namespace, "--dry-run=server")
    except CommandFailed as error:
        return error.stderr
    return "a ConfigMap was let through"


def test_container_can_be_killed_and_its_files_reached(cluster: Cluster, namespace: str, demo_image: str) -> None:
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "emptyDir": {}}]
    script = ["bash", "-c", "echo here >> /data/file; sleep infinity"]
    cluster.apply(pod("victim", demo_image, script, volumes=volumes, container=mounts), namespace)
    wait_ready(cluster, namespace, "victim")
    file = cluster.volume(namespace, "victim", "data") / "file"
    wait_for(lambda: file.exists() and file.read_text() == "here\n", 10, "the container wrote its file")
    process = cluster.container_pid(namespace, "victim", "main")
    assert "sleep" in Path(f"/proc/{process}/cmdline").read_text()
    cluster.kill_container(namespace, "victim", "main")
    wait_for(lambda: file.read_text() == "here\nhere\n", 30, "the container was started again")


@pytest.mark.timeout(400, func_only=True)
def test_nothing_is_left_of_a_cluster_whose_first_process_was_killed() -> None:
    before = traces()
    node = Cluster("tracekeeper-killed")
    node.up()
    try:
        assert "tracekeeper-killed" in traces(), "the traces that this test looks for are the wrong ones"
        process = Process.load(node.state / "init.pid")
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not node.running(), 10, "process 1 dies")
        wait_for(lambda: "tracekeeper-killed" not in processes(), 10, lambda: f"all die with it: {processes()}")
        assert "tracekeeper-killed" not in Path("/proc/mounts").read_text().replace("/run/netns/tracekeeper-killed", "")
    finally:
        node.down()
    assert "tracekeeper-killed" not in traces()
    assert not node.state.exists()
    assert traces() == before


def processes() -> str:
    """The command lines of all processes of the machine but this one."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                lines.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return "\n".join(line for line in lines if "tracekeeper-killed" in line and "pytest" not in line)


def traces() -> str:
    """What a cluster of this test may leave: processes, mounts, network namespaces, control groups."""
    found = [processes(), *(line for line in Path("/proc/mounts").read_text().splitlines() if "killed" in line)]
    found += [entry.name for entry in netns.path("x").parent.glob("*killed*")]
    found += [str(group) for root in kernel.cgroup_hierarchies() for group in root.glob("*killed*")]
    return "\n".join(found)
