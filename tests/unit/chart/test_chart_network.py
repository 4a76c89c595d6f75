"""NetworkPolicies of the operator's own pods, and the namespaces in which it may read Secrets."""

from __future__ import annotations

from typing import Any

import pytest

from chart_render import CHART, CI, DEFAULT, NAMESPACE, Helm, Object, named, of_kind, render, rules
from tracekeeper_operator import preflight

pytestmark = pytest.mark.cluster  # Helm is one of the programs that `make setup` builds as root.

ISOLATED = CHART / "ci/isolated-values.yaml"


def component_of(found: Object) -> str:
    return str(found["metadata"]["labels"]["app.kubernetes.io/component"])


def pods(objects: list[Object]) -> dict[str, dict[str, str]]:
    """The labels of each component's pods."""
    found = {component_of(o): o["metadata"]["labels"] for o in of_kind(objects, "Pod")}
    for o in of_kind(objects, "Deployment", "DaemonSet"):
        found[component_of(o)] = o["spec"]["template"]["metadata"]["labels"]
    return found


def policies(objects: list[Object]) -> dict[str, dict[str, Any]]:
    return {component_of(o): o["spec"] for o in of_kind(objects, "NetworkPolicy")}


@pytest.mark.parametrize("options", [[], ["--set", "sidecar.hostPath.prepare=true"]], ids=["default", "with-folder"])
def test_every_pod_of_the_chart_has_a_policy_of_its_own(helm: Helm, options: list[str]) -> None:
    objects = render(helm, "-f", DEFAULT, *options)
    labels = pods(objects) | {"preflight": preflight.pod(NAMESPACE, "image", "Always")["metadata"]["labels"]}
    listed = policies(objects)
    assert listed.keys() == labels.keys()
    for component, spec in listed.items():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        chosen = {name for name, has in labels.items() if spec["podSelector"]["matchLabels"].items() <= has.items()}
        assert chosen == {component}


def test_they_let_in_what_the_containers_listen_on_and_nothing_else(default: list[Object]) -> None:
    for component in ("controller", "injector"):
        deployment = named(default, "Deployment", f"tracekeeper-{component}")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        listening = {port["name"] for port in container["ports"]}
        entries = policies(default)[component]["ingress"]
        assert {port["port"] for entry in entries for port in entry["ports"]} == listening
    assert "ingress" not in policies(default)["test"]


def test_without_the_control_stream_its_port_is_shut(helm: Helm) -> None:
    found = policies(render(helm, "-f", DEFAULT, "--set", "control.enabled=false"))["controller"]
    assert [port["port"] for entry in found["ingress"] for port in entry["ports"]] == ["metrics"]


def test_the_only_way_out_is_to_the_api_server(default: list[Object]) -> None:
    for spec in (spec for spec in policies(default).values() if "egress" in spec):
        (way,) = spec["egress"]
        assert {port["port"] for port in way["ports"]} == {443, 6443, 8443, 16443}
        assert {port["protocol"] for port in way["ports"]} == {"TCP"}


def test_the_folders_keeper_and_a_new_image_reach_nothing(helm: Helm) -> None:
    listed = policies(render(helm, "-f", DEFAULT, "--set", "sidecar.hostPath.prepare=true"))
    for spec in (listed["node-folder"], listed["preflight"]):
        assert "egress" not in spec
        assert "ingress" not in spec


def test_the_api_servers_address_and_who_scrapes_can_be_named(helm: Helm) -> None:
    for component, spec in policies(render(helm, "-f", ISOLATED)).items():
        if component == "preflight":
            continue
        (way,) = spec["egress"]
        assert way["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
        assert [port["port"] for port in way["ports"]] == [6443]
        scraped = [entry["from"] for entry in spec.get("ingress", []) if entry["ports"][0]["port"] == "metrics"]
        if component != "test":
            ((peer,),) = scraped
            assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}


def test_they_can_be_left_out(helm: Helm) -> None:
    assert of_kind(render(helm, "-f", DEFAULT, "--set", "networkPolicy.enabled=false"), "NetworkPolicy") == []


# Where Secrets may be read


def reads_any_secret(role: Object) -> bool:
    return any(rule["resources"] == ["secrets"] and "resourceNames" not in rule for rule in role["rules"])


def test_secrets_of_all_namespaces_are_read_only_where_none_are_listed(helm: Helm, default: list[Object]) -> None:
    assert [role["metadata"]["name"] for role in of_kind(default, "ClusterRole") if reads_any_secret(role)] == [
        "tracekeeper-controller"
    ]
    listed = render(helm, "-f", ISOLATED)
    assert [role for role in of_kind(listed, "ClusterRole") if reads_any_secret(role)] == []
    roles = [role for role in of_kind(listed, "Role") if reads_any_secret(role)]
    assert {role["metadata"]["namespace"] for role in roles} == {"shop", "care"}
    for role in roles:
        assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
        namespace = role["metadata"]["namespace"]
        (binding,) = [b for b in of_kind(listed, "RoleBinding") if b["metadata"]["namespace"] == namespace]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "tracekeeper-controller", "namespace": NAMESPACE}
        ]


def test_what_was_published_can_be_read_everywhere(helm: Helm) -> None:
    controller = named(render(helm, "-f", ISOLATED), "ClusterRole", "tracekeeper-controller")
    assert [
        rule["resourceNames"]
        for rule in controller["rules"]
        if rule["resources"] == ["secrets"] and rule["verbs"] == ["get"]
    ] == [["tracekeeper-policy"]]


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_secrets_are_never_listed_or_watched(helm: Helm, values: object) -> None:
    verbs = {
        verb
        for rule in rules(render(helm, "-f", str(values)))
        if "secrets" in rule["resources"]
        for verb in rule["verbs"]
    }
    assert verbs
    assert not verbs & {"list", "watch", "deletecollection", "update"}
