"""Consent by labels, while the labels of namespaces are not known: a controller that has just begun to lead."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, backend, config, pod, secret
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.store import Store
from tracekeeper_spec.policy import PolicyDocument
from waiting import until

Object = dict[str, Any]
ROOT = "observability"
TEAM = {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}
SHOP = {"metadata": {"name": "shop", "labels": {"team": "shop"}}}


class Leader:
    """A controller that has just begun: it knows TracingConfigs and pods, and not yet the namespaces."""

    def __init__(self, api: Api, kube: Kube, clock: StoodClock | SystemClock) -> None:
        self.api, self.store, self.namespaces, self.pods = api, Store(), Namespaces(), PodIndex()
        named = pod(inject="care/lent")
        named["metadata"] |= {"namespace": "shop", "name": "namer", "uid": "uid-namer"}
        self.pods.replace([named])
        book = Book(self.store, self.namespaces, ROOT)
        self.reconciler = Reconciler(kube, self.store, clock, ControllerMetrics(), book=book, demand=self.pods)
        self.namespaces.subscribe(self.reconciler.relabelled)

    def write(self, manifest: Object) -> None:
        take({"type": "ADDED", "object": self.api.put("tracingconfigs", manifest)}, self.store, self.reconciler)

    @property
    def published(self) -> PolicyDocument:
        found = self.api.objects["secrets", "shop", "tracekeeper-policy"]
        return PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"]))

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    for namespace in (ROOT, "care", "shop"):
        api.put("secrets", secret("tempo", namespace, token=f"of-{namespace}"))
    async with serve(api):
        yield api


@pytest.fixture
async def kube(api: Api) -> AsyncIterator[Kube]:
    async with Kube(Access(server=api.url)) as kube:
        yield kube


async def published(api: Api, kube: Kube) -> PolicyDocument:
    """What a leader of before left: all three levels, of which two consent by labels."""
    leader = Leader(api, kube, StoodClock())
    leader.namespaces.replace([SHOP])
    level: Object = {"enforced": ["LogLevel"], "logLevel": "Error"}
    leader.write(config("default", ROOT, backends=[backend("a", "tempo")], allowedNamespaces=TEAM, **level))
    leader.write(config("lent", "care", backends=[backend("a", "tempo")], allowedNamespaces=TEAM))
    leader.write(config("own", "shop", selector={"matchLabels": {"app": "own"}}, logLevel="Debug"))
    await leader.reconciler.round("shop")
    document = leader.published
    assert len(document.secrets) == 2 and [entry.name for entry in document.configs] == ["own", "default"]
    assert all(entry.spec["logLevel"] == "Error" for entry in (*document.configs, *document.named))
    return document


async def test_a_round_takes_nothing_back_whose_consent_it_cannot_judge(api: Api, kube: Kube) -> None:
    before = await published(api, kube)
    restarted = Leader(api, kube, StoodClock())
    await restarted.reconciler.list_once()
    await restarted.reconciler.round("shop")
    assert restarted.published == before
    # What it can judge, it does.
    restarted.write(config("lent", "care", generation=2, allowedNamespaces={"from": "Same"}))
    await restarted.reconciler.round("shop")
    assert restarted.published.named[0].retired and len(restarted.published.secrets) == 1
    assert restarted.published.configs == before.configs
    # And with the labels, all of it.
    restarted.namespaces.replace([{"metadata": {"name": "shop", "labels": {"team": "other"}}}])
    await restarted.reconciler.round("shop")
    assert restarted.published.secrets == {}
    assert {entry.name: entry.retired for entry in restarted.published.configs} == {"own": False, "default": True}
    assert restarted.published.configs[0].spec["logLevel"] == "Debug"


async def test_a_new_leader_waits_for_the_namespaces_and_never_retires_what_is_lent(api: Api, kube: Kube) -> None:
    before = await published(api, kube)
    restarted = Leader(api, kube, SystemClock())
    await restarted.reconciler.list_once()
    reads = len(api.requests("GET", "/namespaces/shop/secrets/tracekeeper-policy"))
    async with restarted.leading():
        for _ in range(100):
            await asyncio.sleep(0)
        assert not restarted.namespaces.synced
        assert len(api.requests("GET", "/namespaces/shop/secrets/tracekeeper-policy")) == reads
        restarted.namespaces.replace([SHOP])
        await until(lambda: len(api.requests("GET", "/namespaces/shop/secrets/tracekeeper-policy")) > reads)
        restarted.write(config("own", "shop", generation=2, selector={"matchLabels": {"app": "own"}}, suspend=True))
        await until(lambda: restarted.published.revision > before.revision)
    after = restarted.published
    assert not any(entry.retired for entry in (*after.configs, *after.named)) and after.secrets == before.secrets


async def test_a_cluster_without_namespaces_is_known_too(api: Api, kube: Kube) -> None:
    leader = Leader(api, kube, SystemClock())
    leader.write(config("own", "shop"))
    async with leader.leading():
        leader.namespaces.replace([])
        await until(lambda: ("secrets", "shop", "tracekeeper-policy") in api.objects)
