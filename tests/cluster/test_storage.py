"""The table of docs/explanation/durability.md on a real cluster: what each storage type survives, who is evicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.fixtures import node_folder
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

TYPES = ("EmptyDir", "Ephemeral", "HostPath")
CLASS = "tests-local"
BACKEND = otlp("backend-a", "HTTP")


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace like any other."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


@pytest.fixture
def owner(cluster: Cluster, tracekeeper: str, demo_image: str, namespace_on_node: str) -> Workload:
    """A namespace where buffers may be on the node."""
    assert tracekeeper
    return Workload(cluster, namespace_on_node, demo_image)


@pytest.fixture
def local_volume(cluster: Cluster) -> Iterator[Path]:
    """A StorageClass with one volume, which is a folder of the node that only root may write to."""
    folder = cluster.state / "local-volume"
    folder.mkdir(mode=0o755, exist_ok=True)
    node = cluster.get("nodes")["items"][0]["metadata"]["labels"]["kubernetes.io/hostname"]
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": CLASS},
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    group = "storage.k8s.io/v1"
    kind = {"apiVersion": group, "kind": "StorageClass", "metadata": {"name": CLASS}}
    cluster.apply([volume, {**kind, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": WHEN_USED}])
    yield folder
    cluster.kubectl("delete", "persistentvolume,storageclass", CLASS, "--wait=false")


WHEN_USED = "WaitForFirstConsumer"


def name_of(kind: str) -> str:
    return kind.lower()


def storage(kind: str, size: str = "32Mi") -> dict[str, Any]:
    more = {"ephemeral": {"storageClassName": CLASS}} if kind == "Ephemeral" else {}
    return {"storage": {"type": kind, "size": size, **more}, "drainTimeout": "1s"}


def one_config_for_each_type(owner: Workload) -> None:
    for kind in TYPES:
        selector = {"matchLabels": {"app": name_of(kind)}}
        owner.config(BACKEND, name=name_of(kind), selector=selector, sidecar=storage(kind))
    for kind in TYPES:
        owner.condition("Ready", "True", name_of(kind))


def start(owner: Workload, *kinds: str) -> None:
    """Applications that send without end, in pods that go quickly when they are told to."""
    for kind in kinds:
        owner.agent(0, 5, name_of(kind), wait=False, restartPolicy="Always", terminationGracePeriodSeconds=3)
    for kind in kinds:
        owner.running(pod_of(kind))


def pod_of(kind: str) -> str:
    return f"{name_of(kind)}-0"


def claims(owner: Workload) -> list[Any]:
    return list(owner.cluster.get("persistentvolumeclaims", namespace=owner.namespace)["items"])


def acknowledged(owner: Workload, kind: str, least: int = 40) -> set[str]:
    """Ids that the application was told are safe, once there are some."""
    found = wait_for(
        lambda: ids if len(ids := owner.acknowledged(pod_of(kind))) >= least else None,
        60,
        lambda: f"{kind}: {least} spans are acknowledged: {owner.stats(pod_of(kind))}",
    )
    return set(found)


def kill_sidecars(owner: Workload) -> None:
    """Every sidecar is killed and its container restarted."""
    for kind in TYPES:
        owner.cluster.kill_container(owner.namespace, pod_of(kind), SIDECAR)
    for kind in TYPES:
        wait_for(restarted(owner, SIDECAR, kind), 60, f"{kind}: its container is started again")


def crash_pods(owner: Workload) -> None:
    """Everything of every pod ends at once, as when the node loses power; the kubelet builds them anew."""
    for kind in TYPES:
        owner.cluster.crash_pod(owner.namespace, pod_of(kind))
    for kind in TYPES:
        wait_for(restarted(owner, "app", kind), 60, f"{kind}: its pod is built anew")
        owner.running(pod_of(kind))


def restarted(owner: Workload, container: str, kind: str) -> Callable[[], bool]:
    return lambda: owner.restarts(container, pod_of(kind)) >= 1


@pytest.mark.timeout(300, func_only=True)
def test_each_type_survives_what_the_table_says_and_no_more(owner: Workload, local_volume: Path) -> None:
    assert local_volume.stat().st_uid == 0
    owner.backends("backend-a")
    owner.fail("backend-a", "unavailable")
    one_config_for_each_type(owner)
    start(owner, *TYPES)
    safe = set().union(*(acknowledged(owner, kind) for kind in TYPES))
    kill_sidecars(owner)
    for kind in TYPES:
        safe |= acknowledged(owner, kind)
    crash_pods(owner)
    assert owner.ids("backend-a") == set()
    owner.fail("backend-a", "ok")
    wait_for(lambda: safe <= owner.ids("backend-a"), 60, lambda: f"all arrive: {owner.backend('backend-a')}")
    print(f"{len(safe)} spans of three types survived a kill and the end of the whole pod")

    owner.fail("backend-a", "unavailable")
    told = {kind: acknowledged(owner, kind, len(owner.acknowledged(pod_of(kind))) + 40) for kind in TYPES}
    arrived = owner.ids("backend-a")
    owed = {kind: ids - arrived for kind, ids in told.items()}
    assert all(owed.values())
    uid = owner.cluster.get("pod", "hostpath-0", namespace=owner.namespace)["metadata"]["uid"]
    folder = node_folder(owner.cluster) / owner.namespace / "hostpath" / uid
    assert folder.is_dir()
    owner.cluster.kubectl("delete", "pod", *map(pod_of, TYPES), "-n", owner.namespace, "--wait=true")
    wait_for(lambda: not claims(owner), 30, lambda: f"the claim goes with its pod: {claims(owner)}")
    assert folder.is_dir()
    start(owner, "HostPath")
    owner.fail("backend-a", "ok")
    wait_for(lambda: not folder.exists(), 90, lambda: f"the folder is drained and goes: {owner.health('hostpath-0')}")
    arrived = owner.ids("backend-a")
    assert owed["HostPath"] <= arrived
    assert not arrived & (owed["EmptyDir"] | owed["Ephemeral"])
    print({kind: f"{len(ids)} spans owed by a pod that was deleted" for kind, ids in owed.items()})


def test_where_the_node_is_not_allowed_pods_get_an_empty_dir_and_everybody_is_told(user: Workload) -> None:
    user.config(BACKEND, sidecar=storage("HostPath"))
    told = user.condition("Ready", "False")
    assert told["reason"] == "HostPathNotAllowed"
    name = user.deployed(runs=1, wait=False)
    pod = user.cluster.get("pod", name, namespace=user.namespace)
    (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == "tracekeeper-buffer"]
    assert volume["emptyDir"] == {"sizeLimit": "32Mi"}
    _, _, message = user.event("Injected")
    assert "HostPath is not allowed" in message


EATER = "import os, signal; open('/eaten/x', 'wb').write(bytes(4 << 20)); os.sync(); signal.pause()"


def eater(user: Workload) -> dict[str, Any]:
    """A pod that takes more of the node's disk than it may: when it is evicted, the kubelet has looked at all."""
    pod = user.pod("eater", ["python3", "-c", EATER], volumes=[{"name": "eaten", "emptyDir": {"sizeLimit": "1Mi"}}])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "eaten", "mountPath": "/eaten"}]
    return pod


