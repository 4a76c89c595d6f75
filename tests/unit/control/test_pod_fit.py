"""What the sidecar asks for: by the rules that the API server and the kubelet hold against it."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api import set_at
from control_objects import OPTIONS, config, pod, scope
from injection_golden import bounds
from tracekeeper_operator import resources
from tracekeeper_operator.bounds import UNBOUND, Limits
from tracekeeper_operator.inject import Injection, Skip, inject
from tracekeeper_operator.pod import parse
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.units import parse_amount

Object = dict[str, Any]
NAMES = ("cpu", "memory", "ephemeral-storage")


def container(requests: Object | None = None, limits: Object | None = None, **more: Any) -> Object:
    section = {"requests": requests, "limits": limits}
    return {
        "name": "app",
        "image": "app:1",
        "resources": {key: value for key, value in section.items() if value},
    } | more


def with_containers(*containers: Object, init: list[Object] | None = None, **spec: Any) -> Object:
    found = pod(inject="true")
    found["spec"] = {"containers": list(containers), "initContainers": init or [], **spec}
    return found


def injected(found: Object, limits: Any = UNBOUND, **spec: Any) -> Object | Skip:
    """The pod after injection."""
    parsed, faults = parse_manifest(config(**spec))
    assert parsed is not None, faults
    outcome = inject(found, scope([parsed]), OPTIONS, bounds=limits)
    if isinstance(outcome, Skip):
        return outcome
    assert isinstance(outcome, Injection)
    for operation in outcome.patch:
        set_at(found, operation["path"], operation["value"])
    return found


def sidecar(found: Object | Skip) -> Object:
    assert not isinstance(found, Skip), found
    (ours,) = [item for item in found["spec"]["initContainers"] if item["name"] == "tracekeeper-sidecar"]
    return dict(ours["resources"])


ALL = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (with_containers(container(ALL, ALL)), True),
        (with_containers(container(None, ALL)), True),
        (with_containers(container(ALL, ALL), container(None, ALL)), True),
        (with_containers(container(ALL, {"cpu": "1000m", "memory": "1024Mi"})), True),
        (with_containers(container(ALL, ALL), init=[container(ALL, ALL)]), True),
        (with_containers(container(ALL, ALL), init=[container()]), False),
        (with_containers(container(ALL, ALL), container()), False),
        (with_containers(container({"cpu": "500m"}, ALL)), False),
        (with_containers(container(ALL, {"cpu": "1"})), False),
        (with_containers(container({"cpu": "0", "memory": "0"}, {"cpu": "0", "memory": "0"})), False),
        (with_containers(container()), False),
        (with_containers(container(), resources={"requests": ALL, "limits": ALL}), True),
        (
            with_containers(container(ALL, ALL), resources={"requests": ALL, "limits": {"cpu": "2", "memory": "1Gi"}}),
            False,
        ),
    ],
)
@pytest.mark.parametrize(
    "sections", [{}, {"resources": {"limits": {"cpu": "2"}}}, {"resources": {"requests": {"cpu": "1"}}}]
)
def test_a_guaranteed_pod_stays_one_and_no_other_becomes_one(found: Object, expected: bool, sections: Object) -> None:
    found = copy.deepcopy(found)
    assert resources.guaranteed(parse(found)) is expected
    after = injected(found, sidecar=sections)
    assert not isinstance(after, Skip)
    assert resources.guaranteed(parse(after)) is expected


def test_a_guaranteed_pod_gets_what_it_takes_to_start_soon() -> None:
    assert sidecar(injected(with_containers(container(None, ALL))))["limits"]["cpu"] == "200m"
    wanted = {"resources": {"requests": {"cpu": "1"}}}
    assert sidecar(injected(with_containers(container(None, ALL)), sidecar=wanted))["limits"]["cpu"] == "1"


CPU = st.sampled_from(["10m", "50m", "100m", "250m", "1", "4"])
MEMORY = st.sampled_from(["32Mi", "64Mi", "100Mi", "256Mi", "1Gi", "4Gi"])
DISK = st.sampled_from(["50Mi", "100Mi", "512Mi", "2Gi", "20Gi"])
AMOUNTS = st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": MEMORY, "ephemeral-storage": DISK})
RATIOS = st.fixed_dictionaries({}, optional={name: st.sampled_from(["1", "1.5", "4"]) for name in NAMES})
ITEM = st.fixed_dictionaries(
    {"type": st.just("Container")}, optional={"default": AMOUNTS, "max": AMOUNTS, "maxLimitRequestRatio": RATIOS}
)
LEAST = st.fixed_dictionaries(
    {}, optional={"cpu": st.just("60m"), "memory": st.just("100Mi"), "ephemeral-storage": st.just("60Mi")}
)
WHOLE = st.fixed_dictionaries({"type": st.just("Pod"), "max": AMOUNTS})
OWN: st.SearchStrategy[Object] = st.one_of(
    st.just({}),
    st.just({"limits": {"cpu": "100m", "memory": "64Mi"}}),
    st.just({"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi", "ephemeral-storage": "50Mi"}}),
)


@given(st.lists(ITEM, max_size=2), LEAST, st.lists(WHOLE, max_size=1), OWN, st.booleans())
def test_no_limit_range_is_broken_by_the_sidecar(
    items: list[Object], least: Object, whole: list[Object], own: Object, on_disk: bool
) -> None:
    """As the API server checks it, after it has filled in what a container leaves out."""
    items = [item | {"min": at_most(least, item.get("max", {}))} for item in items]
    limits = bounds("shop", [{"limits": [item]} for item in (*items, *whole)], [])
    storage = {"storage": {"type": "EmptyDir" if on_disk else "Ephemeral"}}
    after = injected(with_containers({"name": "app", "image": "app:1", "resources": own}), limits, sidecar=storage)
    if isinstance(after, Skip):
        assert after.reason == "NoRoom"
        return
    found = sidecar(after)
    requests, most = amounts(found["requests"]), amounts(found["limits"])
    for item in items:
        for name, amount in amounts(item.get("default", {})).items():
            most.setdefault(name, amount)
        for name, amount in amounts(item.get("max", {})).items():
            assert most[name] <= amount and requests[name] <= amount
    for name in NAMES:
        assert requests[name] <= most.get(name, requests[name])
        for item in items:
            highest = min([amounts(other.get("max", {})).get(name, Decimal("inf")) for other in items])
            assert requests[name] >= min(amounts(item["min"]).get(name, Decimal(0)), highest)
            ratio = item.get("maxLimitRequestRatio", {}).get(name)
            if ratio is not None and requests[name] < highest:
                assert most[name] <= requests[name] * parse_amount(ratio) * Decimal("1.0001")
    for item in whole:
        for name, amount in amounts(item["max"]).items():
            taken = max(amounts(own.get(field, {})).get(name, Decimal(0)) for field in ("requests", "limits"))
            assert taken + max(requests[name], most.get(name, Decimal(0))) <= amount


def at_most(least: Object, most: Object) -> Object:
    return {
        name: amount for name, amount in least.items() if parse_amount(amount) <= parse_amount(most.get(name, "1T"))
    }


def amounts(section: Object) -> dict[str, Decimal]:
    return {name: parse_amount(text) for name, text in section.items()}


def test_a_buffer_that_was_made_smaller_is_smaller_everywhere() -> None:
    limits = bounds("shop", [{"limits": [{"type": "Container", "max": {"ephemeral-storage": "164Mi"}}]}], [])
    after = injected(with_containers(container()), limits)
    assert sidecar(after)["limits"]["ephemeral-storage"] == "164Mi"
    assert not isinstance(after, Skip)
    (volume,) = [item for item in after["spec"]["volumes"] if item["name"] == "tracekeeper-buffer"]
    assert volume["emptyDir"] == {"sizeLimit": "100Mi"}
    assert f"--storage-size={100 * 1024**2 * 95 // 100}" in after["spec"]["initContainers"][0]["args"]


@pytest.mark.parametrize("name", NAMES)
def test_a_ratio_for_the_pod_as_a_whole_is_not_made_worse(name: str) -> None:
    limits = bounds("shop", [{"limits": [{"type": "Pod", "maxLimitRequestRatio": {name: "2"}}]}], [])
    found = sidecar(injected(with_containers(container({"cpu": "1"}, {"cpu": "2"})), limits))
    assert found["requests"][name] == found["limits"][name]


def test_the_share_of_a_budget_counts_what_the_pod_has_already() -> None:
    """A pod's init containers count while they run, its overhead always."""
    limits = bounds("shop", [{"limits": [{"type": "Pod", "max": {"memory": "1Gi"}}]}], [])

    def left(**spec: Any) -> str:
        return str(
            sidecar(injected(with_containers(container(None, {"memory": "500Mi"}), **spec), limits))["limits"]["memory"]
        )

    assert left() == "256Mi"
    assert left(init=[container(None, {"memory": "900Mi"})]) == "124Mi"
    assert left(init=[container(None, {"memory": "400Mi"}, restartPolicy="Always")]) == "124Mi"
    assert left(overhead={"memory": "400Mi"}) == "124Mi"


def test_what_holds_in_a_namespace_follows_its_objects() -> None:
    limits = Limits()

    def named(name: str, **spec: Any) -> Object:
        return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}

    def most() -> Decimal | None:
        found = limits.of("shop").container.get("memory")
        return found.most if found is not None else None

    item = {"type": "Container", "max": {"memory": "1Gi", "cpu": "1n"}}
    limits.ranges.replace([named("a", limits=[item])])
    limits.ranges.put(
        named("b", limits=[{"type": "Container", "max": {"memory": "512Mi"}}, {"type": "PersistentVolumeClaim"}])
    )
    assert most() == 512 << 20
    assert limits.of("other") == UNBOUND
    limits.ranges.remove(named("b"))
    limits.ranges.remove(named("b"))
    assert most() == 1 << 30
    limits.ranges.replace([])
    limits.quotas.put(named("q", hard={"limits.cpu": "4", "pods": "3"}))
    limits.quotas.put(named("odd", hard=None))
    assert (most(), limits.of("shop").needed) == (None, frozenset({"limits.cpu"}))
    limits.quotas.remove(named("q"))
    limits.quotas.remove(named("odd"))
    assert limits.of("shop") == UNBOUND
