"""Backends that misbehave on purpose, as real servers; after each, the ledger closes and nothing is missing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from forward_support.rig import Rig, backend
from forward_support.servers import (
    NEVER,
    GrpcBackend,
    HttpBackend,
    RawBackend,
    Serve,
    failing,
    grpc_hang,
    grpc_ok,
    http_ok,
    read_http_request,
    reset,
    status_with_retry_info,
)
from waiting import attempted, turns, until

Code = grpc.StatusCode
Context = grpc.aio.ServicerContext


async def test_hanging_backend_delays_nobody_else(rig: Rig, serve: Serve) -> None:
    dead, well = await serve(GrpcBackend(grpc_hang)), await serve(GrpcBackend())
    await rig.apply([backend("dead", dead.endpoint, timeout="200ms"), backend("well", well.endpoint)])
    ids = await rig.put(10, requests=50)
    await until(lambda: len(well.taken.ids) == len(ids), "the other entry is served")
    assert Counter(well.taken.ids) == Counter(ids)
    await until(lambda: rig.entry("well").pending == 0, "its answer is in")
    assert rig.entry("dead").pending == len(ids)
    rig.check_ledger()
    dead.behave = grpc_ok
    await rig.settled()
    assert set(dead.taken.ids) == set(ids)


async def test_flapping_backend(rig: Rig, serve: Serve) -> None:
    calls = 0

    async def flap(body: bytes, request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.Response(status=200 if calls % 3 == 0 else 503)

    server = await serve(HttpBackend(flap))
    await rig.apply([backend("flapping", server.endpoint, "HTTP")])
    for _ in range(10):
        await rig.put(20)
        await turns()
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)


@pytest.mark.parametrize("size", [10, 2000])
async def test_resets_in_the_middle(rig: Rig, serve: Serve, size: int) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server.connections <= 6:
            await reader.read(1)
            reset(writer)
            return
        while True:
            bodies.append(await read_http_request(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    bodies: list[bytes] = []
    server = RawBackend(rude)
    await serve(server)
    await rig.apply([backend("rude", server.endpoint, "HTTP")])
    await rig.put(100, size=size)
    await rig.settled()
    assert rig.entry("rude").account.delivered["rude"] == 100


async def at_most_3000(body: bytes, request: web.Request) -> web.StreamResponse:
    """Takes requests of so many bytes."""
    return web.Response(status=413 if len(body) > 3000 else 200)


async def test_413_splits_down_to_what_fits(rig: Rig, serve: Serve) -> None:
    server = await serve(HttpBackend(at_most_3000))
    await rig.apply([backend("strict", server.endpoint, "HTTP")])
    ids = await rig.put(400)
    await rig.settled()
    assert server.taken.ids == ids
    assert rig.entry("strict").account.dropped == {}
    assert rig.backend("strict").circuit == "Closed"


async def test_limit_that_was_learned_spares_later_refusals(rig: Rig, serve: Serve) -> None:
    server = await serve(HttpBackend(at_most_3000))
    await rig.apply([backend("strict", server.endpoint, "HTTP")])
    await rig.put(400)
    await rig.settled()
    first = rig.backend("strict").calls["too_large"]
    assert 0 < rig.backend("strict").request_limit <= 3000
    await rig.put(400)
    await rig.settled()
    assert server.taken.ids == rig.sent
    assert rig.backend("strict").calls["too_large"] - first <= min(3, first - 1)
    assert rig.backend("strict").circuit == "Closed"


async def test_a_single_span_that_is_too_large_is_dropped_alone(rig: Rig, serve: Serve) -> None:
    server = await serve(HttpBackend(at_most_3000))
    await rig.apply([backend("strict", server.endpoint, "HTTP")])
    small = await rig.put(30)
    large = await rig.put(1, size=5000)
    more = await rig.put(30)
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(small + more)
    assert not set(server.taken.ids) & set(large)
    assert rig.entry("strict").account.dropped == {"too_large": 1}


async def test_grpc_message_limit_splits(rig: Rig, serve: Serve) -> None:
    server = await serve(GrpcBackend(max_bytes=3000))
    await rig.apply([backend("strict", server.endpoint)])
    ids = await rig.put(400)
    large = await rig.put(1, size=5000)
    more = await rig.put(10)
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(ids + more)
    assert len(large) == 1
    assert rig.entry("strict").account.dropped == {"too_large": 1}


async def test_rate_limit_disguised_as_too_large_loses_nothing(rig: Rig, serve: Serve) -> None:
    """Some backends answer RESOURCE_EXHAUSTED without RetryInfo when they mean: slower."""
    calls = 0

    async def limited(body: bytes, context: Context[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += 1
        if 3 < calls < 300 and calls % 8:
            await context.abort(Code.RESOURCE_EXHAUSTED, "rate limit")
        return b""

    server = await serve(GrpcBackend(limited))
    await rig.apply([backend("limited", server.endpoint, batch={"maxSpans": 5, "maxDelay": "10ms"})])
    await rig.put(5, requests=30)
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)
    assert rig.entry("limited").account.dropped == {}
    assert rig.backend("limited").circuit == "Closed"


async def test_backend_that_fails_at_random_loses_nothing(rig: Rig, serve: Serve) -> None:
    """500 as often as not, on any request: whoever meets it several times in a row is unlucky, not poison."""
    chance = random.Random(1)

    async def moody(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if chance.random() < 0.6 else 200)

    server = await serve(HttpBackend(moody))
    await rig.apply([backend("moody", server.endpoint, "HTTP", batch={"maxSpans": 1}, circuitBreaker=NEVER)])
    await rig.put(1, requests=150)
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)
    assert rig.entry("moody").account.dropped == {}


@pytest.mark.parametrize("header", ["1", None])
async def test_throttling_is_honoured_and_opens_nothing(rig: Rig, serve: Serve, header: str | None) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def throttle(body: bytes, request: web.Request) -> web.StreamResponse:
        times.append(loop.time())
        if len(times) > 1:
            return web.Response()
        return web.Response(status=429, headers={"Retry-After": header} if header else {})

    server = await serve(HttpBackend(throttle))
    await rig.apply([backend("busy", server.endpoint, "HTTP")])
    await rig.put(10)
    await rig.settled()
    assert server.taken.ids == rig.sent
    if header:
        assert times[1] - times[0] >= float(header)
    assert rig.backend("busy").transitions == {}
    assert rig.backend("busy").calls == {"throttled": 1, "sent": 1}


async def test_retry_info_is_honoured(rig: Rig, serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def throttle(body: bytes, context: Context[bytes, bytes]) -> bytes:
        times.append(loop.time())
        if len(times) == 1:
            detail = status_with_retry_info(Code.RESOURCE_EXHAUSTED, 0.5)
            await context.abort(Code.RESOURCE_EXHAUSTED, "later", (("grpc-status-details-bin", detail),))
        return b""

    server = await serve(GrpcBackend(throttle))
    await rig.apply([backend("busy", server.endpoint)])
    await rig.put(10)
    await rig.settled()
    assert server.taken.ids == rig.sent
    assert times[1] - times[0] >= 0.5


async def test_throttled_preferred_backend_is_passed_over(rig: Rig, serve: Serve) -> None:
    async def throttle(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "600"})

    preferred, standby = await serve(HttpBackend(throttle)), await serve(HttpBackend())
    await rig.apply(
        [backend("preferred", preferred.endpoint, "HTTP"), backend("standby", standby.endpoint, "HTTP")],
        {"main": ["preferred", "standby"]},
    )
    for _ in range(5):
        await rig.put(5)
        await rig.settled()
    assert preferred.taken.calls == 1
    assert standby.taken.ids == rig.sent


async def test_partial_success_is_counted_and_never_sent_again(rig: Rig, serve: Serve) -> None:
    async def picky(body: bytes, context: Context[bytes, bytes]) -> bytes:
        partial = ExportTracePartialSuccess(rejected_spans=4, error_message="too old")
        return ExportTraceServiceResponse(partial_success=partial).SerializeToString()

    server = await serve(GrpcBackend(picky))
    await rig.apply([backend("picky", server.endpoint)])
    await rig.put(10)
    await rig.settled()
    assert server.taken.calls == 1
    assert rig.entry("picky").account.delivered == {"picky": 6}
    assert rig.entry("picky").account.dropped == {"rejected": 4}
    assert rig.backend("picky").rejected_spans == 4
    assert "too old" in rig.backend("picky").last_error


async def test_absurd_partial_success_keeps_the_ledger_closed(rig: Rig, serve: Serve) -> None:
    async def liar(body: bytes, context: Context[bytes, bytes]) -> bytes:
        partial = ExportTracePartialSuccess(rejected_spans=2**62)
        return ExportTraceServiceResponse(partial_success=partial).SerializeToString()

    server = await serve(GrpcBackend(liar))
    await rig.apply([backend("liar", server.endpoint)])
    await rig.put(10)
    await rig.settled()
    assert rig.entry("liar").account.dropped == {"rejected": 10}


async def test_oversized_answers_do_not_repeat_the_spans(rig: Rig, serve: Serve) -> None:
    async def shout(body: bytes, context: Context[bytes, bytes]) -> bytes:
        return b"\x12" * (5 << 20)

    async def shout_http(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x12" * (5 << 20), content_type="application/x-protobuf")

    one, two = await serve(GrpcBackend(shout)), await serve(HttpBackend(shout_http))
    await rig.apply([backend("one", one.endpoint), backend("two", two.endpoint, "HTTP")])
    await rig.put(10)
    await rig.settled()
    assert one.taken.ids == two.taken.ids == rig.sent


async def test_slow_drip_is_cut_off_by_the_timeout(rig: Rig, serve: Serve) -> None:
    async def drip(body: bytes, request: web.Request) -> web.StreamResponse:
        if server.taken.calls > 2:
            return web.Response()
        response = web.StreamResponse(status=503, headers={"Content-Length": "1000"})
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.05)  # the drip itself: 50 s for an answer that may take 0.3
        return response

    server = await serve(HttpBackend(drip))
    await rig.apply([backend("slow", server.endpoint, "HTTP", timeout="300ms")])
    await rig.put(10)
    await rig.settled()
    assert server.taken.ids == rig.sent


async def test_invalid_spans_are_dropped_and_the_rest_goes_on(rig: Rig, serve: Serve) -> None:
    async def judge(body: bytes, context: Context[bytes, bytes]) -> bytes:
        if len(body) > 2000:
            await context.abort(Code.INVALID_ARGUMENT, "name is too long")
        return b""

    server = await serve(GrpcBackend(judge))
    await rig.apply([backend("judge", server.endpoint, batch={"maxSpans": 1})])
    good = await rig.put(1)
    await rig.put(1, size=3000)
    more = await rig.put(1)
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(good + more)
    assert rig.entry("judge").account.dropped == {"refused": 1}
    assert rig.backend("judge").circuit == "Closed"


async def test_poison_span_is_found_and_dropped_alone(rig: Rig, serve: Serve) -> None:
    """A backend that fails by itself on one span, every time, must not hold up all the others for good."""

    async def allergic(body: bytes, context: Context[bytes, bytes]) -> bytes:
        if b"y" * 100 in body:
            raise RuntimeError("cannot digest this")
        return b""

    server = await serve(GrpcBackend(allergic))
    await rig.apply(
        [
            backend(
                "allergic",
                server.endpoint,
                circuitBreaker={"failureThreshold": 2, "openFor": "10ms", "maxOpenFor": "20ms"},
            )
        ]
    )
    from forward_support.spans import ids_of, request

    poisoned = request(9)[0] + request(1, 500)[0].replace(b"x" * 500, b"y" * 500)
    await rig.log.append(poisoned, 10)
    others = await rig.put(5, requests=5)

    async def given_up() -> bool:
        # The application goes on: that others get through meanwhile is what proves whose fault it is.
        others.extend(await rig.put(1))
        return bool(rig.entry("allergic").account.dropped)

    await attempted(given_up, "the poison is found")
    await rig.settled()
    *good, bad = ids_of(poisoned)
    assert Counter(server.taken.ids) == Counter(good + others)
    assert bad not in server.taken.ids
    assert rig.entry("allergic").account.dropped == {"refused": 1}


async def test_backend_that_fails_on_everything_is_down_not_poisoned(rig: Rig, serve: Serve) -> None:
    async def broken(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    server = await serve(HttpBackend(broken))
    await rig.apply([backend("broken", server.endpoint, "HTTP", batch={"maxSpans": 16}, circuitBreaker=NEVER)])
    await rig.put(16, requests=4)
    await until(lambda: server.taken.calls > 400, "it has been tried often")
    rig.check_ledger()
    assert rig.entry("broken").pending == 64
    server.behave = http_ok
    await rig.settled()
    assert Counter(server.taken.ids) == Counter(rig.sent)
    assert rig.entry("broken").account.dropped == {}


@pytest.mark.parametrize("code", [Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.UNIMPLEMENTED])
async def test_spans_wait_while_credentials_or_address_are_wrong(rig: Rig, serve: Serve, code: grpc.StatusCode) -> None:
    server = await serve(GrpcBackend(failing(10**9, code)))
    await rig.apply([backend("strict", server.endpoint)])
    await rig.put(10)
    await until(lambda: rig.backend("strict").transitions.get("Open", 0) >= 3, "the circuit has opened again and again")
    assert rig.entry("strict").pending == 10
    assert code.name in rig.backend("strict").last_error
    server.behave = grpc_ok
    await rig.settled()
    assert server.taken.ids == rig.sent


async def test_nobody_listens_until_somebody_does(rig: Rig) -> None:
    server = GrpcBackend()
    await server.start()
    await server.stop()
    await rig.apply([backend("late", server.endpoint)])
    await rig.put(10, requests=5)
    await until(lambda: rig.backend("late").transitions.get("Open", 0) >= 2, "it has been tried")
    rig.check_ledger()
    await server.start()
    try:
        await rig.settled()
        assert Counter(server.taken.ids) == Counter(rig.sent)
    finally:
        await server.stop()
