"""Uninstalling leaves nothing behind but the CRD, which `crds.keep` keeps with the users' TracingConfigs."""

from __future__ import annotations

import pytest

from cluster import fixtures
from cluster.node import Cluster
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

KINDS = (
    "deployments,services,secrets,leases,serviceaccounts,roles,rolebindings,poddisruptionbudgets,"
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"
)


def ours(cluster: Cluster) -> set[str]:
    """Every object of the cluster that bears our name, the CRD and Helm's own record of the release left out."""
    objects = cluster.kubectl("get", KINDS, "-A", "-o", "name").split()
    return {name for name in objects if "tracekeeper" in name and "sh.helm.release" not in name}


@pytest.mark.timeout(240, func_only=True)
def test_uninstall_leaves_nothing_behind_and_running_pods_go_on(
    cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str
) -> None:
    user = Workload(cluster, namespace, demo_image)
    user.backends("backend-a")
    user.configured(otlp("backend-a"))
    user.agent(runs=20)
    user.summary()
    user.settled()
    cluster.helm("uninstall", tracekeeper, "-n", fixtures.SYSTEM, "--wait")
    try:
        # The policy is what running pods work by; it goes with the CRD, which `crds.keep` has kept.
        left = {name for name in ours(cluster) if name != "secret/tracekeeper-policy"}
        assert left == set()
        assert cluster.find("tracingconfigs.tracekeeper.dev", "agents", namespace=namespace)
        assert user.restarts(SIDECAR) == 0
        assert user.health()["config"] == f"{namespace}/agents"
        policy = cluster.find("secret", "tracekeeper-policy", namespace=namespace)
        assert policy is not None
        owner = policy["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("CustomResourceDefinition", "tracingconfigs.tracekeeper.dev")
        # No finalizer of ours needs an operator.
        cluster.kubectl("delete", "tracingconfigs.tracekeeper.dev", "agents", "-n", namespace, "--wait=true")
    finally:
        fixtures.install(cluster)
