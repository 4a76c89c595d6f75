"""Reading which rules Prometheus has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekeeper_operator.alerts import prometheus
from tracekeeper_operator.alerts.prometheus import Groups, PrometheusError, read_rules

Group = dict[str, Any]
PLACE = "shop-tracekeeper-agents-uid.yaml", "tracekeeper/shop/agents"


def answer(groups: list[Group]) -> bytes:
    """As Prometheus sends it."""
    body = {"status": "success", "data": {"groups": groups}}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def group(name: str = PLACE[1], file: str = PLACE[0], **rule: Any) -> Group:
    rules = [{"name": "ManyErrors", "health": "ok", "type": "alerting", **rule}]
    return {"name": name, "file": f"/etc/prometheus/rules/prometheus-k8s-0/{file}", "rules": rules}


@given(
    st.lists(st.dictionaries(st.text(), st.text() | st.lists(st.text(), max_size=3), max_size=3), max_size=6),
    st.integers(1, 50),
)
@settings(max_examples=200, deadline=None)
def test_groups_are_the_same_however_the_answer_is_cut(groups: list[Group], size: int) -> None:
    text, found, scanner = answer(groups), list[Any](), Groups()
    for start in range(0, len(text), size):
        found += scanner.feed(text[start : start + size])
    found += scanner.feed(b"", last=True)
    assert found == groups


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b'{"status":"error","errorType":"internal"}',
        answer([group()])[:-40],
        b'{"data":{"groups":[{"name":"\xff"}]}}',
        b'{"data":{"groups":[nonsense]}}',
    ],
)
def test_what_is_no_answer_is_an_error_and_never_an_empty_answer(text: bytes) -> None:
    scanner = Groups()
    with pytest.raises(PrometheusError):
        list(scanner.feed(text))
        list(scanner.feed(b"", last=True))


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_only_what_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        assert request.headers["Host"].startswith("localhost:")
        found = [group("others"), group(), group(file="mallory-x-uid.yaml", health="err")]
        return web.Response(body=answer(found), content_type="application/json")

    async with serving(handle) as url:
        monkeypatch.setattr(prometheus, "_addresses", _loopback)
        (replica,) = await read_rules(f"{url}/prefix/", {PLACE})
    assert paths == ["/prefix/api/v1/rules"]
    assert list(replica) == [PLACE]
    assert replica[PLACE][0].health == "ok"


async def _loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_every_replica_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        return web.Response(body=answer([group()] if count == 1 else []), content_type="application/json")

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "127.0.0.1"]

    async with serving(handle) as url:
        monkeypatch.setattr(prometheus, "_addresses", two)
        replicas = await read_rules(url, {PLACE})
    assert [PLACE in replica for replica in replicas] == [True, False]


async def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=answer([group(f"group-{number}") for number in range(100)]))

    monkeypatch.setattr(prometheus, "MOST", 1000)
    monkeypatch.setattr(prometheus, "_addresses", _loopback)
    async with serving(handle) as url:
        with pytest.raises(PrometheusError, match="larger than 1000 bytes"):
            await read_rules(url, {PLACE})


@pytest.mark.parametrize("status", [302, 401, 503])
async def test_another_status_is_said(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    monkeypatch.setattr(prometheus, "_addresses", _loopback)
    async with serving(handle) as url:
        with pytest.raises(PrometheusError, match=f"HTTP {status}"):
            await read_rules(url, {PLACE})


async def test_nobody_there() -> None:
    with pytest.raises(PrometheusError):
        await read_rules("http://127.0.0.1:1", {PLACE})
    with pytest.raises(PrometheusError):
        await read_rules("http://no-such-host.invalid:9090", {PLACE})


@pytest.mark.parametrize("url", ["http://x:99999", "http://[x.t.svc:9090", "http://x:port"])
async def test_an_address_that_cannot_be_read_is_said(url: str) -> None:
    with pytest.raises(PrometheusError):
        await read_rules(url, {PLACE})
