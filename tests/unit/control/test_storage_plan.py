"""Where buffers are: what each type becomes in a pod, and who hears of a type that is not allowed."""

from __future__ import annotations

from typing import Any

import pytest

from control_objects import config, pod, scope
from tracekeeper_operator import pod as pods
from tracekeeper_operator import resources as demands
from tracekeeper_operator.bounds import UNBOUND
from tracekeeper_operator.errors import SettingsError
from tracekeeper_operator.plan import Published, assess
from tracekeeper_operator.plan import plan as decide
from tracekeeper_operator.settings import parse
from tracekeeper_operator.status import Condition, Outcome, conditions
from tracekeeper_operator.storage import LOGS, NOWHERE, HostPaths, Storage, plan
from tracekeeper_operator.validate import validate
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.resolve import ResolvedSpec, resolve
from tracekeeper_spec.units import parse_quantity

MIB = 1 << 20
ALLOWED = HostPaths("/var/lib/spans", ("shop",))


def resolved(**section: Any) -> ResolvedSpec:
    parsed, faults = parse_manifest(config(sidecar=section))
    assert parsed is not None, faults
    return resolve(parsed.spec)


def planned(storage: dict[str, Any], host_paths: HostPaths = NOWHERE, **spec: Any) -> Storage:
    body = pod(inject="true")
    body["spec"] |= spec
    return plan(pods.parse(body), resolved(storage=storage), "shop", "agents", host_paths)


def container(limits: dict[str, str] | None, name: str = "app") -> dict[str, Any]:
    return {"name": name, "image": "app:1", **({"resources": {"limits": limits}} if limits is not None else {})}


@pytest.mark.parametrize(
    ("storage", "volume", "percent"),
    [
        ({}, {"emptyDir": {"sizeLimit": "100Mi"}}, 95),
        (
            {"type": "Ephemeral"},
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}
                    }
                }
            },
            90,
        ),
        ({"type": "HostPath"}, {"hostPath": {"path": "/var/lib/spans", "type": "DirectoryOrCreate"}}, 95),
    ],
    ids=["EmptyDir", "Ephemeral", "HostPath"],
)
def test_each_type_becomes_a_volume_with_a_quota_below_its_size(
    storage: dict[str, Any], volume: dict[str, Any], percent: int
) -> None:
    found = planned({"size": "100Mi", **storage}, ALLOWED)
    assert found.volume == {"name": "tracekeeper-buffer", **volume}
    assert f"--storage-size={percent * MIB}" in found.arguments
    assert found.note == ""


def test_on_the_node_each_config_has_a_folder_and_each_pod_one_in_it() -> None:
    found = planned({"type": "HostPath"}, ALLOWED)
    assert found.mount["subPath"] == "shop/agents"
    assert "--data-dir=/var/lib/tracekeeper/$(TRACEKEEPER_POD_UID)" in found.arguments
    assert "--adopt-from=/var/lib/tracekeeper" in found.arguments
    assert [variable["valueFrom"]["fieldRef"]["fieldPath"] for variable in found.environment] == ["metadata.uid"]


@pytest.mark.parametrize("kind", ["EmptyDir", "Ephemeral"])
def test_elsewhere_there_is_nothing_to_adopt(kind: str) -> None:
    found = planned({"type": kind}, ALLOWED)
    assert "subPath" not in found.mount
    assert not [argument for argument in found.arguments if argument.startswith("--adopt-from")]
    assert found.environment == ()


@pytest.mark.parametrize(
    ("namespaces", "allowed"), [(("shop",), True), (("*",), True), (("bank",), False), ((), False)]
)
def test_a_folder_on_the_node_only_where_it_is_allowed_else_an_empty_dir_and_a_warning(
    namespaces: tuple[str, ...], allowed: bool
) -> None:
    found = planned({"type": "HostPath"}, HostPaths("/var/lib/spans", namespaces))
    assert ("hostPath" in found.volume, "emptyDir" in found.volume) == (allowed, not allowed)
    assert found.warning is not allowed
    assert ("not allowed in namespace shop" in found.note) is not allowed


# The node's disk


def resources(storage: dict[str, Any], *containers: dict[str, Any], **section: Any) -> dict[str, Any]:
    """What the sidecar's container asks for beside these containers."""
    body = pod(inject="true")
    body["spec"]["containers"] = list(containers) or [container(None)]
    spec = resolved(storage=storage, **section)
    found = plan(pods.parse(body), spec, "shop", "agents", ALLOWED)
    return asked(body, spec, found)


def asked(body: dict[str, Any], spec: ResolvedSpec, found: Storage) -> dict[str, Any]:
    demand = demands.demand(pods.parse(body), spec, found, UNBOUND)
    return {"requests": demand.requests, "limits": demand.limits}


def disk(found: dict[str, Any], kind: str) -> int | None:
    amount = found[kind].get("ephemeral-storage")
    return None if amount is None else parse_quantity(amount)


def test_a_pod_without_limits_for_its_disk_gets_none_from_us() -> None:
    """The kubelet would hold the application's own files against it."""
    found = resources({"size": "100Mi"})
    assert (disk(found, "requests"), disk(found, "limits")) == (100 * MIB + LOGS, None)


@pytest.mark.parametrize("limited", ["every", "one", "init"])
def test_where_the_pod_has_a_limit_it_grows_by_what_the_buffer_may_take(limited: str) -> None:
    some = {"ephemeral-storage": "10Mi"}
    containers = [container(some if limited != "init" else None), container(some if limited == "every" else {}, "b")]
    body = pod(inject="true")
    body["spec"]["containers"] = containers
    if limited == "init":
        body["spec"]["initContainers"] = [container(some, "init")]
    spec = resolved(storage={"size": "100Mi"})
    found = plan(pods.parse(body), spec, "shop", "agents", NOWHERE)
    made = asked(body, spec, found)
    assert disk(made, "limits") == disk(made, "requests") == 100 * MIB + LOGS