def test_an_application_is_never_evicted_for_a_full_buffer(user: Workload) -> None:
    user.backends("backend-a")
    user.fail("backend-a", "unavailable")
    user.configured(BACKEND, sidecar=storage("EmptyDir", "1Mi"))
    user.cluster.apply(fat(user))
    user.running("agent-0")
    wait_for(
        lambda: any("spans are refused" in problem for problem in user.health()["problems"]),
        60,
        lambda: f"the buffer is full: {user.health()}",
    )
    user.cluster.apply(eater(user))
    wait_for(
        lambda: user.cluster.get("pod", "eater-0", namespace=user.namespace)["status"].get("reason") == "Evicted",
        90,
        "the kubelet evicts who takes more than it may",
    )
    status = user.cluster.get("pod", "agent-0", namespace=user.namespace)["status"]
    assert (status["phase"], status.get("reason")) == ("Running", None)
    limits = user.cluster.get("pod", "agent-0", namespace=user.namespace)["spec"]["initContainers"][0]["resources"]
    assert limits["requests"]["ephemeral-storage"] == limits["limits"]["ephemeral-storage"] == "65Mi"
    print(f"full: {user.health()['log']}")


def fat(user: Workload) -> dict[str, Any]:
    """An application of large spans, with a limit of its own for the node's disk that is less than the buffer."""
    environment = {
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "AGENT_RUNS": "150",
        "AGENT_LINGER": "3600",
        "AGENT_RUNS_PER_SECOND": "50",
        "AGENT_PROMPT_BYTES": "4000",
    }
    inject = {"tracekeeper.dev/inject": "true"}
    pod = user.pod("agent", ["python3", "/demo/agent.py"], annotations=inject, environment=environment)
    pod["spec"]["containers"][0]["resources"] = {"limits": {"ephemeral-storage": "512Ki"}}
    return pod
