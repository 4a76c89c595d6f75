"""What holds for every pod: injection adds, never changes, never twice, and never fails."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control_api import set_at
from control_objects import OPTIONS, config, scope
from tracekeeper_operator.inject import Injection, Skip, SkipReason, inject
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest

OURS = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"}
WORDS = st.text("abc-", min_size=1, max_size=4)
ENV = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["A", "B", *sorted(OURS)]), "value": WORDS}), max_size=4)
PORTS = st.lists(st.fixed_dictionaries({"containerPort": st.sampled_from([80, 8080, 4317])}), max_size=2)
MESH = ["istio-init", "istio-proxy", "linkerd-proxy"]
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "ephemeral-storage"]), st.sampled_from(["1", "500m", "1Gi"]), max_size=3
)
RESOURCES = st.fixed_dictionaries({}, optional={"requests": AMOUNTS, "limits": AMOUNTS})
CONTAINER = st.fixed_dictionaries(
    {"name": WORDS | st.sampled_from(MESH), "image": WORDS},
    optional={
        "env": ENV | st.none(),
        "ports": PORTS,
        "args": st.lists(WORDS),
        "restartPolicy": st.just("Always"),
        "resources": RESOURCES,
    },
)
VOLUME = st.fixed_dictionaries({"name": st.sampled_from(["data", "tracekeeper-buffer", "x"]), "emptyDir": st.just({})})
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"annotations": st.just({"tracekeeper.dev/inject": "true"})},
            optional={"labels": st.dictionaries(WORDS, WORDS, max_size=2) | st.none()},
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(CONTAINER, min_size=1, max_size=3)},
            optional={
                "initContainers": st.lists(CONTAINER, max_size=2) | st.none(),
                "volumes": st.lists(VOLUME, max_size=2) | st.none(),
                "hostNetwork": st.booleans(),
                "imagePullSecrets": st.lists(st.fixed_dictionaries({"name": WORDS}), max_size=2),
            },
        ),
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["containers", "initContainers", "volumes", "hostNetwork", "os", "securityContext"]
ODD_PODS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": JSON | st.dictionaries(st.sampled_from(["annotations", "labels", "name"]), JSON),
        "spec": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                name: JSON
                | st.lists(st.dictionaries(st.sampled_from(["name", "env", "ports", "envFrom"]), JSON), max_size=3)
                for name in FIELDS
            },
        ),
    },
)


def parsed(**spec: Any) -> TracingConfig:
    found, faults = parse_manifest(config(**spec))
    assert found is not None, faults
    return found


CONFIGS = [[], [parsed()], [parsed(suspend=True)]]


def applied(pod: dict[str, Any], outcome: Injection) -> dict[str, Any]:
    """The pod after the patch, as the API server applies it (RFC 6902)."""
    after = copy.deepcopy(pod)
    for operation in outcome.patch:
        assert operation["op"] == "add"
        set_at(after, operation["path"], copy.deepcopy(operation["value"]))
    return after


@given(PODS, st.sampled_from(CONFIGS), st.booleans())
def test_injecting_again_adds_nothing(pod: dict[str, Any], configs: list[TracingConfig], by_namespace: bool) -> None:
    first = inject(pod, scope(configs), OPTIONS, by_namespace=by_namespace)
    if isinstance(first, Skip):
        return
    again = inject(applied(pod, first), scope(configs), OPTIONS, by_namespace=by_namespace)
    assert isinstance(again, Skip)
    assert again.reason is SkipReason.ALREADY_INJECTED
    assert again.silent


@given(PODS, st.sampled_from(CONFIGS))
def test_the_application_keeps_everything(pod: dict[str, Any], configs: list[TracingConfig]) -> None:
    before = copy.deepcopy(pod)
    outcome = inject(pod, scope(configs), OPTIONS)
    assert pod == before
    if isinstance(outcome, Skip):
        return
    after = applied(pod, outcome)
    inits = [item for item in after["spec"]["initContainers"] if item["name"] != "tracekeeper-sidecar"]
    assert len(inits) + 1 == len(after["spec"]["initContainers"])
    ahead = [item["name"] for item in after["spec"]["initContainers"]].index("tracekeeper-sidecar")
    for old, new in zip(before["spec"]["containers"], after["spec"]["containers"], strict=True):
        assert_only_our_variables(old, new)
    for index, (old, new) in enumerate(zip(before["spec"].get("initContainers") or [], inits, strict=True)):
        assert_only_our_variables(old, new) if index >= ahead else assert_untouched(old, new)
    added = {"initContainers", "containers", "volumes"}
    rest = [{k: v for k, v in spec.items() if k not in added} for spec in (before["spec"], after["spec"])]
    assert rest[0] == rest[1]
    old_volumes = before["spec"].get("volumes") or []
    assert after["spec"]["volumes"][: len(old_volumes)] == old_volumes
    assert after["metadata"]["annotations"].items() >= before["metadata"]["annotations"].items()
    mark = {"tracekeeper.dev/injected": "true"}
    assert after["metadata"]["labels"] == (before["metadata"].get("labels") or {}) | mark


def assert_untouched(old: dict[str, Any], new: dict[str, Any]) -> None:
    """It starts before the sidecar."""
    assert new == old


def assert_only_our_variables(old: dict[str, Any], new: dict[str, Any]) -> None:
    own = old.get("env") or []
    if old["name"] in MESH or OURS & {entry["name"] for entry in own}:
        assert new == old
        return
    assert {key: value for key, value in new.items() if key != "env"} == {
        key: value for key, value in old.items() if key != "env"
    }
    assert new["env"][: len(own)] == own
    assert {entry["name"] for entry in new["env"][len(own) :]} == OURS


def ours_of(spec: dict[str, Any]) -> dict[str, Any]:
    """The sidecar's container."""
    (found,) = [item for item in spec["initContainers"] if item["name"] == "tracekeeper-sidecar"]
    return dict(found)


@given(PODS)
def test_every_mount_has_its_volume(pod: dict[str, Any]) -> None:
    outcome = inject(pod, scope([]), OPTIONS)
    if isinstance(outcome, Skip):
        return
    spec = applied(pod, outcome)["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in ours_of(spec)["volumeMounts"]} <= volumes


@given(ODD_PODS | JSON.filter(lambda value: isinstance(value, dict)), st.booleans())
def test_no_pod_makes_it_fail(pod: dict[str, Any], by_namespace: bool) -> None:
    outcome = inject(pod, scope(CONFIGS[1]), OPTIONS, by_namespace=by_namespace)
    if isinstance(outcome, Skip):
        assert outcome.message
    else:
        assert ours_of(applied(pod, outcome)["spec"])["restartPolicy"] == "Always"
