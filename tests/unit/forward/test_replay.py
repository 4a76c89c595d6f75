"""Dead letters sent again: what is booked, what goes, and what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from forward_support.rig import Rig, backend, running
from forward_support.servers import HttpBackend, Serve, http_ok
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.log.files import SystemFiles
from waiting import until


async def refusing(body: bytes, request: web.Request) -> web.StreamResponse:
    return web.Response(status=400)


@pytest.fixture
async def server(serve: Serve) -> HttpBackend:
    return await serve(HttpBackend(refusing))


@pytest.fixture
async def rig(tmp_path: Path, server: HttpBackend) -> AsyncIterator[Rig]:
    letters = DeadLetters(str(tmp_path), SystemFiles())
    letters.limit = 1 << 20
    async with running(tmp_path, letters=letters) as made:
        await made.apply([backend("one", server.endpoint, "HTTP", batch={"maxSpans": 5, "maxDelay": "10ms"})])
        yield made


async def test_refused_batches_become_letters_and_are_delivered_later(rig: Rig, server: HttpBackend) -> None:
    await rig.put(5, requests=4)
    await rig.settled()
    assert rig.entry("one").account.dropped == {"refused": 20}
    assert rig.letters.stats().spans == 20
    server.behave = http_ok
    done = await rig.forwarder.replay(30.0)
    assert (done.letters, done.spans, done.left) == (4, 20, [])
    assert Counter(server.taken.ids) == Counter(rig.sent)
    assert rig.letters.stats().letters == 0
    account = rig.entry("one").account
    assert (account.dropped, account.redelivered) == ({"refused": 20}, {"dead_letter": 20})


async def test_what_is_refused_again_stays(rig: Rig, server: HttpBackend) -> None:
    await rig.put(5, requests=2)
    await rig.settled()
    done = await rig.forwarder.replay(30.0)
    assert done.letters == 0
    assert [left.number for left in done.left] == await rig.letters.numbers()
    assert "400" in done.left[0].why
    assert rig.letters.stats().spans == 10


async def test_letters_of_an_entry_that_is_gone_stay(rig: Rig, server: HttpBackend) -> None:
    await rig.put(5)
    await rig.settled()
    server.behave = http_ok
    await rig.apply([backend("two", server.endpoint, "HTTP")])
    done = await rig.forwarder.replay(30.0)
    assert "no delivery entry 'one'" in done.left[0].why
    assert rig.letters.stats().letters == 1


async def test_redelivered_spans_survive_a_restart(rig: Rig, server: HttpBackend, tmp_path: Path) -> None:
    await rig.put(5)
    await rig.settled()
    server.behave = http_ok
    await rig.forwarder.replay(30.0)
    await rig.forwarder.close()
    from tracekeeper_sidecar.log.cursor import CursorStore

    cursor = CursorStore(str(tmp_path), SystemFiles()).load("one")
    assert cursor is not None
    assert cursor.account.redelivered == {"dead_letter": 5}


async def test_spans_are_given_up_after_the_attempts_that_are_allowed(rig: Rig, server: HttpBackend) -> None:
    async def broken(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    server.behave = broken
    retry = {"initialBackoff": "10ms", "maxBackoff": "20ms", "budget": 1, "maxAttempts": 3}
    await rig.apply([backend("one", server.endpoint, "HTTP", retry=retry, circuitBreaker={"state": "Disabled"})])
    await rig.put(5)
    await rig.settled()
    assert rig.entry("one").account.dropped == {"attempts": 5}
    assert server.taken.calls == 3
    assert rig.backend("one").retries == 2
    assert rig.letters.stats().spans == 5
    server.behave = http_ok
    assert (await rig.forwarder.replay(30.0)).spans == 5
    await until(lambda: server.taken.ids == rig.sent, "they have arrived after all")
