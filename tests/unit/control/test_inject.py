"""Injection, decision by decision; whole patches are in test_inject_golden.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control_objects import OPTIONS, config, pod, scope
from tracekeeper_operator import overrides
from tracekeeper_operator.inject import Injection, Skip, inject
from tracekeeper_spec.parse import parse_manifest


def judged(found: dict[str, Any], *, with_config: bool = True, by_namespace: bool = False) -> Injection | Skip:
    parsed, _ = parse_manifest(config())
    configs = [parsed] if parsed is not None and with_config else []
    return inject(found, scope(configs), OPTIONS, by_namespace=by_namespace)


@pytest.mark.parametrize(("system", "skipped"), [("windows", True), ("linux", False), (None, False), (7, True)])
@pytest.mark.parametrize("place", ["os", "nodeSelector"])
def test_only_pods_for_linux_are_injected(place: str, system: Any, skipped: bool) -> None:
    found = pod(inject="true")
    if system is not None:
        found["spec"][place] = {"name": system} if place == "os" else {"kubernetes.io/os": system}
    outcome = judged(found)
    assert (isinstance(outcome, Skip) and outcome.reason == "UnsupportedOS") is skipped


@pytest.mark.parametrize("by_namespace", [True, False])
def test_mirror_pods_are_left_alone(by_namespace: bool) -> None:
    found = pod() if by_namespace else pod(inject="true")
    found["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "hash"
    outcome = judged(found, by_namespace=by_namespace)
    assert isinstance(outcome, Skip) and outcome.reason == "MirrorPod"
    assert outcome.silent


@pytest.mark.parametrize("with_config", [True, False])
@pytest.mark.parametrize(
    ("protocol", "odd"), [("GRPC", True), ("http", True), ("", True), ("grpc", False), ("http/protobuf", False)]
)
def test_a_protocol_that_is_not_known_is_told(protocol: str, odd: bool, with_config: bool) -> None:
    outcome = judged(pod(inject="true", **{"otlp-protocol": protocol}), with_config=with_config)
    assert isinstance(outcome, Injection)
    assert ("is neither grpc nor http/protobuf" in outcome.message) is odd
    assert outcome.warning is (odd or not with_config)


GIVEN = {
    "cpu-limit": "1",
    "memory-request": "512Mi",
    "buffer-size": "256Mi",
    "grpc-port": "14317",
    "image": "quay.example.com/try/sidecar:2",
}
"""Annotations, each of which can be followed."""


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("written", [{"sidecar": {"drainTimeout": "5s"}}, {}])
def test_annotations_do_not_override_an_enforced_sidecar(written: dict[str, Any], named: bool) -> None:
    open_to_all = {"allowedNamespaces": {"from": "All"}, **written}
    options = replace(OPTIONS, registries=("quay.example.com",))
    wish = "agents" if named else "true"

    def outcome(*enforced: str, **given: str) -> Injection | Skip:
        default, faults = parse_manifest(config("default", "observability", enforced=list(enforced), **open_to_all))
        own, more = parse_manifest(config("agents"))
        assert default is not None and own is not None, (faults, more)
        return inject(pod(**given, inject=wish), scope([own], observability=[default]), options)

    free, fixed = outcome("Backends", **GIVEN), outcome("Backends", "Sidecar", **GIVEN)
    assert isinstance(free, Injection) and isinstance(fixed, Injection)
    assert "not followed" not in free.message and not free.warning
    assert GIVEN["image"] in str(free.patch) and "14317" in str(free.patch) and "512Mi" in str(free.patch)
    assert "spec.sidecar is enforced by observability/default" in fixed.message and fixed.warning
    assert all(f"tracekeeper.dev/{key}" in fixed.message for key in GIVEN)
    plain = outcome("Backends", "Sidecar")
    assert isinstance(plain, Injection) and fixed.patch == plain.patch and not plain.warning


@pytest.mark.parametrize("named", ["later", "observability/kept", "care/later"])
def test_nor_by_the_name_of_a_config_that_is_not_there_or_not_lent(named: str) -> None:
    """Made afterwards, it would give the sidecar its policy."""
    fixed: dict[str, Any] = {"allowedNamespaces": {"from": "All"}, "enforced": ["Sidecar"]}
    receivers = {"otlp": {"grpcPort": 24317}}
    default, _ = parse_manifest(config("default", "observability", sidecar={"receivers": receivers}, **fixed))
    kept, _ = parse_manifest(config("kept", "observability", selector={"matchLabels": {"a": "b"}}))
    assert default is not None and kept is not None
    options = replace(OPTIONS, registries=("quay.example.com",))
    outcome = inject(pod(**GIVEN, inject=named), scope([], observability=[default, kept], care=[]), options)
    assert isinstance(outcome, Injection) and outcome.resolved_from == "none"
    assert GIVEN["image"] not in str(outcome.patch) and "14317" not in str(outcome.patch)
    assert "24317" in str(outcome.patch) and "512Mi" not in str(outcome.patch)
    assert "spec.sidecar is enforced by observability/default" in outcome.message and outcome.warning


@pytest.mark.parametrize(
    ("key", "amount", "followed"),
    [
        ("memory-limit", "256", False),
        ("memory-limit", "32Mi", False),
        ("memory-limit", "64Mi", True),
        ("memory-limit", "64Gi", True),
        ("memory-limit", "256Ti", False),
        ("memory-request", "96", False),
        ("memory-request", "32Mi", True),
        ("memory-request", "256Gi", False),
        ("cpu-limit", "1m", False),
        ("cpu-limit", "10m", True),
        ("cpu-limit", "500", False),
        ("cpu-request", "1m", True),
        ("cpu-request", "16", True),
        ("cpu-request", "100", False),
    ],
)
def test_an_amount_whose_unit_was_forgotten_does_not_cost_the_pod(key: str, amount: str, followed: bool) -> None:
    outcome = judged(pod(inject="true", **{key: amount}))
    assert isinstance(outcome, Injection)
    assert (f"annotation tracekeeper.dev/{key} is not followed" in outcome.message) is not followed
    assert ("unit" in outcome.message) is not followed


SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize(
    ("image", "followed"),
    [
        ("r.example/sidecar", True),
        ("r.example:5000/a/b-c/d__e.f:1.2_3-x", True),
        (f"r.example/sidecar@sha256:{SHA}", True),
        (f"r.example/sidecar:1@sha256:{SHA}", True),
        ("team/sidecar:1", True),
        ("r.example/Sidecar:1", False),
        ("r.example//sidecar:1", False),
        ("r.example/../sidecar:1", False),
        ("r.example/sidecar:", False),
        ("r.example/sidecar:1:2", False),
        ("r.example/sidecar:.1", False),
        (f"r.example/sidecar:{'1' * 129}", False),
        ("r.example/sidecar@sha256:0123", False),
        (f"r.example/sidecar@sha256:{SHA.upper()}", False),
        (f"r.example/sidecar@md9:{SHA}", False),
        ("r.example/sidecar/", False),
        ("r.example/-sidecar", False),
        ("r.example:port/sidecar", False),
        (f"r.example/{'a' * 250}", False),
        ("r.example/sidecar:1 ", True),
        ("r.example/side car:1", False),
    ],
)
def test_an_image_that_no_node_could_pull_does_not_cost_the_pod(image: str, followed: bool) -> None:
    options = replace(OPTIONS, registries=("r.example", "r.example:5000", "r.example:port", "team"))
    parsed, _ = parse_manifest(config())
    assert parsed is not None
    outcome = inject(pod(inject="true", image=image), scope([parsed]), options)
    assert isinstance(outcome, Injection)
    assert ("is not followed" not in outcome.message) is followed
    assert (image.strip() in str(outcome.patch)) is followed
    assert overrides.MOST_NAME == 255
