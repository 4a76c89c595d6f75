"""Evicting pods whose sidecar stays on an old policy: which, when, and how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods import renew
from tracekeeper_operator.pods.attempts import GIVE_UP
from tracekeeper_operator.pods.evictions import REFUSED
from tracekeeper_operator.pods.facts import PodFacts
from tracekeeper_operator.pods.index import PodIndex

Object = dict[str, Any]
NEWEST = 7


@dataclass
class Sidecar:
    """What a sidecar says of itself."""

    revision: int
    silent: bool = False
    unscraped: bool = False
    at_floor: bool = False


def pod(name: str, owner: str = "app", kind: str = "ReplicaSet", age: int = 0) -> Object:
    """An injected pod; of two, the one of greater `age` is older."""
    owners = [
        {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": f"uid-{owner}", "controller": True},
    ]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "creationTimestamp": f"2025-12-31T{23 - age // 60:02}:{59 - age % 60:02}:00Z",
            "labels": {"tracekeeper.dev/injected": "true"},
            "annotations": {"tracekeeper.dev/inject": "true"},
            "ownerReferences": owners if kind else [],
        }
    }


class Rig:
    """A cluster, and what looks after it."""

    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.metrics, self.index = api, StoodClock(), ControllerMetrics(), PodIndex()
        self.sidecars: dict[str, Sidecar] = {}
        self.wanted = self.answering = True
        self.unhelped: set[str] = set()
        """Namespaces in which a new pod would get no sidecar."""
        self.renew = renew.Renew(
            kube,
            self.index,
            lambda: self.sidecars,
            lambda namespace: NEWEST,
            lambda pod: self.wanted,
            self._answers,
            self.clock,
            self.metrics,
        )

    async def _answers(self, namespace: str) -> bool:
        return self.answering and namespace not in self.unhelped

    def there(self, manifest: Object, revision: int | None = NEWEST - 1) -> None:
        """A pod, whose sidecar is attached unless `revision` is None."""
        self.index.put(self.api.put("pods", manifest))
        if revision is not None:
            self.sidecars[manifest["metadata"]["uid"]] = Sidecar(revision)

    async def later(self, wait: float = renew.BEHIND) -> PodFacts | None:
        """Look now, and again after a while."""
        assert await self.renew.once() is None
        return await self.after(wait)

    async def after(self, wait: float) -> PodFacts | None:
        self.clock.mono += wait
        gone = await self.renew.once()
        if gone is not None:
            self.index.remove(in_namespace(gone.namespace, pod(gone.name)))
            self.sidecars.pop(gone.uid)
        return gone

    def evicted(self) -> list[str]:
        return [seen.body["metadata"]["name"] for seen in self.api.requests("POST", "/eviction")]

    def count(self, result: str) -> float:
        name = "tracekeeper_controller_repairs_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


async def test_a_pod_goes_when_its_sidecar_has_not_taken_the_policy_for_long(rig: Rig) -> None:
    rig.there(pod("app-0"))
    assert await rig.later(renew.BEHIND - 1) is None
    gone = await rig.after(1)
    assert gone is not None and rig.evicted() == ["app-0"]
    (asked,) = rig.api.requests("POST", "/eviction")
    assert asked.body["deleteOptions"] == {"preconditions": {"uid": "uid-of-app-0"}}
    assert rig.count("evicted") == 1


@pytest.mark.parametrize(
    ("kind", "revision", "wanted", "answering"),
    [
        ("ReplicaSet", NEWEST, True, True),
        ("ReplicaSet", None, True, True),
        ("Job", 1, True, True),
        ("", 1, True, True),
        ("ReplicaSet", 1, False, True),
        ("ReplicaSet", 1, True, False),
    ],
)
async def test_no_pod_goes_that_is_current_unknown_unwanted_or_would_not_be_replaced(
    rig: Rig, kind: str, revision: int | None, wanted: bool, answering: bool
) -> None:
    rig.wanted, rig.answering = wanted, answering
    rig.there(pod("app-0", kind=kind), revision)
    assert await rig.later() is None
    assert rig.evicted() == []


async def test_a_sidecar_that_takes_policies_and_is_only_slow_is_left_alone(rig: Rig) -> None:
    rig.there(pod("app-0"), 1)
    for revision in range(2, NEWEST):
        assert await rig.after(renew.BEHIND - 1) is None
        rig.sidecars["uid-of-app-0"].revision = revision
    assert rig.evicted() == []


async def test_the_next_pod_of_an_owner_goes_when_the_new_one_is_current_and_others_meanwhile(rig: Rig) -> None:
    for number in range(3):
        rig.there(pod(f"app-{number}", age=90 - number))
    rig.there(pod("other-0", owner="other"))
    assert await rig.later() is not None
    assert await rig.after(renew.EVERY) is not None
    assert rig.evicted() == ["app-0", "other-0"]
    assert await rig.after(renew.EVERY) is None, "nobody knows yet whether it has helped"
    rig.there(pod("app-new"), NEWEST)
    assert await rig.after(renew.EVERY) is not None
    assert rig.evicted() == ["app-0", "other-0", "app-1"]


async def test_an_owner_whose_new_pod_is_behind_too_loses_one_an_hour(rig: Rig) -> None:
    for number in range(3):
        rig.there(pod(f"app-{number}", age=90 - number))
    made = 0
    for _ in range(int(2.5 * GIVE_UP / renew.EVERY)):
        if await rig.after(renew.EVERY) is not None:
            made += 1
            rig.there(pod(f"new-{made}"))
    assert rig.evicted() == ["app-0", "app-1", "app-2"]


async def test_a_disruption_budget_is_respected(rig: Rig) -> None:
    rig.there(pod("app-0", age=9))
    rig.there(pod("other-0", owner="other"))
    rig.api.fail("POST", "/pods/app-0/eviction", 429, '{"message": "Cannot evict pod: it would violate the budget"}')
    assert await rig.later() is None
    assert rig.count("refused") == 1
    assert (await rig.after(1)) is not None
    assert rig.evicted() == ["app-0", "other-0"]
    assert await rig.after(REFUSED) is not None
    assert rig.evicted() == ["app-0", "other-0", "app-0"]


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, NEWEST)), max_size=30)


@given(STEPS)
def test_whoever_is_said_to_lag_has_stood_still_since(steps: list[tuple[int, int]]) -> None:
    """Against a plain account of what each sidecar has said at every look."""
    index = PodIndex()
    index.replace([pod(f"app-{number}") for number in range(4)])
    lags: dict[str, renew.Lag] = {}
    said: list[dict[str, int]] = [{}]
    for now, (number, revision) in enumerate(steps):
        said.append({**said[-1], f"uid-of-app-{number}": revision})
        attached = {uid: Sidecar(each) for uid, each in said[-1].items()}
        lags = renew.lagging(lags, index.all(), attached, {"shop": NEWEST}, float(now))
        assert lags.keys() == {uid for uid, each in said[-1].items() if each < NEWEST}
        for uid, lag in lags.items():
            since = int(lag.since)
            assert {look[uid] for look in said[since + 1 :]} == {lag.revision}
            assert said[since].get(uid) != lag.revision


async def test_pods_that_may_not_go_or_would_get_no_sidecar_stop_no_others(rig: Rig) -> None:
    for number, namespace in enumerate(("shop", "else")):
        rig.there(in_namespace(namespace, pod(f"held-{number}", owner=f"db-{number}", age=90)))
    rig.there(in_namespace("fine", pod("app-0", owner="app")))
    rig.unhelped = {"else"}
    for _ in range(10):
        rig.api.fail("POST", "/pods/held-0/eviction", 429, '{"message": "it would violate the budget"}')
    assert await rig.later() is None
    gone = [await rig.after(renew.EVERY) for _ in range(3)]
    assert [each.name for each in gone if each is not None] == ["app-0"]


def in_namespace(namespace: str, manifest: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
