"""What the chart renders so that one pod, one node or one zone can go: replicas, Lease, budgets, spread, rollouts."""

from __future__ import annotations

import pytest

from chart_render import CHART, DEFAULT, NAMESPACE, Helm, Object, named, of_kind, refusal, render, rules

pytestmark = pytest.mark.cluster  # Helm is one of the programs that `make setup` builds as root.

COMPONENTS = ("controller", "injector")


@pytest.fixture(scope="module")
def available(helm: Helm) -> list[Object]:
    """Rendered with values-ha.yaml."""
    return render(helm, "-f", DEFAULT, "-f", CHART / "values-ha.yaml")


def pods(objects: list[Object], component: str) -> Object:
    return dict(named(objects, "Deployment", f"tracekeeper-{component}")["spec"]["template"])


@pytest.mark.parametrize("component", COMPONENTS)
def test_with_several_pods_there_is_a_budget_and_they_are_spread(available: list[Object], component: str) -> None:
    deployment = named(available, "Deployment", f"tracekeeper-{component}")["spec"]
    assert deployment["replicas"] == {"controller": 2, "injector": 3}[component]
    labels = deployment["template"]["metadata"]["labels"]
    budget = named(available, "PodDisruptionBudget", f"tracekeeper-{component}")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    spec = deployment["template"]["spec"]
    (spread,) = spec["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    (apart,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert apart["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_new_pod_is_there_before_an_old_one_goes(default: list[Object], component: str) -> None:
    deployment = named(default, "Deployment", f"tracekeeper-{component}")["spec"]
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_one_pod_alone_has_neither_budget_nor_spread(default: list[Object]) -> None:
    assert [found["metadata"]["name"] for found in of_kind(default, "PodDisruptionBudget")] == ["tracekeeper-injector"]
    spec = pods(default, "controller")["spec"]
    assert not {"topologySpreadConstraints", "affinity"} & set(spec)


def test_high_availability_refuses_pods_that_nobody_answers_for(available: list[Object]) -> None:
    (mutating,) = of_kind(available, "MutatingWebhookConfiguration")
    assert {entry["failurePolicy"] for entry in mutating["webhooks"]} == {"Fail"}
    for component in COMPONENTS:
        assert pods(available, component)["spec"]["priorityClassName"] == "system-cluster-critical"


def test_controllers_share_one_lease_that_goes_with_the_release(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    (lease,) = of_kind(objects, "Lease")
    assert lease["metadata"]["name"] == "prod-tracekeeper-controller" and "spec" not in lease
    (container,) = named(objects, "Deployment", "prod-tracekeeper-controller")["spec"]["template"]["spec"]["containers"]
    assert "--lease=prod-tracekeeper-controller" in container["args"]
    fields = [entry for entry in container["env"] if "valueFrom" in entry]
    names = {entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in fields}
    assert names["TRACEKEEPER_POD"] == "metadata.name"
    granted = [rule for rule in rules(objects) if "leases" in rule["resources"]]
    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in granted] == [
        (["prod-tracekeeper-controller"], ["get", "patch"]),
        (None, ["create"]),
    ]
    own = named(objects, "Role", "prod-tracekeeper-controller")
    assert own["metadata"]["namespace"] == NAMESPACE and all(rule in own["rules"] for rule in granted)


def test_lives_of_certificates_reach_the_controller(helm: Helm) -> None:
    values = ["--set", "certificates.authorityLife=2h", "--set", "certificates.life=30m"]
    objects = render(helm, "-f", DEFAULT, *values, "--set", "controller.leaseDuration=1m")
    (container,) = pods(objects, "controller")["spec"]["containers"]
    assert {"--authority-life=2h", "--certificate-life=30m", "--lease-duration=1m"} <= set(container["args"])
    assert "life" in refusal(helm, "-f", DEFAULT, "--set", "certificates.life=long")
