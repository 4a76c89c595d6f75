"""What the chart lets the controller do with pods: look, and no more than was asked for."""

from __future__ import annotations

import json
from typing import Any

from chart_render import DEFAULT, Helm, named, of_kind, render

Object = dict[str, Any]
OURS = "prod-tracekeeper-controller-pods"
EVICT = ("--set", "sidecar.repair.enabled=true")
UPDATE = ("--set", "sidecar.imageUpdate.enabled=true")


def rights(objects: list[Object], kind: str = "ClusterRole") -> set[tuple[str, str]]:
    rules = named(objects, kind, OURS)["rules"]
    return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def arguments(objects: list[Object]) -> list[str]:
    pod = named(objects, "Deployment", "prod-tracekeeper-controller")["spec"]["template"]["spec"]
    return list(pod["containers"][0]["args"])


def test_by_default_it_only_looks(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    assert {right for right in rights(objects) if right[0].startswith("pods")} == {
        ("pods", "get"),
        ("pods", "list"),
        ("pods", "watch"),
    }
    assert not of_kind(objects, "ValidatingAdmissionPolicy")
    assert {"--eviction=false", "--image-updates=false", "--sweep=5m"} <= set(arguments(objects))
    assert "--excluded-namespaces=kube-system,tracekeeper-system" in arguments(objects)


def test_each_right_comes_with_its_value(helm: Helm) -> None:
    default = rights(render(helm, "-f", DEFAULT, release="prod"))
    evicting = render(helm, "-f", DEFAULT, *EVICT, release="prod")
    assert rights(evicting) - default == {("pods/eviction", "create")}
    assert "--eviction=true" in arguments(evicting)
    updating = render(helm, "-f", DEFAULT, *UPDATE, release="prod")
    assert rights(updating) - default == {("pods", "patch")}
    assert "--image-updates=true" in arguments(updating)


def test_who_may_patch_pods_is_held_to_the_image_of_the_sidecar(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, *UPDATE, release="prod")
    (policy,) = of_kind(objects, "ValidatingAdmissionPolicy")
    (binding,) = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    assert "system:serviceaccount:tracekeeper-system:prod-tracekeeper-controller" in json.dumps(
        policy["spec"]["matchConditions"]
    )
    # Whatever the API server lets anybody change in a pod that runs: the cluster tests show that it is refused.
    rules = " ".join(rule["expression"] for rule in policy["spec"]["validations"])
    for field in ("labels", "annotations", "ownerReferences", "finalizers", "activeDeadlineSeconds", "tolerations"):
        assert field in rules


def test_pods_are_made_in_its_own_namespace_only(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, *EVICT, *UPDATE, release="prod")
    made = [
        (found["kind"], found["metadata"]["name"])
        for found in objects
        if found["kind"] in ("Role", "ClusterRole")
        for rule in found.get("rules", [])
        if "pods" in rule["resources"] and "create" in rule["verbs"] and "test" not in found["metadata"]["name"]
    ]
    assert made == [("Role", OURS)]
    assert ("pods", "delete") in rights(objects, "Role")
    for rule in named(objects, "Role", OURS)["rules"]:
        if "delete" in rule["verbs"]:
            assert rule["resourceNames"] == ["tracekeeper-preflight"]
