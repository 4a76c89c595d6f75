"""Breakers, retry budgets and failover against real servers; after each, the ledger closes and nothing is missing."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
from aiohttp import web

from forward_support.rig import Rig, backend
from forward_support.servers import (
    NEVER,
    GrpcBackend,
    HttpBackend,
    Serve,
    failing,
    grpc_hang,
    grpc_ok,
)
from waiting import until

Code = grpc.StatusCode
Context = grpc.aio.ServicerContext


async def test_fails_over_within_an_entry_and_comes_back(rig: Rig, serve: Serve) -> None:
    preferred, standby = await serve(GrpcBackend()), await serve(HttpBackend())
    await rig.apply(
        [backend("preferred", preferred.endpoint), backend("standby", standby.endpoint, "HTTP")],
        {"main": ["preferred", "standby"]},
    )
    first = await rig.put(5)
    await rig.settled()
    assert preferred.taken.ids == first
    assert standby.taken.calls == 0

    await preferred.stop()
    for _ in range(6):
        await rig.put(5)
        await rig.settled()
    assert rig.backend("preferred").transitions["Open"] >= 1
    assert len(standby.taken.ids) == 30

    await preferred.start()
    async with asyncio.timeout(10):
        while rig.backend("preferred").circuit != "Closed":
            await rig.put(1)
            await rig.settled()
    before = standby.taken.calls
    last = await rig.put(5)
    await rig.settled()
    assert preferred.taken.ids[-5:] == last
    assert standby.taken.calls == before
    assert Counter(preferred.taken.ids + standby.taken.ids) == Counter(rig.sent)
    assert set(rig.entry("main").account.delivered) == {"preferred", "standby"}


async def test_open_circuit_sends_straight_to_the_standby(rig: Rig, serve: Serve) -> None:
    async def broken(body: bytes, context: Context[bytes, bytes]) -> bytes:
        await context.abort(Code.UNAVAILABLE, "down")

    preferred, standby = await serve(GrpcBackend(broken)), await serve(GrpcBackend())
    breaker = {"failureThreshold": 3, "openFor": "1h", "maxOpenFor": "1h"}
    await rig.apply(
        [backend("preferred", preferred.endpoint, circuitBreaker=breaker), backend("standby", standby.endpoint)],
        {"main": ["preferred", "standby"]},
    )
    for _ in range(10):
        await rig.put(5)
        await rig.settled()
    assert preferred.taken.calls == 3
    assert Counter(standby.taken.ids) == Counter(rig.sent)
    assert rig.backend("preferred").rejected_calls >= 7
    assert "backend 'preferred'" in rig.backend("preferred").last_error


async def test_stuck_sends_are_seen_before_they_fail(rig: Rig, serve: Serve) -> None:
    """Every call hangs and none has failed yet, nor will the breaker ever open: what is queued goes elsewhere."""

    preferred, standby = await serve(GrpcBackend(grpc_hang)), await serve(GrpcBackend())
    await rig.apply(
        [
            backend("preferred", preferred.endpoint, timeout="4s", circuitBreaker=NEVER, batch={"maxSpans": 2}),
            backend("standby", standby.endpoint),
        ],
        {"main": ["preferred", "standby"]},
    )
    early = await rig.put(2, requests=10)
    await until(lambda: rig.backend("preferred").passed_over, "what waits behind the hanging calls goes elsewhere")
    await rig.settled()
    assert Counter(standby.taken.ids) == Counter(early)
    rig.check_ledger()


async def test_forced_open_sends_nothing_until_it_is_taken_back(rig: Rig, serve: Serve) -> None:
    one, two = await serve(GrpcBackend()), await serve(HttpBackend())

    async def apply(state: str) -> None:
        await rig.apply(
            [
                backend("one", one.endpoint, circuitBreaker={"state": state}),
                backend("two", two.endpoint, "HTTP"),
            ]
        )

    await apply("ForcedOpen")
    await rig.put(5, requests=3)
    await until(lambda: rig.entry("two").pending == 0, "the other entry is served")
    assert (rig.backend("one").circuit, one.taken.calls, rig.entry("one").pending) == ("ForcedOpen", 0, 15)
    assert rig.backend("one").rejected_calls > 0
    await apply("Auto")
    await rig.settled()
    assert Counter(one.taken.ids) == Counter(two.taken.ids) == Counter(rig.sent)


async def test_backend_that_only_fails_is_spared_by_the_retry_budget(rig: Rig, serve: Serve) -> None:
    server = await serve(GrpcBackend(failing(10**9)))
    retry = {"initialBackoff": "10ms", "maxBackoff": "10ms", "budget": 0.2}
    began = asyncio.get_running_loop().time()
    await rig.apply([backend("down", server.endpoint, retry=retry, circuitBreaker=NEVER)])
    await rig.put(5)
    await until(lambda: server.taken.calls > 11, "the budget is spent, and has grown by one")
    calls, seconds = server.taken.calls, asyncio.get_running_loop().time() - began
    assert calls <= 1 + 10 + seconds + 1
    assert rig.backend("down").retries >= 10
    server.behave = grpc_ok
    await rig.settled()
    assert server.taken.ids == rig.sent


async def test_slow_backend_opens_the_circuit_and_loses_nothing(rig: Rig, serve: Serve) -> None:
    """Every answer is a success, and takes longer than the config calls quick."""
    slow = True

    async def drag(body: bytes, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1 if slow else 0)  # the slowness itself, twice what counts as slow
        return web.Response()

    server = await serve(HttpBackend(drag))
    breaker = {"slowCallDuration": "50ms", "minimumCalls": 4, "openFor": "50ms", "maxOpenFor": "100ms"}
    await rig.apply([backend("slow", server.endpoint, "HTTP", batch={"maxSpans": 1}, circuitBreaker=breaker)])
    await rig.put(1, requests=12)
    await until(lambda: ("Open", "slow_call_rate") in rig.backend("slow").changes, "its circuit opens")
    slow = False
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)
    assert rig.entry("slow").account.dropped == {}
