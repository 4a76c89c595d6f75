"""A changed policy is tried by some pods before all get it, and taken back by itself where it does not do."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import Workload, otlp

pytestmark = pytest.mark.cluster
PODS = ("agent-0", "second-0", "third-0")
ROLLOUT = {"canaryPercent": 1, "observeFor": "10s"}


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace to work in, on a cluster where the chart is installed."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


def rollout(user: Workload) -> dict[str, Any]:
    """What the status says of it, as long as that is about the newest generation."""
    found = user.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=user.namespace)
    status = found.get("status", {})
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return dict(status.get("rollout", {})) if seen else {}


def command(user: Workload, *arguments: str, check: bool = True) -> str:
    """What a person sees of a command."""
    argv = [sys.executable, "-m", "tracekeeper_cli", "rollout", *arguments, "-n", user.namespace]
    return user.cluster.run(argv, check=check).stdout


@pytest.mark.timeout(300, func_only=True)
def test_a_bad_policy_is_taken_back_by_itself_and_a_good_one_comes_to_all(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    user.configured(otlp("backend-a"), rollout=ROLLOUT)
    for pod in PODS:
        user.agent(runs=2000, rate=10, name=pod.removesuffix("-0"), wait=False)
    for pod in PODS:
        user.running(pod)
    wait_for(lambda: all(user.circuit("backend-a", pod) == "Closed" for pod in PODS), 60, "all deliver", interval=0.5)
    assert rollout(user)["phase"] == "Complete"

    nowhere = {**otlp("nowhere"), "otlp": {"protocol": "GRPC", "endpoint": "http://127.0.0.1:9"}}
    user.config(otlp("backend-a"), nowhere, rollout=ROLLOUT)
    tried: set[str] = set()

    def halted() -> bool:
        tried.update(pod for pod in PODS if user.circuit("nowhere", pod))
        return rollout(user).get("phase") == "Halted"

    wait_for(halted, 120, lambda: f"it is taken back: {rollout(user)}", interval=0.5)
    found = rollout(user)
    assert (found["reason"], found["generation"], found["effective"]) == ("DeliveryFailure", 2, 1)
    assert "nowhere" in found["message"] and found["previous"]["generation"] == 1
    assert len(tried) == 1, "nobody else has ever seen it"
    assert user.condition("RolledOut", "False")["reason"] == "RolloutHalted"
    assert user.condition("Ready", "False")["reason"] == "RolloutHalted"
    assert user.event("RolloutHalted")[:2] == ("TracingConfig", "agents")
    wait_for(
        lambda: not any(user.circuit("nowhere", pod) for pod in PODS), 60, "the one that tried it is back", interval=0.5
    )
    assert "generation 2 was taken back" in command(user, "status", "agents", check=False)
    assert "what all pods run already" in command(user, "undo", "agents")
    assert user.condition("RolledOut", "True")["reason"] == "RolloutComplete"
    written = user.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=user.namespace)
    assert [backend["name"] for backend in written["spec"]["backends"]] == ["backend-a"]

    user.config(otlp("backend-a"), otlp("backend-b"), rollout=ROLLOUT)
    first: list[str] = []

    def complete() -> bool:
        now = rollout(user)
        if now.get("phase") == "Progressing" and not first:
            first.extend(pod for pod in PODS if user.circuit("backend-b", pod))
        return now.get("phase") == "Complete" and now["effective"] == 4

    wait_for(complete, 120, lambda: f"it comes to all: {rollout(user)}", interval=0.5)
    assert len(first) == 1, "some tried it first"
    wait_for(lambda: all(user.circuit("backend-b", pod) == "Closed" for pod in PODS), 60, "all have it", interval=0.5)
    assert "generation 4 is in effect for all pods" in command(user, "status", "agents", "--wait", "30s")