@pytest.mark.parametrize("kind", ["Ephemeral", "HostPath"])
def test_a_volume_that_the_kubelet_does_not_count_is_not_asked_for(kind: str) -> None:
    found = resources({"type": kind}, container({"ephemeral-storage": "1Gi"}))
    assert disk(found, "limits") == disk(found, "requests") == LOGS


@pytest.mark.parametrize(
    ("section", "requests", "limits"),
    [
        ({"requests": {"ephemeral-storage": "1Gi"}}, 1024 * MIB, 1024 * MIB),
        ({"limits": {"ephemeral-storage": "50Mi"}}, 50 * MIB, 50 * MIB),
        ({"requests": {"ephemeral-storage": "1Mi"}}, MIB, 100 * MIB + LOGS),
    ],
    ids=["large-request", "small-limit", "small-request"],
)
def test_what_the_config_says_of_the_disk_stands(section: dict[str, Any], requests: int, limits: int) -> None:
    found = resources({"size": "100Mi"}, container({"ephemeral-storage": "1Gi"}), resources=section)
    assert (disk(found, "requests"), disk(found, "limits")) == (requests, limits)


@pytest.mark.parametrize(
    ("source", "counted"),
    [
        ({"emptyDir": {}}, True),
        ({"emptyDir": {"medium": "Memory"}}, False),
        ({"persistentVolumeClaim": {"claimName": "spans"}}, False),
    ],
    ids=["disk", "memory", "claim"],
)
def test_a_volume_of_the_pods_own_is_counted_if_the_kubelet_counts_it(source: dict[str, Any], counted: bool) -> None:
    found = planned({"type": "HostPath", "size": "100Mi"}, volumes=[{"name": "tracekeeper-buffer", **source}])
    assert found.ephemeral == LOGS + (100 * MIB if counted else 0)
    assert (found.note, found.environment) == ("", ())
    assert "--data-dir=/var/lib/tracekeeper" in found.arguments


# Who may write to a new volume


@pytest.mark.parametrize(
    ("spec", "group"),
    [
        ({}, 65532),
        ({"securityContext": {}}, 65532),
        ({"securityContext": {"fsGroup": 0}}, None),
        ({"volumes": [{"name": "x", "emptyDir": {}}, {"name": "y", "configMap": {"name": "y"}}]}, 65532),
        ({"volumes": [{"name": "x", "secret": {"secretName": "x"}}]}, None),
        ({"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": "x"}}]}, None),
        ({"volumes": [{"name": "kube-api-access-abcde", "projected": {"sources": []}}]}, 65532),
    ],
)
def test_a_pod_gets_a_group_for_its_volume_unless_that_could_hurt_it(spec: dict[str, Any], group: int | None) -> None:
    found = planned({"type": "Ephemeral"}, **spec)
    assert found.fs_group == group
    assert ("set one, or spans are refused" in found.note) is ("volumes" in spec and group is None)
    assert not found.warning


# Those who ask for what is not allowed hear of it


def ready(namespace: str, host_paths: HostPaths) -> Condition:
    manifest = config(namespace=namespace, sidecar={"storage": {"type": "HostPath"}})
    decided = decide(namespace, assess([manifest], None), {}, Published(None), floor=0, now=1.8e9)
    return conditions(decided.configs[0], decided, {}, Outcome(), host_paths, now=0.0)[2]


def test_the_status_says_that_the_type_is_not_allowed_and_what_pods_get() -> None:
    assert (ready("shop", ALLOWED).status, ready("shop", ALLOWED).reason) == ("True", "Published")
    told = ready("bank", ALLOWED)
    assert (told.status, told.reason) == ("False", "HostPathNotAllowed")
    assert "pods get an EmptyDir" in told.message
    assert "sidecar.hostPath.namespaces" in told.message


def test_whoever_writes_it_is_warned_and_not_refused() -> None:
    manifest = config(namespace="bank", sidecar={"storage": {"type": "HostPath"}})
    verdict = validate(manifest, None, scope([]), ALLOWED)
    assert verdict.allowed
    assert any(text.startswith("spec.sidecar.storage.type HostPath is not allowed") for text in verdict.warnings)
    assert not [
        text for text in validate(manifest, None, scope([]), HostPaths("/x", ("*",))).warnings if "HostPath" in text
    ]


def test_what_is_allowed_comes_from_the_flags() -> None:
    arguments = ["controller", "--namespace=tk", "--host-path=/var/lib/spans", "--host-path-namespaces=shop, bank,"]
    assert parse(arguments, {}).host_paths == HostPaths("/var/lib/spans", ("shop", "bank"))
    assert parse(["controller", "--namespace=tk"], {}).host_paths == NOWHERE


@pytest.mark.parametrize(
    ("path", "namespaces", "text"),
    [
        ("/x", "shop/*", "--host-path-namespaces: 'shop/*' is neither"),
        ("", "*", "--host-path: is required"),
        ("x", "", "--host-path: 'x' is not an absolute path"),
        ("/x/../etc", "*", "--host-path: '/x/../etc' is not an absolute path"),
    ],
)
def test_flags_that_make_no_sense_are_named(path: str, namespaces: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(["controller", "--namespace=tk", f"--host-path={path}", f"--host-path-namespaces={namespaces}"], {})
    assert str(caught.value).startswith(text)
