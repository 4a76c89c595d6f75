"""Events: on whom, how often, and what happens when the API server does not want them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, pod
from tracekeeper_operator.access import Access
from tracekeeper_operator.events import QUEUE, REMEMBERED, REPEAT_SECONDS, Events, Notice, Owner, _remember, subject
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import InjectorMetrics
from tracekeeper_operator.tasks import run_until
from waiting import until

REPLICA_SET = Owner("apps/v1", "ReplicaSet", "shop", "app-5f6d", "uid-rs")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


class Rig:
    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.metrics = api, StoodClock(), InjectorMetrics()
        self.events = Events(kube, self.clock, self.metrics.events, "injector", pace=0.0)

    def offer(self, owner: Owner = REPLICA_SET, message: str = "injected", reason: str = "Injected") -> None:
        self.events.offer(Notice(owner, reason, message, warning=False))

    def sent(self) -> list[dict[str, Any]]:
        return [item for key, item in self.api.objects.items() if key[0] == "events"]

    def count(self, result: str) -> float:
        name = "tracekeeper_injector_events_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(run_until(stop, {"events": self.events.run()}))
        try:
            yield
        finally:
            stop.set()
            await task


@pytest.fixture
async def rig(api: Api) -> AsyncIterator[Rig]:
    async with Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


def replica_set(owner: bool = True) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "app-5f6d", "namespace": "shop"}
    if owner:
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app", "uid": "uid-d"}
        meta["ownerReferences"] = [{**deployment, "controller": True}]
    return {"metadata": meta}


async def test_goes_to_the_deployment(rig: Rig) -> None:
    rig.api.put("replicasets", replica_set())
    async with rig.running():
        rig.offer()
        (event,) = await until(rig.sent)
    about = event["involvedObject"]
    assert (about["kind"], about["name"], about["uid"], about["namespace"]) == ("Deployment", "app", "uid-d", "shop")
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Injected", "injected")
    assert event["metadata"]["namespace"] == "shop"
    assert event["source"] == {"component": "tracekeeper"}


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_goes_to_the_replica_set_when_its_owner_is_not_known(rig: Rig, status: int) -> None:
    rig.api.fail("GET", "/app-5f6d", status)
    async with rig.running():
        rig.offer()
        (event,) = await until(rig.sent)
    assert event["involvedObject"]["kind"] == "ReplicaSet"


async def test_a_replica_set_of_nobody_is_the_owner(rig: Rig) -> None:
    rig.api.put("replicasets", replica_set(owner=False))
    async with rig.running():
        rig.offer()
        (event,) = await until(rig.sent)
    assert event["involvedObject"]["name"] == "app-5f6d"


async def test_a_thousand_pods_are_one_event_and_one_look_up(rig: Rig) -> None:
    rig.api.put("replicasets", replica_set())
    async with rig.running():
        for _ in range(1000):
            rig.offer()
        rig.offer(message="another")
        await until(lambda: len(rig.sent()) == 2)
    assert rig.count("repeated") == 999
    assert len(rig.api.requests("GET", "/app-5f6d")) == 1


async def test_two_replica_sets_of_a_deployment_are_one_event(rig: Rig) -> None:
    second = replica_set()
    second["metadata"]["name"] = "app-2"
    rig.api.put("replicasets", replica_set())
    rig.api.put("replicasets", second)
    async with rig.running():
        rig.offer()
        rig.offer(Owner("apps/v1", "ReplicaSet", "shop", "app-2", "uid-rs2"))
        rig.offer(message="last")
        await until(lambda: any(event["message"] == "last" for event in rig.sent()))
    assert len(rig.sent()) == 2


async def test_is_sent_again_after_a_while(rig: Rig) -> None:
    async with rig.running():
        rig.offer()
        await until(rig.sent)
        rig.clock.mono += REPEAT_SECONDS + 1
        rig.offer()
        await until(lambda: len(rig.sent()) == 2)


async def test_a_failure_is_counted_and_the_next_one_sent(rig: Rig) -> None:
    rig.api.fail("POST", "/events", 403, '{"message": "namespace is being terminated"}')
    async with rig.running():
        rig.offer()
        rig.offer(message="next")
        await until(rig.sent)
    assert (rig.count("failed"), rig.count("sent")) == (1, 1)


async def test_the_queue_is_bounded(rig: Rig) -> None:
    for number in range(QUEUE + 10):
        rig.offer(message=str(number))
    assert rig.count("dropped") == 10


def test_the_memory_is_bounded() -> None:
    memory: OrderedDict[int, int] = OrderedDict()
    for number in range(REMEMBERED + 5):
        _remember(memory, number, number)
    assert len(memory) == REMEMBERED
    assert 4 not in memory and REMEMBERED + 4 in memory


async def test_messages_are_bounded(rig: Rig) -> None:
    async with rig.running():
        rig.offer(message="x" * 5000)
        (event,) = await until(rig.sent)
    assert len(event["message"]) <= 1024


def test_the_subject_of_a_pod() -> None:
    assert subject(pod(), "shop") == REPLICA_SET
    alone = {"metadata": {"name": "alone"}}
    assert subject(alone, "shop") == Owner("v1", "Pod", "shop", "alone", "")
    for nameless in ({}, {"metadata": {"generateName": "x-"}}, {"metadata": {"ownerReferences": [1, {}]}}):
        assert subject(nameless, "shop") is None


async def test_a_bare_pod_has_no_uid_yet(rig: Rig) -> None:
    async with rig.running():
        rig.offer(Owner("v1", "Pod", "shop", "alone", ""))
        (event,) = await until(rig.sent)
    assert "uid" not in event["involvedObject"]
