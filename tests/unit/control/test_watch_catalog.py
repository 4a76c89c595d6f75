"""The injector's memory, and the watch that keeps it true whatever the API server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from control_api import Api, line, serve
from control_objects import config
from tracekeeper_operator.access import Access
from tracekeeper_operator.backoff import Backoff
from tracekeeper_operator.catalog import Catalog
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.kinds import TRACING_CONFIGS
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.tasks import run_until
from tracekeeper_operator.watch import Scope, Watch
from waiting import until


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


@asynccontextmanager
async def watching(api: Api, slack: float = 30.0) -> AsyncIterator[Catalog]:
    catalog, stop = Catalog(), asyncio.Event()
    async with Kube(Access(api.url), timeout=2.0) as kube:
        backoff = Backoff(first=0.02, most=0.05)
        scope, clock = Scope(TRACING_CONFIGS), SystemClock()

        def heard() -> None:
            catalog.synced_at = clock.now()

        watch = Watch(kube, scope, catalog, clock, heard, duration=0.2, slack=slack, backoff=backoff)
        task = asyncio.create_task(run_until(stop, {"watch": watch.run()}))
        try:
            yield catalog
        finally:
            stop.set()
            await task


def names(catalog: Catalog, namespace: str = "shop") -> list[str]:
    return sorted(config.name for config in catalog.of(namespace))


async def test_follows_every_change(api: Api) -> None:
    api.put("tracingconfigs", config("a"))
    async with watching(api) as catalog:
        await until(lambda: names(catalog) == ["a"])
        await until(lambda: api.watchers)
        api.put("tracingconfigs", config("b"))
        await until(lambda: names(catalog) == ["a", "b"])
        api.put("tracingconfigs", config("b", suspend=True))
        await until(lambda: [item.spec.suspend for item in catalog.of("shop") if item.name == "b"] == [True])
        api.remove("tracingconfigs", "shop", "a")
        await until(lambda: names(catalog) == ["b"])
        assert len(catalog) == 1


async def test_goes_on_from_the_version_it_saw_last(api: Api) -> None:
    async def bookmark(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        await response.write(line("BOOKMARK", {"metadata": {"resourceVersion": "777"}}))

    api.stream(bookmark)
    async with watching(api):
        watches = await until(lambda: [item for item in api.seen if "watch" in item.query][1:])
    assert watches[0].query["resourceVersion"] == "777"
    assert len([item for item in api.seen if "limit" in item.query]) == 1


@pytest.mark.parametrize(
    "bad",
    [
        line("ERROR", {"code": 410, "message": "too old resource version"}),
        line("ERROR", {"code": 500, "message": "internal"}),
        b"<html>a proxy's idea of an error</html>\n",
    ],
)
async def test_lists_again_after_a_failed_watch(api: Api, bad: bytes) -> None:
    async def script(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        # What changes here is not told by any event.
        api.objects[("tracingconfigs", "shop", "late")] = config("late")
        del api.objects[("tracingconfigs", "shop", "early")]
        await response.write(bad)

    api.put("tracingconfigs", config("early"))
    api.stream(script)
    async with watching(api) as catalog:
        await until(lambda: names(catalog) == ["late"])


async def test_answers_from_memory_while_the_server_is_away(api: Api) -> None:
    async def drop(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        for _ in range(1000):
            api.fail("GET", "/tracingconfigs", 503, "away")
        assert request.transport is not None
        request.transport.abort()

    api.put("tracingconfigs", config("a"))
    api.stream(drop)
    async with watching(api) as catalog:
        await until(lambda: names(catalog) == ["a"])
        await until(lambda: 0 < len(api.failures) < 998)
        assert names(catalog) == ["a"]
        api.failures.clear()
        await until(lambda: api.watchers)
        api.put("tracingconfigs", config("b"))
        await until(lambda: names(catalog) == ["a", "b"])


async def test_notices_a_watch_that_fell_silent(api: Api) -> None:
    async with watching(api, slack=0.1):
        await until(lambda: len([item for item in api.seen if "limit" in item.query]) >= 3)


async def test_is_not_synced_before_the_first_list(api: Api) -> None:
    for _ in range(1000):
        api.fail("GET", "/tracingconfigs", 403, '{"message": "RBAC"}')
    async with watching(api) as catalog:
        await until(lambda: len(api.seen) >= 3)
        assert catalog.synced_at == 0.0
        api.failures.clear()
        await until(lambda: catalog.synced_at)


async def test_a_server_that_ends_every_watch_is_not_asked_in_a_tight_loop(api: Api) -> None:
    async def end(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)

    for _ in range(1000):
        api.stream(end)
    async with watching(api) as catalog:
        await until(lambda: catalog.synced_at)
        begin = len(api.seen)
        start = asyncio.get_running_loop().time()
        await until(lambda: len(api.seen) >= begin + 10)
        assert asyncio.get_running_loop().time() - start > 0.04


def test_a_config_with_faults_is_its_last_good_version() -> None:
    catalog = Catalog()
    catalog.replace([config("a", generation=1), config("never", backends="no list")])
    catalog.put(config("a", generation=2, logLevel="Loud"))
    assert [(item.name, item.generation) for item in catalog.of("shop")] == [("a", 1)]
    recreated = config("a", logLevel="Loud")
    recreated["metadata"]["uid"] = "another"
    catalog.put(recreated)
    assert catalog.of("shop") == []


def test_after_a_restart_a_config_with_faults_is_none() -> None:
    catalog = Catalog()
    catalog.replace([config("a", generation=2, logLevel="Loud")])
    assert catalog.of("shop") == []


def test_a_list_forgets_what_is_gone() -> None:
    catalog = Catalog()
    catalog.replace([config("a"), config("b", namespace="else")])
    catalog.replace([config("c")])
    assert (names(catalog), names(catalog, "else")) == (["c"], [])
