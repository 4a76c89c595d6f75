"""What the chart renders of the control stream: the way to it, who may do what, and nothing of it where it is off."""

from __future__ import annotations

import json

import pytest

from chart_render import DEFAULT, NAMESPACE, Helm, Object, named, of_kind, render, rules

pytestmark = pytest.mark.cluster  # Helm is one of the programs that `make setup` builds as root.


def test_sidecars_are_led_to_the_controller(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, "--set", "sidecar.hostPath.prepare=true", release="prod")
    service = named(objects, "Service", "prod-tracekeeper-control")["spec"]
    controller = named(objects, "Deployment", "prod-tracekeeper-controller")["spec"]["template"]
    labels = [found["spec"]["template"]["metadata"]["labels"] for found in of_kind(objects, "Deployment", "DaemonSet")]
    labels += [found["metadata"].get("labels", {}) for found in of_kind(objects, "Pod")]
    assert len(labels) == 4
    # Of the controllers' pods the leader's, which labels itself.
    assert service["selector"].pop("tracekeeper.dev/leader") == "true"
    assert [found for found in labels if service["selector"].items() <= found.items()] == [
        controller["metadata"]["labels"]
    ]
    assert not any("tracekeeper.dev/leader" in found for found in labels)
    (container,) = controller["spec"]["containers"]
    assert "--control-service=prod-tracekeeper-control" in container["args"]
    (port,) = service["ports"]
    ports = {found["name"]: found["containerPort"] for found in container["ports"]}
    assert (port["port"], ports[port["targetPort"]]) == (9444, 9444)


def test_tokens_are_checked_by_published_keys_and_people_by_the_api_server(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    binding = named(objects, "ClusterRoleBinding", "prod-tracekeeper-controller-keys")
    assert binding["roleRef"]["name"] == "system:service-account-issuer-discovery"
    account = {"kind": "ServiceAccount", "name": "prod-tracekeeper-controller", "namespace": NAMESPACE}
    assert binding["subjects"] == [account]
    reviews = [rule for rule in rules(objects) if rule["resources"][0].endswith("reviews")]
    assert [(rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in reviews] == [
        (["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        (["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]
    edit = named(objects, "ClusterRole", "prod-tracekeeper-edit")["rules"]
    for right in ("dump", "tap"):
        assert {"apiGroups": ["tracekeeper.dev"], "resources": [f"tracingconfigs/{right}"], "verbs": ["create"]} in edit
    view = named(objects, "ClusterRole", "prod-tracekeeper-view")["rules"]
    assert not any("/tap" in resource for rule in view for resource in rule["resources"]), "spans hold prompts"


def test_the_authority_is_shown_in_one_config_map_that_goes_with_the_release(default: list[Object]) -> None:
    shown = named(default, "ConfigMap", "tracekeeper-ca")
    assert not {"data", "binaryData"} & set(shown)
    configs = [rule for rule in rules(default) if "configmaps" in rule["resources"]]
    found = [rule for rule in configs if "tracekeeper-ca" in rule["resourceNames"]]
    assert sorted((rule["resourceNames"], sorted(rule["verbs"])) for rule in found) == [
        (["tracekeeper-ca"], ["create", "get", "patch"]),
        (["tracekeeper-ca"], ["get"]),
    ]
    writes = [rule for rule in found if "patch" in rule["verbs"]]
    assert writes[0] in named(default, "Role", "tracekeeper-controller")["rules"]


def test_the_way_to_the_control_server_is_a_role_that_nobody_has(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    granted = {
        (rule["resources"][0], verb)
        for rule in named(objects, "Role", "prod-tracekeeper-people")["rules"]
        for verb in rule["verbs"]
    }
    assert granted == {
        ("configmaps", "get"),
        ("services", "get"),
        ("pods", "get"),
        ("pods", "list"),
        ("pods", "watch"),
        ("pods/portforward", "create"),
    }
    bound = [found["roleRef"]["name"] for found in objects if found["kind"].endswith("RoleBinding")]
    assert "prod-tracekeeper-people" not in bound


def test_without_a_control_stream_nothing_of_it_is_there(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, "--set", "control.enabled=false")
    rest = [found for found in objects if found["kind"] != "CustomResourceDefinition"]
    text = json.dumps([found for found in rest if found["metadata"]["name"] != "tracekeeper-edit"])
    for word in ("9444", 'tracekeeper-control"', "tracekeeper-ca", "controller-keys", "tokenreviews", "accessreviews"):
        assert word not in text
