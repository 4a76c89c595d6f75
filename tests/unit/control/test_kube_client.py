"""The API client against a server that drops, stalls and lies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from control_api import Api, line, serve
from control_objects import config
from tracekeeper_operator.access import Access
from tracekeeper_operator.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Rejected,
    Unavailable,
)
from tracekeeper_operator.kinds import EVENTS, MUTATING, REPLICA_SETS, SECRETS, TRACING_CONFIGS
from tracekeeper_operator.kube import Kube, WatchEvent


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


@pytest.fixture
async def kube(api: Api) -> AsyncIterator[Kube]:
    async with Kube(Access(api.url, token="t0ken"), timeout=2.0) as kube:
        yield kube


async def test_reads_an_object_with_the_token(api: Api, kube: Kube) -> None:
    api.put("secrets", {"metadata": {"name": "tempo", "namespace": "shop"}, "data": {"token": "eA=="}})
    assert (await kube.get(SECRETS, "shop", "tempo"))["data"] == {"token": "eA=="}
    assert api.seen[-1].path == "/api/v1/namespaces/shop/secrets/tempo"
    assert api.seen[-1].headers["Authorization"] == "Bearer t0ken"


async def test_asks_for_metadata_alone(api: Api, kube: Kube) -> None:
    api.put("replicasets", {"metadata": {"name": "app", "namespace": "shop"}})
    await kube.get(REPLICA_SETS, "shop", "app", metadata_only=True)
    assert "PartialObjectMetadata" in api.seen[-1].headers["Accept"]


async def test_lists_every_page(api: Api, kube: Kube) -> None:
    api.page = 2
    for number in range(5):
        api.put("tracingconfigs", config(f"c{number}"))
    listing = await kube.list(TRACING_CONFIGS)
    assert [item["metadata"]["name"] for item in listing.items] == [f"c{number}" for number in range(5)]
    assert listing.resource_version == str(api.version)
    assert len(api.requests("GET")) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Rejected),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_names_verb_object_and_status(api: Api, kube: Kube, status: int, kind: type[KubeError]) -> None:
    api.fail("GET", "/tempo", status, json.dumps({"message": "the server said so"}), **{"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        await kube.get(SECRETS, "shop", "tempo")
    assert str(caught.value) == f"get secrets shop/tempo: the server said so (HTTP {status})"
    assert caught.value.retry_after == 7.0


async def test_takes_a_text_for_a_message(api: Api, kube: Kube) -> None:
    api.fail("GET", "/tempo", 502, "<h1>bad gateway</h1>")
    with pytest.raises(Unavailable, match="bad gateway"):
        await kube.get(SECRETS, "shop", "tempo")


@pytest.mark.parametrize("body", [b"not json", b"[1, 2]", b"", b"\xff\xfe"])
async def test_garbage_is_unavailable(api: Api, kube: Kube, body: bytes) -> None:
    api.fail("GET", "/tempo", 200, body)
    with pytest.raises(Unavailable, match="get secrets shop/tempo: the answer is not"):
        await kube.get(SECRETS, "shop", "tempo")


async def test_a_list_without_items_is_unavailable(api: Api, kube: Kube) -> None:
    api.fail("GET", "/tracingconfigs", 200, b'{"kind": "Status"}')
    with pytest.raises(Unavailable, match="not a list"):
        await kube.list(TRACING_CONFIGS)


async def test_a_dropped_connection_is_unavailable(api: Api, kube: Kube) -> None:
    for _ in range(2):  # aiohttp itself tries a GET again once
        api.fail("GET", "/tempo", 0)
    with pytest.raises(Unavailable, match="get secrets shop/tempo"):
        await kube.get(SECRETS, "shop", "tempo")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with Kube(Access("http://127.0.0.1:9"), timeout=2.0) as kube:
        with pytest.raises(Unavailable, match="list tracingconfigs of all namespaces"):
            await kube.list(TRACING_CONFIGS)


async def test_applies_with_our_field_manager(api: Api, kube: Kube) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": "p"}, "data": {}}
    await kube.apply(SECRETS, body)
    assert api.seen[-1].query == {"fieldManager": "tracekeeper", "force": "true"}
    assert api.seen[-1].headers["Content-Type"] == "application/apply-patch+yaml"


async def test_patches_without_a_namespace(api: Api, kube: Kube) -> None:
    api.put("mutatingwebhookconfigurations", {"metadata": {"name": "w"}, "webhooks": [{}]})
    await kube.json_patch(MUTATING, None, "w", [{"op": "add", "path": "/webhooks/0/x", "value": 1}])
    assert api.get("mutatingwebhookconfigurations", "", "w")["webhooks"] == [{"x": 1}]


async def test_creates_and_deletes(api: Api, kube: Kube) -> None:
    await kube.create(EVENTS, "shop", {"metadata": {"name": "e", "namespace": "shop"}})
    assert await kube.delete(EVENTS, "shop", "e", uid="u") is True
    assert api.seen[-1].body["preconditions"] == {"uid": "u"}
    assert await kube.delete(EVENTS, "shop", "e") is False


async def follow(kube: Kube, silence: float = 5.0) -> list[WatchEvent]:
    return [event async for event in kube.watch(TRACING_CONFIGS, "1", duration=30, silence=silence)]


def written(*chunks: bytes) -> Any:
    """A watch that sends these chunks and ends."""

    async def script(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)

    return script


async def test_watch_puts_chunks_together(api: Api, kube: Kube) -> None:
    big = config("big", note="x" * 300_000)
    whole = line("ADDED", big) + line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    api.stream(written(whole[:7], whole[7:200_000], whole[200_000:]))
    events = await follow(kube)
    assert [event.type for event in events] == ["ADDED", "BOOKMARK"]
    assert events[0].object == big
    assert api.seen[-1].query["allowWatchBookmarks"] == "true"
    assert api.seen[-1].query["timeoutSeconds"] == "30"


async def test_watch_tells_gone(api: Api, kube: Kube) -> None:
    api.stream(written(line("ERROR", {"code": 410, "message": "too old resource version"})))
    with pytest.raises(Gone, match="too old"):
        await follow(kube)


async def test_watch_tells_other_errors(api: Api, kube: Kube) -> None:
    api.stream(written(line("ERROR", {"code": 500, "message": "etcd is away"})))
    with pytest.raises(Unavailable, match="etcd is away"):
        await follow(kube)


@pytest.mark.parametrize("garbage", [b"{\n", b"null\n", b'{"type": "ADDED"}\n', b'{"type": 1, "object": {}}\n'])
async def test_watch_refuses_garbage(api: Api, kube: Kube, garbage: bytes) -> None:
    api.stream(written(garbage))
    with pytest.raises(Unavailable, match="watch tracingconfigs of all namespaces"):
        await follow(kube)


async def test_watch_notices_silence(api: Api, kube: Kube) -> None:
    with pytest.raises(Unavailable, match="no answer in time"):
        await follow(kube, silence=0.2)


async def test_watch_notices_a_dropped_connection(api: Api, kube: Kube) -> None:
    async def script(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        await response.write(line("ADDED", config()))
        assert request.transport is not None
        request.transport.abort()

    api.stream(script)
    with pytest.raises(Unavailable):
        await follow(kube)


async def test_watch_bounds_a_line(api: Api, kube: Kube) -> None:
    async def script(request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1_000_000)
        except ConnectionError:
            return

    api.stream(script)
    with pytest.raises(Unavailable, match="larger than"):
        await follow(kube)
