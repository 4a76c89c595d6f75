"""The commands that judge a cluster, on a real one: `explain`, `doctor`, `uninstall --dry-run`."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from cluster.fixtures import SYSTEM
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster
INJECT = "tracekeeper.dev/inject"
IDLE = ["python3", "-c", "import signal; signal.pause()"]
MISSING = "localhost/tracekeeper-sidecar:no-node-has-it"


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace to work in, on a cluster where the chart is installed."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


def command(cluster: Cluster, *arguments: str, check: bool = True) -> str:
    """What a person sees of a command."""
    return cluster.run([sys.executable, "-m", "tracekeeper_cli", *arguments], check=check).stdout


def found(user: Workload) -> dict[str, str]:
    """Reasons of the doctor's findings in the namespace, and what each is about."""
    body = json.loads(command(user.cluster, "doctor", "-n", user.namespace, "--json", check=False))
    assert body["unread"] == []
    return {each["reason"]: each["about"] for each in body["findings"]}


@pytest.mark.timeout(300, func_only=True)
def test_explain_and_doctor_tell_what_runs_what_was_missed_and_which_backend_is_away(
    cluster: Cluster, user: Workload
) -> None:
    space = user.namespace
    user.backends("backend-a")
    user.configured(otlp("backend-a"))
    pod = user.deployed(runs=5)
    user.summary(pod)
    user.settled(pod)
    # A moment may pass in which the controller still says what was true before.
    wait_for(lambda: found(user) == {}, 60, lambda: f"nothing is wrong: {found(user)}", interval=2)
    explained = command(cluster, "explain", "pod", pod, "-n", space)
    assert f"Pod {space}/{pod}, of Deployment agent has a sidecar" in explained
    assert f"{space}/agents@1" in explained and "it has no selector" in explained
    assert "What runs is what would be injected now." in explained

    idle = user.pod("idle", ["python3", "-c", "import time; time.sleep(3600)"])
    template = {"metadata": {"labels": {"app": "idle"}}, "spec": {**idle["spec"], "restartPolicy": "Always"}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "idle", "namespace": space, "annotations": {INJECT: "true"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "idle"}}, "template": template},
    }
    cluster.apply(deployment)

    def made() -> str | None:
        items = cluster.get("pods", "-l", "app=idle", namespace=space)["items"]
        return str(items[0]["metadata"]["name"]) if items else None

    missed = wait_for(made, 30, "the Deployment makes a pod")
    told = {"AnnotationOnDeployment": f"Deployment {space}/idle"}
    wait_for(lambda: found(user) == told, 60, lambda: f"that alone is told: {found(user)}", interval=2)
    explained = command(cluster, "explain", "pod", missed, "-n", space)
    assert "has no sidecar" in explained and "move it to spec.template.metadata.annotations" in explained
    cluster.kubectl("annotate", "pod", missed, f"{INJECT}=true", "-n", space)
    cluster.kubectl("annotate", "deployment", "idle", f"{INJECT}-", "-n", space)
    assert "AnnotationOnRunningPod" in command(cluster, "explain", "pod", missed, "-n", space)
    cluster.kubectl("delete", "deployment", "idle", "-n", space, "--wait=true")

    user.fail("backend-a", "reset")
    user.agent(runs=100, rate=10, name="busy")
    wait_for(
        lambda: "CircuitOpen" in found(user),
        120,
        lambda: f"the backend is away, and it is told: {found(user)}",
        interval=2,
    )
    text = command(cluster, "doctor", "-n", space, check=False)
    assert f"TracingConfig {space}/agents, backend backend-a" in text and "next:" in text

    left = command(cluster, "uninstall", "--dry-run")
    assert f"{space} Deployment agent 1" in " ".join(left.split())
    assert "crds.keep" in left and "Nothing was changed." in left


def pretended(user: Workload, image: str) -> dict[str, Any]:
    """A Deployment whose pods look injected, with an image that no node has."""
    pod = user.pod("stuck", IDLE)
    sidecar = {**pod["spec"]["containers"][0], "name": SIDECAR, "image": image, "restartPolicy": "Always"}
    meta = {
        "labels": {"app": "stuck", "tracekeeper.dev/injected": "true"},
        "annotations": {"tracekeeper.dev/sidecar-image": image},
    }
    spec = {**pod["spec"], "initContainers": [sidecar], "restartPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "stuck", "namespace": user.namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "stuck"}},
            "template": {"metadata": meta, "spec": spec},
        },
    }


@pytest.mark.timeout(300, func_only=True)
def test_doctor_names_silent_pods_labels_where_nobody_looks_and_images_that_nobody_can_pull(
    cluster: Cluster, user: Workload
) -> None:
    space = user.namespace
    user.configured(otlp("nowhere"))
    quiet = user.pod("quiet", IDLE, annotations={INJECT: "true"}, environment={"OTEL_SDK_DISABLED": "true"})
    labelled = user.pod("labelled", IDLE)
    labelled["metadata"]["labels"][INJECT] = "true"
    cluster.apply([quiet, labelled, pretended(user, MISSING)])
    cluster.kubectl("label", "namespace", space, f"{INJECT}=agents")

    kind, name, message = user.event("SidecarImageNotPulled", deadline=60)
    assert (kind, name) == ("Deployment", "stuck")
    assert f"{MISSING}, cannot be pulled (ErrImageNeverPull" in message and "mend the registry" in message
    # With a change of a condition, what sidecars have said of themselves is told as well.
    user.condition("Delivering", "True", deadline=90)
    expected = {
        "SidecarsFail": f"TracingConfig {space}/agents",
        "Silent": f"TracingConfig {space}/agents",
        "OwnExporter": f"pod {space}/quiet-0",
        "LabelOnPod": f"pod {space}/labelled-0",
        "InvalidLabel": f"namespace {space}",
    }
    wait_for(
        lambda: expected.items() <= found(user).items(), 60, lambda: f"all of it is told: {found(user)}", interval=2
    )
    text = command(cluster, "doctor", "-n", space, check=False)
    assert f"have a sidecar to which no span ever came: {space}/quiet-0" in text
    assert "sets OTEL_SDK_DISABLED=true: it makes no spans" in text
    good = cluster.get("configmap", "tracekeeper-ca", namespace=SYSTEM)["data"]
    assert good["certificate-not-before"] < good["certificate-not-after"]
