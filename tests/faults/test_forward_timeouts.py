"""A request whose every answer is a timeout: what is behind it passes, and what the config says ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from forward_support.rig import Rig, backend, running
from forward_support.servers import HttpBackend, Serve
from forward_support.spans import ids_of
from waiting import until


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, quota=8 << 20, segment_size=64 << 10) as made:
        yield made


class Choking(HttpBackend):
    """Takes everything but the first spans that it ever gets: those it never answers."""

    def __init__(self) -> None:
        super().__init__(self._choke)
        self.first: list[str] = []
        self.choked = 0

    async def _choke(self, body: bytes, request: web.Request) -> web.StreamResponse:
        ids = ids_of(body)
        self.first = self.first or ids
        if not set(ids).isdisjoint(self.first):
            self.choked += 1
            await asyncio.Event().wait()
        return web.Response()


def one(server: HttpBackend, **retry: Any) -> dict[str, Any]:
    quick = {"initialBackoff": "10ms", "maxBackoff": "50ms", "budget": 1}
    return backend("one", server.endpoint, "HTTP", timeout="500ms", retry={**quick, **retry}, batch={"maxSpans": 5})


async def pinned(rig: Rig, server: Choking) -> None:
    """Everything but the first request is delivered, and the log is kept from there on."""
    await rig.put(5)
    await until(lambda: server.choked, "the first request is on its way")
    for _ in range(60):
        await rig.put(5, size=2000)
    await until(lambda: rig.entry("one").pending == 5, "all the others pass it")
    await until(lambda: rig.entry("one").aside == 1, "it is set aside")
    assert rig.log.begin.seq == 0
    assert rig.log.end.segment > 3
    assert set(server.taken.ids) == set(rig.sent[5:])


async def test_the_log_is_kept_until_max_attempts_ends_it_with_a_dead_letter(rig: Rig, serve: Serve) -> None:
    server = await serve(Choking())
    rig.letters.limit = 1 << 20
    await rig.apply([one(server)])
    await pinned(rig, server)
    tries = server.choked
    await until(lambda: server.choked >= tries + 2, "it is tried on without end")
    assert rig.entry("one").account.dropped == {}
    await rig.apply([one(server, maxAttempts=2)])
    await rig.settled()
    assert rig.entry("one").account.dropped == {"attempts": 5}
    assert rig.letters.stats().spans == 5
    await until(lambda: rig.log.begin.seq > 0, "what it kept is released")


async def test_the_log_is_kept_until_max_age_ends_it(rig: Rig, serve: Serve) -> None:
    server = await serve(Choking())
    rig.letters.limit = 1 << 20
    await rig.apply([one(server)], buffer={"maxAge": "1m"})
    await pinned(rig, server)
    await rig.apply([one(server)], buffer={"maxAge": "1s"})
    await rig.settled()
    assert rig.entry("one").account.dropped == {"expired": 5}
    assert rig.letters.stats().spans == 0
    await until(lambda: rig.log.begin.seq > 0, "what it kept is released")
