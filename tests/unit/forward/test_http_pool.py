"""The pool of HTTP connections: who waits for one, who may open one, and who is to blame when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forward_support.rig import backend as backend_spec
from forward_support.rig import running
from forward_support.servers import RawBackend, read_http_request
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.otlp_http import HttpExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Retry, Sent
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.config import Protocol
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from waiting import turns, until

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BODY = b"\n\x00"


@dataclass
class Slow:
    """A server that answers when it is told to."""

    asked: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_http_request(reader)
            self.asked += 1
            await self.go.wait()
            writer.write(EMPTY)
            await writer.drain()


@asynccontextmanager
async def serving(handle: Callable[..., Awaitable[None]]) -> AsyncIterator[RawBackend]:
    server = RawBackend(handle)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def sending(server: RawBackend, most: int) -> AsyncIterator[HttpExporter]:
    url = f"http://127.0.0.1:{server.port}/v1/traces"
    made = HttpExporter(Connection(Protocol.HTTP, url, "", max_connections=most))
    try:
        yield made
    finally:
        await made.close()


async def stop_listening(server: RawBackend) -> None:
    """Connections that there are stay; a further one is refused."""
    assert server._server is not None
    server._server.close()
    await turns(3)


def spec(server: RawBackend, timeout: str) -> BackendSpec:
    otlp = {"maxConnections": 1}
    breaker = {"failureThreshold": 1, "slowCallDuration": "100ms"}
    written = backend_spec("one", server.endpoint, "HTTP", otlp, timeout=timeout, circuitBreaker=breaker)
    parsed, faults = parse_spec({"backends": [written]})
    assert not faults, faults
    return resolve(parsed).backends[0]


def unsent(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.unsent


async def test_who_found_every_connection_busy_until_time_was_up_has_sent_nothing() -> None:
    slow = Slow()
    async with serving(slow) as server, sending(server, 1) as sender:
        first = asyncio.ensure_future(sender.send(BODY, 30))
        await until(lambda: slow.asked == 1, "the only connection is busy")
        second = await sender.send(BODY, 0.1)
        assert isinstance(second, Retry)
        assert second.unsent
        assert "otlp.maxConnections" in second.reason
        slow.go.set()
        assert await first == Sent()
        assert await sender.send(BODY, 30) == Sent()
    assert (slow.asked, server.connections) == (2, 1)


async def test_a_backend_is_not_blamed_for_what_was_never_sent_to_it() -> None:
    """The first call is slow, not failed: with a threshold of one failure, a single one would open the circuit."""
    slow = Slow()
    async with serving(slow) as server, sending(server, 1) as exporter:
        backend = Backend(spec(server, "1m"), SystemClock(), lambda: 0.5, lambda: None)
        await backend.connect(exporter._connection, exporter)
        permit = backend.acquire()
        assert permit is not None
        first = asyncio.ensure_future(backend.send(permit, BODY))
        await until(lambda: slow.asked == 1, "the only connection is busy")
        backend.configure(spec(server, "100ms"))
        for _ in range(3):
            permit = backend.acquire()
            assert permit is not None
            assert unsent(await backend.send(permit, BODY))
        health = backend.health()
        assert (health.circuit, backend.breaker.failures, backend.failed) == ("Closed", 0, 0)
        assert dict(health.calls) == {"unsent": 3}
        assert "were busy" in health.last_error
        slow.go.set()
        assert await first == Sent()


async def test_what_was_never_sent_is_no_attempt(tmp_path: Path) -> None:
    """One attempt is all that the config allows, and the second request finds the connection busy again and again."""
    slow = Slow()
    async with serving(slow) as server, running(tmp_path) as rig:

        async def apply(limit: str, **retry: int) -> None:
            written = backend_spec("one", server.endpoint, "HTTP", {"maxConnections": 1}, timeout=limit)
            written["retry"] = {**written["retry"], **retry}
            await rig.apply([written])

        await apply("1m", maxAttempts=1)
        await rig.put(1)
        await until(lambda: slow.asked == 1, "the only connection is busy")
        await apply("100ms", maxAttempts=1)
        await rig.put(1)
        await until(lambda: rig.backend("one").calls.get("unsent", 0) >= 3, "the second request is tried again")
        assert rig.entry("one").pending == 2
        await apply("1m")
        slow.go.set()
        await rig.settled()
        assert rig.entry("one").account.delivered == {"one": 2}


async def test_connections_that_all_hang_are_the_backends_failure() -> None:
    """Those that wait behind them are not counted: the calls that hang are."""
    slow = Slow()
    async with serving(slow) as server, sending(server, 2) as sender:
        outcomes = await asyncio.gather(*(sender.send(BODY, 0.3) for _ in range(6)))
        slow.go.set()
    assert all(isinstance(outcome, Retry) for outcome in outcomes)
    hung = [outcome for outcome in outcomes if not unsent(outcome)]
    assert len(hung) >= 2  # More, when one gets a connection just before its time is up.
    assert all("no answer" in outcome.reason for outcome in hung if isinstance(outcome, Retry))


async def test_further_connection_that_is_refused_leaves_the_call_to_those_that_work() -> None:
    slow = Slow()
    async with serving(slow) as server, sending(server, 4) as sender:
        first = asyncio.ensure_future(sender.send(BODY, 30))
        await until(lambda: slow.asked == 1, "the first connection is busy")
        await stop_listening(server)
        others = [asyncio.ensure_future(sender.send(BODY, 30)) for _ in range(3)]
        await turns(20)
        slow.go.set()
        assert await asyncio.gather(first, *others) == [Sent()] * 4
        assert (slow.asked, server.connections) == (4, 1)


async def test_refusal_counts_once_the_last_connection_that_worked_is_gone() -> None:
    cut = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        asked.set()
        await cut.wait()

    asked = asyncio.Event()
    async with serving(handle) as server, sending(server, 4) as sender:
        first = asyncio.ensure_future(sender.send(BODY, 30))
        await asked.wait()
        await stop_listening(server)
        others = [asyncio.ensure_future(sender.send(BODY, 30)) for _ in range(3)]
        await turns(20)
        assert not any(other.done() for other in others)
        cut.set()
        outcomes = await asyncio.gather(first, *others)
    assert all(isinstance(outcome, Retry) and not outcome.unsent for outcome in outcomes)
    assert all("cannot be reached" in outcome.reason for outcome in outcomes[1:] if isinstance(outcome, Retry))


async def test_first_connection_that_is_refused_is_a_failure_at_once() -> None:
    async with serving(Slow()) as server:
        await stop_listening(server)
        async with sending(server, 4) as sender:
            outcomes = await asyncio.gather(*(sender.send(BODY, 30) for _ in range(6)))
    assert all(isinstance(outcome, Retry) and not outcome.unsent for outcome in outcomes)
