"""Zipkin's API over HTTP: what its clients get for an answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from openai_items import spans
from receivers import Serving, serving
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.receive import dialects
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver

SPAN = {
    "traceId": "5af7183fb1d4cf5f",
    "id": "352bff9a74ca9ad2",
    "name": "get /api",
    "timestamp": 1556604172355737,
    "duration": 1431,
    "localEndpoint": {"serviceName": "backend"},
}


@asynccontextmanager
async def own_port(running: Serving) -> AsyncIterator[int]:
    """A port that takes Zipkin's spans and nothing else."""
    taken = dialects.of(str, zipkin=True, parent_from_request=False)
    server = HttpReceiver(running.receiver, dialects=taken.zipkin, otlp=False)
    yield await server.start("127.0.0.1", 0)
    await server.stop(0)


async def post(port: int, content: bytes, path: str = "/api/v2/spans") -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=content, headers={"Content-Type": "application/json; charset=utf-8"}) as response,
    ):
        return response.status, await response.read()


async def test_spans_are_taken_on_both_ports() -> None:
    async with serving() as running, own_port(running) as port:
        for each in (running.http_port, port):
            assert await post(each, json.dumps([SPAN]).encode()) == (202, b"")
        assert [one.name for payload in running.store.payloads for one in spans(payload)] == ["get /api"] * 2


async def test_the_own_port_takes_nothing_else() -> None:
    async with serving() as running, own_port(running) as port:
        for path in ("/v1/traces", "/v1/traces/ingest", "/api/v1/spans"):
            status, said = await post(port, b"{}", path)
            assert status == 404
            assert "POST /api/v2/spans (" in json.loads(said)["message"]


async def test_where_it_is_not_asked_for_there_is_none() -> None:
    assert "/api/v2/spans" not in dialects.of(str, zipkin=False, parent_from_request=False).otlp


async def test_spans_that_are_not_understood_are_named_and_counted() -> None:
    async with serving() as running:
        status, said = await post(running.http_port, json.dumps([SPAN, {**SPAN, "id": "x"}]).encode())
        assert status == 202
        assert json.loads(said)["partialSuccess"] == {
            "rejectedSpans": "1",
            "errorMessage": "[1].id: a string of one character; must be up to 16 hexadecimal digits",
        }
        assert running.ledger.refused == {"malformed": 1}


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"[3]"])
async def test_what_is_not_understood_at_all_is_refused(content: bytes) -> None:
    async with serving() as running:
        status, said = await post(running.http_port, content)
        assert status == 400
        assert json.loads(said)["message"].startswith("not valid as Zipkin: ")


async def test_come_back_later() -> None:
    async with serving() as running:
        running.store.fault = LogUnavailable("read-only", 2.5)
        assert (await post(running.http_port, json.dumps([SPAN]).encode()))[0] == 503
