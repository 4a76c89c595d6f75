"""The pool of HTTP/2 connections: who is to blame when there was no room for a call until its time was up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from forward_support.rig import backend as backend_spec
from forward_support.servers import GrpcBackend, RawBackend
from forward_support.spans import request
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.h2_pool import FULL_CALLS
from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Retry, Sent
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.config import Protocol
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from waiting import until

BODY = request(1)[0]


@dataclass
class Slow:
    """What a server does that answers when it is told to."""

    asked: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.asked += 1
        await self.go.wait()
        return b""


@asynccontextmanager
async def serving(server: GrpcBackend | RawBackend) -> AsyncIterator[str]:
    await server.start()
    try:
        yield server.endpoint
    finally:
        await server.stop()


@asynccontextmanager
async def sending(endpoint: str, most: int) -> AsyncIterator[GrpcExporter]:
    made = GrpcExporter(Connection(Protocol.GRPC, endpoint, endpoint.split("//")[1], max_connections=most))
    try:
        yield made
    finally:
        await made.close()


def spec(endpoint: str, timeout: str) -> BackendSpec:
    breaker = {"failureThreshold": 1, "slowCallDuration": "100ms"}
    written = backend_spec("one", endpoint, "GRPC", {"maxConnections": 1}, timeout=timeout, circuitBreaker=breaker)
    parsed, faults = parse_spec({"backends": [written]})
    assert not faults, faults
    return resolve(parsed).backends[0]


def unsent(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.unsent


async def test_who_found_no_room_on_any_connection_until_time_was_up_has_sent_nothing() -> None:
    slow = Slow()
    async with serving(GrpcBackend(slow, most_calls=1)) as endpoint, sending(endpoint, 1) as sender:
        first = asyncio.ensure_future(sender.send(BODY, 30))
        await until(lambda: slow.asked == 1, "the only call is under way")
        second = await sender.send(BODY, 0.1)
        assert isinstance(second, Retry)
        assert second.unsent
        assert "otlp.maxConnections" in second.reason
        slow.go.set()
        assert await first == Sent()
        assert await sender.send(BODY, 30) == Sent()
    assert slow.asked == 2


async def test_a_backend_is_not_blamed_for_calls_that_were_never_made() -> None:
    """The first call is slow, not failed: with a threshold of one failure, a single one would open the circuit."""
    slow = Slow()
    async with serving(GrpcBackend(slow, most_calls=1)) as endpoint, sending(endpoint, 1) as exporter:
        backend = Backend(spec(endpoint, "1m"), SystemClock(), lambda: 0.5, lambda: None)
        await backend.connect(exporter._connection, exporter)
        permit = backend.acquire()
        assert permit is not None
        first = asyncio.ensure_future(backend.send(permit, BODY))
        await until(lambda: slow.asked == 1, "the only call is under way")
        backend.configure(spec(endpoint, "100ms"))
        for _ in range(3):
            permit = backend.acquire()
            assert permit is not None
            assert unsent(await backend.send(permit, BODY))
        health = backend.health()
        assert (health.circuit, backend.breaker.failures, dict(health.calls)) == ("Closed", 0, {"unsent": 3})
        slow.go.set()
        assert await first == Sent()


async def test_calls_that_all_hang_are_the_backends_failure() -> None:
    """Those that wait behind them are not counted: the calls that hang are."""
    slow = Slow()
    async with serving(GrpcBackend(slow, most_calls=1)) as endpoint, sending(endpoint, 2) as sender:
        outcomes = await asyncio.gather(*(sender.send(BODY, 0.3) for _ in range(6)))
        slow.go.set()
    hung = [outcome for outcome in outcomes if not unsent(outcome)]
    assert len(hung) >= 2  # More, when one gets a connection just before its time is up.
    assert all("no answer" in outcome.reason for outcome in hung if isinstance(outcome, Retry))


async def test_who_waits_for_one_more_connection_while_calls_are_under_way_has_sent_nothing() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server.connections == 1:
            writer.write(h2.settings())
        while await reader.read(65536):
            pass

    server = RawBackend(hang)
    async with serving(server) as endpoint, sending(endpoint, 2) as sender:
        calls: list[asyncio.Future[Outcome]] = []
        while len(calls) < FULL_CALLS:
            calls.append(asyncio.ensure_future(sender.send(BODY, 30)))
            await until(lambda: sum(wire.calls for wire in sender._pool._wires) == len(calls), "the call is under way")
        assert unsent(await sender.send(BODY, 0.3))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_no_connection_at_all_is_the_backends_failure_for_everyone_who_waits() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(RawBackend(mute)) as endpoint, sending(endpoint, 1) as sender:
        outcomes = await asyncio.gather(*(sender.send(BODY, 0.3) for _ in range(3)))
    assert all(isinstance(outcome, Retry) and not outcome.unsent for outcome in outcomes)
