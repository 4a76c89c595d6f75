"""Injection, decision by decision; whole patches are in test_inject_golden.py."""

from __future__ import annotations

from typing import Any

import pytest

from control_objects import OPTIONS, config, pod, scope
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
