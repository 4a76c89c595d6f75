"""Missed pods are replaced; a bad image keeps nothing from starting; a new one restarts no application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.fixtures import RELEASE, SYSTEM, install, project_version
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

IDLE = ["python3", "-c", "import signal; signal.pause()"]
QUICK = ("controller.sweepInterval=5s", "sidecar.repair.enabled=true", "sidecar.imageUpdate.enabled=true")
CONTROLLER = f"--as=system:serviceaccount:{SYSTEM}:{RELEASE}-controller"
MISSING, NEXT = "localhost/tracekeeper-sidecar:missing", "localhost/tracekeeper-sidecar:next"


@pytest.fixture(scope="module")
def allowed(cluster: Cluster, tracekeeper: str) -> Iterator[str]:
    """The chart with all that is off by default, as it was again at the end."""
    install(cluster, *(word for value in QUICK for word in ("--set", value)))
    yield tracekeeper
    install(cluster)


@pytest.fixture
def user(cluster: Cluster, allowed: str, demo_image: str, namespace: str) -> Workload:
    assert allowed
    return Workload(cluster, namespace, demo_image)


def deploy(user: Workload, name: str, replicas: int = 1, **annotations: str) -> None:
    """An application that does nothing, and stays."""
    pod = user.pod(name, IDLE, annotations={f"tracekeeper.dev/{key}": value for key, value in annotations.items()})
    del pod["metadata"]["name"], pod["metadata"]["namespace"]
    pod["spec"].pop("restartPolicy", None)
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": pod["metadata"], "spec": {**pod["spec"], "terminationGracePeriodSeconds": 1}},
    }
    user.cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": user.namespace},
            "spec": spec,
        }
    )
    rolled_out(user, name)


def rolled_out(user: Workload, name: str) -> None:
    rollout = ("rollout", "status", f"deployment/{name}", "-n", user.namespace, "--timeout=60s")
    user.cluster.kubectl(*rollout, timeout=70)


def pods(user: Workload, name: str) -> list[dict[str, Any]]:
    """Those of an application that are there to stay."""
    found = user.cluster.get("pods", "-l", f"app={name}", namespace=user.namespace)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def sidecar_image(pod: dict[str, Any]) -> str | None:
    """None for a pod without a sidecar."""
    containers = pod["spec"].get("initContainers", [])
    return next((str(each["image"]) for each in containers if each["name"] == SIDECAR), None)


def counts(user: Workload) -> dict[str, int]:
    config = user.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=user.namespace)
    return dict(config.get("status", {}).get("pods", {}))


def give(cluster: Cluster, image: str) -> None:
    """Have the operator give this image, as an upgrade does."""
    for name in ("controller", "injector"):
        deployment = f"deployment/{RELEASE}-{name}"
        cluster.kubectl("set", "env", deployment, f"TRACEKEEPER_SIDECAR_IMAGE={image}", "-n", SYSTEM)
    for name in ("controller", "injector"):
        cluster.kubectl("rollout", "status", f"deployment/{RELEASE}-{name}", "-n", SYSTEM, "--timeout=60s", timeout=70)


def known(cluster: Cluster) -> str:
    """What the controller knows of images."""
    found = cluster.find("configmap", "tracekeeper-sidecar-images", namespace=SYSTEM) or {}
    return str((found.get("data") or {}).get("images.json", ""))


def test_a_pod_that_missed_its_sidecar_is_found_counted_and_replaced(user: Workload) -> None:
    user.configured(otlp("nowhere"), sidecar={"repair": "Evict"})
    deploy(user, "early")
    (early,) = pods(user, "early")
    assert sidecar_image(early) is None
    user.cluster.kubectl("label", "namespace", user.namespace, "tracekeeper.dev/inject=true")
    condition = user.condition("Injected", "False", deadline=60)
    assert condition["reason"] == "PodsMissed"
    assert early["metadata"]["name"] in condition["message"]
    assert "evicted, one at a time" in condition["message"]
    assert (counts(user)["missed"], counts(user)["injected"]) == (1, 0)

    def replaced() -> bool:
        found = pods(user, "early")
        return len(found) == 1 and sidecar_image(found[0]) is not None

    wait_for(replaced, 130, lambda: f"the pod is replaced: {counts(user)}", interval=1)
    user.condition("Injected", "True", deadline=60)
    assert (counts(user)["matched"], counts(user)["injected"], counts(user)["missed"]) == (1, 1, 0)


def test_an_image_that_cannot_be_pulled_keeps_no_application_from_starting_and_a_new_one_restarts_none(
    user: Workload,
) -> None:
    current = f"localhost/tracekeeper-sidecar:{project_version()}"
    user.configured(otlp("nowhere"), sidecar={"imageUpdate": "InPlace"})
    deploy(user, "app", inject="true")
    (before,) = pods(user, "app")
    assert sidecar_image(before) == current
    wait_for(lambda: current in known(user.cluster), 60, lambda: f"the image is known: {known(user.cluster)}")
    give(user.cluster, MISSING)
    condition = user.condition("Injected", "False", deadline=90)
    assert (condition["reason"], MISSING in condition["message"]) == ("OlderImage", True)
    deploy(user, "late", inject="true")
    assert [sidecar_image(pod) for pod in pods(user, "late")] == [current]
    user.cluster.ctr("images", "tag", "--force", current, NEXT)
    give(user.cluster, NEXT)

    def updated() -> bool:
        found = [*pods(user, "app"), *pods(user, "late")]
        statuses = [each for pod in found for each in pod["status"]["initContainerStatuses"] if each["name"] == SIDECAR]
        restarted = all(each["started"] and each["restartCount"] == 1 for each in statuses)
        return {sidecar_image(pod) for pod in found} == {NEXT} and restarted

    wait_for(updated, 90, lambda: f"both have the new image: {known(user.cluster)}", interval=1)
    (after,) = pods(user, "app")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    (application,) = after["status"]["containerStatuses"]
    assert (application["restartCount"], application["containerID"]) == (
        0,
        before["status"]["containerStatuses"][0]["containerID"],
    )
    user.condition("Injected", "True", deadline=60)
    assert not user.cluster.find("pod", "tracekeeper-preflight", namespace=SYSTEM)


NOT_OURS: dict[str, dict[str, Any]] = {
    "changes no container": {"spec": {"containers": [{"name": "app", "image": "localhost/other:1"}]}},
    "changes no label": {"metadata": {"labels": {"app": "other"}}},
    "changes no annotation but its own": {"metadata": {"annotations": {"tracekeeper.dev/inject": None}}},
    "neither owners nor finalizers": {
        "metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "gone"}]}
    },
    "changes neither owners nor finalizers": {"metadata": {"finalizers": ["example.com/never"]}},
    "neither how long a pod may run nor where": {"spec": {"activeDeadlineSeconds": 1}},
}
"""What would end or change an application, by what the API server says of it."""


def test_whoever_has_the_controller_can_change_nothing_in_a_pod_but_the_sidecars_image(user: Workload) -> None:
    user.configured(otlp("nowhere"))
    user.cluster.apply(user.pod("app", IDLE, annotations={"tracekeeper.dev/inject": "true"}))

    def tried(change: dict[str, Any]) -> str:
        patch = ("patch", "pod", "app-0", "-n", user.namespace, "--dry-run=server", CONTROLLER, "-p")
        done = user.cluster.run(["kubectl", *patch, json.dumps(change)], check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    for said, change in NOT_OURS.items():
        wait_for(lambda: said in tried(change), 30, lambda: f"{change} is refused: {tried(change)}")  # noqa: B023
    ours = {"annotations": {"tracekeeper.dev/sidecar-image": NEXT}}
    image = {"metadata": ours, "spec": {"initContainers": [{"name": SIDECAR, "image": NEXT}]}}
    assert "patched" in tried(image)
    user.delete("app-0")
