"""Secrets of a lender, while a namespace tries another version of what is lent to it, or has halted it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, backend, config, secret
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.canaries import Canaries
from tracekeeper_operator.control.attached import Attached
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.store import Store
from tracekeeper_spec.policy import PolicyDocument

ROLLOUT = {"canaryPercent": 1, "observeFor": "5m"}


class NobodyAttached:
    def pods(self) -> dict[str, Attached]:
        return {}


class Rig:
    """A controller that serves the namespace shop, to which the root namespace lends its default."""

    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.kube, self.clock, self.pods = api, kube, StoodClock(), PodIndex()
        meta = {"namespace": "shop", "name": "app", "uid": "uid-app"}
        self.pods.replace([{"metadata": meta, "status": {}}])
        api.put("pods", {"metadata": meta, "status": {}})
        self.begin()

    def begin(self) -> None:
        """A controller that knows nothing yet."""
        self.store, namespaces = Store(), Namespaces()
        namespaces.replace([])
        canaries = Canaries(self.kube, self.pods, NobodyAttached(), self.clock)
        book = Book(self.store, namespaces, "obs")
        self.reconciler = Reconciler(
            self.kube, self.store, self.clock, ControllerMetrics(), book=book, demand=self.pods, canaries=canaries
        )

    def create(self, manifest: dict[str, Any]) -> None:
        take({"type": "ADDED", "object": self.api.put("tracingconfigs", manifest)}, self.store, self.reconciler)

    def lend(self, generation: int, name: str, **spec: Any) -> None:
        """The root namespace's default delivers with that Secret."""
        lent = {"allowedNamespaces": {"from": "All"}, "backends": [backend("a", name)], **spec}
        self.create(config("root", "obs", generation=generation, **lent))

    def use(self) -> None:
        own = config(rollout=ROLLOUT)
        own["spec"].pop("backends")
        self.create(own)

    def token(self, name: str, value: str) -> None:
        self.api.put("secrets", secret(name, "obs", token=value))

    async def values(self) -> set[bytes]:
        """The tokens that are published in shop after a round."""
        self.clock.wall += 10
        await self.reconciler.round("shop")
        found = self.api.objects["secrets", "shop", "tracekeeper-policy"]
        document = PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"]))
        self.trying = document.configs[0].candidate is not None
        return {value for keys in document.secrets.values() for value in keys.values()}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        it = Rig(api, kube)
        it.token("old", "1")
        it.token("new", "2")
        it.lend(1, "old")
        it.use()
        assert await it.values() == {b"1"}
        yield it


async def test_what_is_held_on_to_has_the_credentials_as_they_are(rig: Rig) -> None:
    rig.lend(2, "new")
    assert await rig.values() == {b"1", b"2"} and rig.trying
    rig.token("old", "rotated")
    assert await rig.values() == {b"rotated", b"2"}
    rig.api.remove("secrets", "obs", "old")
    assert await rig.values() == {b"2"} and rig.trying


async def test_a_secret_of_both_versions_goes_from_both(rig: Rig) -> None:
    rig.lend(2, "old", logLevel="Debug")
    assert await rig.values() == {b"1"} and rig.trying
    rig.api.remove("secrets", "obs", "old")
    assert await rig.values() == set() and rig.trying


async def test_another_controller_leaves_them_as_they_are_published(rig: Rig) -> None:
    rig.lend(2, "new")
    assert await rig.values() == {b"1", b"2"}
    rig.begin()
    rig.lend(2, "new")
    rig.use()
    rig.token("new", "3")
    assert await rig.values() == {b"1", b"3"} and rig.trying


async def test_what_is_published_leads_to_no_secret_that_nobody_lent(rig: Rig) -> None:
    """Others may write what is published, and know how Secrets are called in it."""
    rig.lend(2, "new")
    assert await rig.values() == {b"1", b"2"}
    rig.begin()
    rig.lend(2, "new")
    rig.use()
    rig.token("old", "rotated")
    assert b"rotated" not in await rig.values()
    rig.lend(3, "new", allowedNamespaces={"from": "Same"})
    assert await rig.values() == set()
