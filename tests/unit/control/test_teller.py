"""Statuses are written when they say something new, and for mere counts now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, config
from tracekeeper_operator import teller as module
from tracekeeper_operator.access import Access
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.plan import Assessed, Plan, Published, assess, plan
from tracekeeper_operator.status import Condition, Outcome, Reason
from tracekeeper_operator.store import Store
from tracekeeper_operator.teller import Section, Teller
from waiting import until


class Source:
    """Says what a test says."""

    conditions = ("Delivering",)
    members = ("backends", "ledger")

    def __init__(self) -> None:
        self.section: Section | None = None
        self.asked = 0

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        self.asked += 1
        return self.section

    def now(self, reason: Reason, received: int) -> None:
        found = Condition("Delivering", "True", reason, "said")
        self.section = Section(
            (found,), {"backends": [{"name": "a", "circuit": "Closed"}]}, {"ledger": {"received": received}}
        )


class Rig:
    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.store, self.source = api, StoodClock(), Store(), Source()
        self.metrics = ControllerMetrics()
        self.teller = Teller(
            kube, self.store, self.clock, self.metrics, sources=[self.source], uniform=lambda a, b: 1.0
        )

    async def tell(self) -> None:
        manifests = [self.api.put("tracingconfigs", config())]
        for manifest in manifests:
            self.store.put(manifest)
        decided = plan("shop", assess(manifests, None), {}, Published(None), floor=0, now=self.clock.now())
        assert await self.teller.tell(decided, {}, Outcome()) is None

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get("tracingconfigs", "shop", "agents")["status"]
        return found

    @property
    def writes(self) -> int:
        return len(self.api.requests("PATCH"))

    @property
    def reason(self) -> str | None:
        return next((each["reason"] for each in self.status["conditions"] if each["type"] == "Delivering"), None)

    async def look(self, seconds: float) -> None:
        """Let so much time pass, and the teller look again."""
        asked = self.source.asked
        self.clock.mono += seconds
        self.teller.offer("shop")
        self.clock.mono += module.LEAST_PAUSE + module.GATHER
        self.teller.offer("shop")
        await until(lambda: self.source.asked > asked, "it has looked")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.teller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


async def test_what_a_source_says_is_in_the_status(rig: Rig) -> None:
    rig.source.now(Reason.DELIVERING, 5)
    await rig.tell()
    assert [each["type"] for each in rig.status["conditions"]] == ["Accepted", "ResolvedRefs", "Ready", "Delivering"]
    assert rig.status["ledger"] == {"received": 5}
    assert rig.status["backends"] == [{"name": "a", "circuit": "Closed"}]
    assert rig.writes == 1


async def test_what_it_does_not_know_stays(rig: Rig) -> None:
    rig.source.now(Reason.DELIVERING, 5)
    await rig.tell()
    before = dict(rig.status)
    rig.source.section = None
    async with rig.running():
        await rig.look(module.COUNTS_EVERY)
        await rig.look(0)
    assert rig.status == before and rig.writes == 1


async def test_a_source_that_does_not_know_is_asked_again_soon(rig: Rig) -> None:
    await rig.tell()
    assert rig.reason is None
    rig.source.now(Reason.DELIVERING, 5)
    rig.clock.mono += module.UNKNOWN_AGAIN
    async with rig.running():
        await until(lambda: rig.reason == "Delivering", "it was asked again")


async def test_a_change_is_told_without_a_round(rig: Rig) -> None:
    rig.source.now(Reason.DELIVERING, 5)
    await rig.tell()
    async with rig.running():
        rig.source.now(Reason.DEGRADED, 6)
        await rig.look(0)
        await until(lambda: rig.reason == "Degraded", "it was told")
        assert rig.status["ledger"] == {"received": 6}, "counts go along"
        assert rig.writes == 2


async def test_counts_alone_are_told_every_five_minutes(rig: Rig) -> None:
    rig.source.now(Reason.DELIVERING, 5)
    await rig.tell()
    async with rig.running():
        for received in (6, 7, 8):
            rig.source.now(Reason.DELIVERING, received)
            await rig.look(0)
        assert (rig.status["ledger"], rig.writes) == ({"received": 5}, 1)
        await rig.look(module.COUNTS_EVERY)
        await until(lambda: rig.status["ledger"] == {"received": 8}, "it was told")
        for _ in range(3):
            await rig.look(module.COUNTS_EVERY)
        assert rig.writes == 2, "nothing is new"


async def test_a_config_that_has_changed_meanwhile_waits_for_its_round(rig: Rig) -> None:
    rig.source.now(Reason.DELIVERING, 5)
    await rig.tell()
    rig.store.put(rig.api.put("tracingconfigs", config(logLevel="Debug")))
    async with rig.running():
        rig.source.now(Reason.DEGRADED, 6)
        asked = rig.source.asked
        rig.clock.mono += module.LEAST_PAUSE
        rig.teller.offer("shop")
        rig.clock.mono += module.COUNTS_EVERY
        rig.teller.offer("other")
        await rig.tell()
        assert rig.source.asked > asked
        await until(lambda: rig.reason == "Degraded", "its round has told")
