"""The Lease held against an API server: who leads, who stands by, how the lead changes hands, and who has the label."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from tracekeeper_operator.access import Access
from tracekeeper_operator.badge import Badge
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.errors import LeadLost, Unavailable
from tracekeeper_operator.kinds import CONFIG_MAPS
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.leadership import Leadership
from tracekeeper_operator.lease import Record, Terms
from waiting import until

SHORT = Terms(duration=0.6)
"""Others wait for a second all the same: a Lease says whole ones."""
LONG = Terms(duration=300.0)


class Candidate:
    """One process, as far as the lead goes."""

    def __init__(self, api: Api, name: str, terms: Terms) -> None:
        self.kube = Kube(Access(api.url), timeout=5.0)
        self.lead = Leadership(self.kube, "tk", "lease", name, SystemClock(), terms)
        self.fenced = Kube(Access(api.url), timeout=5.0, fence=self.lead.held)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.lead.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def lost(self) -> str:
        assert self.task is not None
        with pytest.raises(LeadLost) as caught:
            async with asyncio.timeout(30):
                await self.task
        return str(caught.value)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


@asynccontextmanager
async def candidates(api: Api, *names: str, terms: Terms = SHORT) -> AsyncIterator[list[Candidate]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            it = Candidate(api, name, terms)
            await stack.enter_async_context(it.kube)
            await stack.enter_async_context(it.fenced)
            stack.push_async_callback(it.stop)
            found.append(it)
        yield found


def chart(api: Api) -> None:
    """The Lease as the chart makes it."""
    api.put("leases", {"metadata": {"namespace": "tk", "name": "lease"}})


def spec(api: Api) -> Any:
    return api.get("leases", "tk", "lease")["spec"]


async def test_takes_what_nobody_had_and_renews_it(api: Api) -> None:
    chart(api)
    async with candidates(api, "a") as (a,):
        assert not a.lead.held() and a.lead.problem == "nobody leads yet"
        a.start()
        await until(a.lead.acquired.is_set)
        first = dict(spec(api))
        assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("a", 1, 1)
        assert first["acquireTime"] == first["renewTime"] and first["renewTime"].endswith("Z")
        await until(lambda: spec(api)["renewTime"] != first["renewTime"])
        assert {**spec(api), "renewTime": ""} == {**first, "renewTime": ""}
        assert a.lead.held() and a.lead.problem == ""


async def test_makes_the_lease_where_there_is_none_after_whoever_had_it_would_have_stopped(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        a.start()
        await until(a.lead.acquired.is_set)
        assert len(api.requests("GET", "/leases/lease")) >= 2
        assert spec(api)["holderIdentity"] == "a"


async def test_a_standby_waits_and_takes_over_when_nothing_is_heard(api: Api) -> None:
    chart(api)
    async with candidates(api, "a", "b") as (a, b):
        a.start()
        await until(a.lead.acquired.is_set)
        b.start()
        await until(lambda: b.lead.problem == "a leads")
        await a.stop()
        assert not b.lead.acquired.is_set()
        await until(b.lead.acquired.is_set)
        assert not a.lead.held()
        assert (spec(api)["holderIdentity"], spec(api)["leaseTransitions"]) == ("b", 2)


async def test_what_is_given_back_is_taken_at_once(api: Api) -> None:
    chart(api)
    async with candidates(api, "a", terms=LONG) as (a,), candidates(api, "b") as (b,):
        a.start()
        await until(a.lead.acquired.is_set)
        b.start()
        await until(lambda: b.lead.problem == "a leads")
        await a.stop()
        await a.lead.release()
        assert spec(api)["holderIdentity"] in ("", "b")
        await until(b.lead.acquired.is_set)
        # Whoever does not lead has nothing to give back.
        await a.lead.release()
        assert spec(api)["holderIdentity"] == "b"


async def test_of_two_at_a_time_one_leads(api: Api) -> None:
    chart(api)
    async with candidates(api, *"abcde", terms=Terms(duration=3.0)) as all_of_them:
        for candidate in all_of_them:
            candidate.start()
        await until(lambda: all(it.lead.held() or it.lead.problem.endswith(" leads") for it in all_of_them))
        assert sum(it.lead.held() for it in all_of_them) == 1


async def test_it_is_over_when_somebody_else_has_it(api: Api) -> None:
    chart(api)
    async with candidates(api, "a") as (a,):
        a.start()
        await until(a.lead.acquired.is_set)
        api.put("leases", {**api.get("leases", "tk", "lease"), "spec": {**spec(api), "holderIdentity": "thief"}})
        assert await a.lost() == "lost the lease tk/lease: thief leads now; ending, to begin anew as a standby"
        assert spec(api)["holderIdentity"] == "thief"


async def test_it_is_over_when_the_api_server_does_not_answer_and_nothing_is_written_any_more(api: Api) -> None:
    chart(api)
    async with candidates(api, "a") as (a,):
        a.start()
        await until(a.lead.acquired.is_set)
        body = {"metadata": {"namespace": "tk", "name": "x"}, "data": {}}
        await a.fenced.create(CONFIG_MAPS, "tk", body)
        for _ in range(1000):
            api.fail("PATCH", "/leases/lease", 500)
            api.fail("GET", "/leases/lease", 0)
        assert "no renewal was answered with yes within 0.4 s" in await a.lost()
        assert not a.lead.held()
        writes = len(api.requests("POST"))
        with pytest.raises(Unavailable, match="does not lead any more"):
            await a.fenced.create(CONFIG_MAPS, "tk", {**body, "metadata": {"namespace": "tk", "name": "y"}})
        assert len(api.requests("POST")) == writes
        assert await a.fenced.get(CONFIG_MAPS, "tk", "x")


async def test_a_standby_outlives_an_api_server_that_is_away(api: Api) -> None:
    chart(api)
    async with candidates(api, "a") as (a,):
        for status in (500, 0, 403, 429):
            api.fail("GET", "/leases/lease", status)
        api.fail("PATCH", "/leases/lease", 409)
        a.start()
        await until(a.lead.acquired.is_set)
        assert not api.failures


@pytest.mark.parametrize("found", [None, "x", {"holderIdentity": 7, "leaseDurationSeconds": "long"}])
def test_a_lease_that_makes_no_sense_is_read_all_the_same(found: object) -> None:
    record = Record.of({"metadata": {"resourceVersion": "1"}, "spec": found})
    assert (record.version, record.duration, record.transitions) == ("1", 0.0, 0)


def pods(api: Api) -> dict[str, object]:
    """Who has the label."""
    found = {key[2]: item["metadata"]["labels"] for key, item in api.objects.items() if key[0] == "pods"}
    return {name: labels.get("tracekeeper.dev/leader") for name, labels in found.items()}


@pytest.fixture
def badges(api: Api) -> dict[str, Any]:
    """Pods of an earlier time: both have the label, which the one that led last could not take from the other."""
    for name in ("pod-a", "pod-b", "pod-c"):
        labels = {"app": "x"} if name == "pod-c" else {"app": "x", "tracekeeper.dev/leader": "true"}
        api.put("pods", {"metadata": {"namespace": "tk", "name": name, "labels": labels}})
    return pods(api)


async def test_the_label_is_the_leaders_alone(api: Api, badges: dict[str, Any]) -> None:
    chart(api)
    opened = asyncio.Event()
    async with candidates(api, "a", terms=LONG) as (a,):
        badge = Badge(a.kube, "tk", "pod-a", a.lead, opened.wait, period=0.05)
        running = asyncio.create_task(badge.run())
        await until(lambda: pods(api) == {"pod-a": None, "pod-b": "true", "pod-c": None})
        assert badges != pods(api)
        a.start()
        await until(a.lead.acquired.is_set)
        # Nobody is led to it before it listens.
        assert pods(api) == {"pod-a": None, "pod-b": "true", "pod-c": None}
        opened.set()
        await until(lambda: pods(api) == {"pod-a": "true", "pod-b": None, "pod-c": None})
        api.put(
            "pods", {"metadata": {"namespace": "tk", "name": "pod-c", "labels": {"tracekeeper.dev/leader": "true"}}}
        )
        api.put("pods", {"metadata": {"namespace": "tk", "name": "pod-a", "labels": {"app": "x"}}})
        api.fail("PATCH", "/pods/pod-c", 500)
        await until(lambda: pods(api) == {"pod-a": "true", "pod-b": None, "pod-c": None})
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_standby_takes_the_label_from_nobody(api: Api, badges: dict[str, Any]) -> None:
    async with candidates(api, "c") as (c,):
        await Badge(c.kube, "tk", "pod-c", c.lead, asyncio.Event().wait).once()
        assert pods(api) == badges
