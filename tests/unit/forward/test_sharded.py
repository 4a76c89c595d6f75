"""One backend at several addresses: each trace whole at one of them, and nothing lost or sent twice by the cutting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from forward_support.certificates import Authority, server_context
from forward_support.names import Names
from forward_support.rig import Rig, backend, running
from forward_support.servers import GrpcBackend, HttpBackend, grpc_ok, http_ok
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
from tracekeeper_sidecar.forward.otlp_http import HttpExporter
from tracekeeper_sidecar.forward.outcome import Parts, Retry, Sent
from tracekeeper_sidecar.forward.sharded import Sharded
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_spec.config import Protocol
from waiting import until

Server = GrpcBackend | HttpBackend
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
NEVER = 3600.0
SPANS = 3
"""In each trace."""


def traces(first: int, count: int) -> bytes:
    """A request with SPANS spans of each of some traces, one after the other; span numbers tell their traces."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for part in range(SPANS):
        for trace in range(first, first + count):
            number = trace * SPANS + part
            scope.spans.add(trace_id=trace.to_bytes(16), span_id=number.to_bytes(8), name="x")
    return message.SerializeToString()


def trace_of(span_id: str) -> int:
    return int(span_id, 16) // SPANS


def holders(servers: Sequence[Server]) -> dict[int, set[int]]:
    """By trace, the servers that have spans of it."""
    found: dict[int, set[int]] = {}
    for index, server in enumerate(servers):
        for span in server.taken.ids:
            found.setdefault(trace_of(span), set()).add(index)
    return found


def taken(servers: Sequence[Server]) -> Counter[str]:
    return Counter(span for server in servers for span in server.taken.ids)


def spans(first: int, count: int) -> Counter[str]:
    return Counter({f"{number:016x}": 1 for number in range(first * SPANS, (first + count) * SPANS)})


class Resolver:
    """Answers with `addresses`, or fails while there are none."""

    def __init__(self, *addresses: str) -> None:
        self.addresses, self.asked = list(addresses), 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        if not self.addresses:
            raise OSError("the resolver is away")
        return self.addresses[::-1] + self.addresses[:1]  # In any order, and some twice.


@asynccontextmanager
async def listening(
    kind: type[Server] = GrpcBackend, addresses: Sequence[str] = ADDRESSES, **settings: Any
) -> AsyncIterator[list[Server]]:
    """A server at each address, all on one port."""
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for address in addresses:
            server = kind(host=address, port=servers[0].port if servers else 0, **settings)
            await server.start()
            stack.push_async_callback(server.stop)
            servers.append(server)
        yield servers


@asynccontextmanager
async def exporter(server: Server, resolve: Resolver, every: float = NEVER, **settings: Any) -> AsyncIterator[Sharded]:
    protocol = Protocol.GRPC if isinstance(server, GrpcBackend) else Protocol.HTTP
    url = f"{server.endpoint}/v1/traces" if protocol is Protocol.HTTP else server.endpoint
    kind = GrpcExporter if protocol is Protocol.GRPC else HttpExporter
    connection = Connection(protocol, url, server.endpoint.split("//")[1], sharded=True, **settings)
    made = Sharded(connection, kind(connection).place, lambda place: kind(connection, place), resolve, every)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("kind", [GrpcBackend, HttpBackend])
async def test_each_trace_lands_whole_at_one_address(kind: type[Server]) -> None:
    async with listening(kind) as servers, exporter(servers[0], Resolver(*ADDRESSES)) as sender:
        for body in (traces(0, 60), traces(30, 60), traces(80, 1)):
            assert await sender.send(body, 20) == Sent()
    assert all(server.taken.ids for server in servers)
    assert all(len(found) == 1 for found in holders(servers).values())
    assert taken(servers) == spans(0, 60) + spans(30, 60) + spans(80, 1)


async def test_fourth_address_takes_about_a_quarter_of_the_traces_and_no_span_is_lost() -> None:
    resolve = Resolver(*ADDRESSES)
    async with listening(addresses=[*ADDRESSES, "127.0.0.4"]) as servers:
        async with exporter(servers[0], resolve, every=0.0) as sender:
            assert await sender.send(traces(0, 1000), 20) == Sent()
            before = holders(servers)
            resolve.addresses.append("127.0.0.4")
            asked = resolve.asked
            while resolve.asked < asked + 2:  # The second lookup begins after the first has ended.
                assert await sender.send(traces(5000, 1), 20) == Sent()
            for server in servers:
                server.taken.batches.clear()
            assert await sender.send(traces(0, 1000), 20) == Sent()
    after = holders(servers)
    assert all(len(found) == 1 for found in after.values())
    moved = [trace for trace in before if after[trace] != before[trace]]
    assert all(after[trace] == {3} for trace in moved)
    assert 180 < len(moved) < 320
    assert taken(servers) == spans(0, 1000)


async def test_what_one_address_does_not_take_is_all_that_is_left() -> None:
    async with listening() as servers, exporter(servers[0], Resolver(*ADDRESSES)) as sender:
        assert await sender.send(traces(0, 90), 20) == Sent()
        gone = {trace for trace, found in holders(servers).items() if found == {1}}
        await servers[1].stop()
        outcome = await sender.send(traces(0, 90), 20)
        assert isinstance(outcome, Parts)
        *well, failed = outcome.parts
        assert [part.outcome for part in well] == [Sent(), Sent()]
        assert isinstance(failed.outcome, Retry)
        assert failed.outcome.local
        assert "127.0.0.2" in failed.outcome.reason
        assert failed.spans == len(gone) * SPANS
        assert sum(part.spans for part in outcome.parts) == 90 * SPANS
        again = await sender.send(failed.body, 20)
        assert isinstance(again, Retry)
        assert again.local
        await servers[1].start()
        assert await sender.send(failed.body, 20) == Sent()
    assert taken(servers) == spans(0, 90) + spans(0, 90)
    assert all(len(found) == 1 for found in holders(servers).values())


async def test_failure_of_all_addresses_is_the_backends_own() -> None:
    async with listening() as servers, exporter(servers[0], Resolver(*ADDRESSES)) as sender:
        assert await sender.send(traces(0, 90), 20) == Sent()
        for server in servers:
            await server.stop()
        outcome = await sender.send(traces(0, 90), 20)
        assert isinstance(outcome, Parts)
        assert not all(isinstance(part.outcome, Retry) and part.outcome.local for part in outcome.parts)


async def test_traces_of_an_address_that_is_gone_go_to_the_others() -> None:
    resolve = Resolver(*ADDRESSES)
    async with listening() as servers, exporter(servers[0], resolve, every=0.0) as sender:
        assert await sender.send(traces(0, 90), 20) == Sent()
        await servers[1].stop()
        resolve.addresses.remove("127.0.0.2")
        left = traces(0, 90)
        async with asyncio.timeout(30):
            while isinstance(outcome := await sender.send(left, 20), Parts | Retry):
                if isinstance(outcome, Parts):
                    left = b"".join(part.body for part in outcome.parts if not isinstance(part.outcome, Sent))
    assert outcome == Sent()
    assert taken(servers) == spans(0, 90) + spans(0, 90)


async def test_send_on_its_way_ends_where_it_is_although_its_address_goes() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(body: bytes, context: object) -> bytes:
        asked.set()
        await answer.wait()
        return await grpc_ok(body, context)

    resolve = Resolver("127.0.0.1")
    async with listening() as servers, exporter(servers[0], resolve, every=0.0) as sender:
        assert isinstance(servers[0], GrpcBackend)
        servers[0].behave = slow
        sending = asyncio.ensure_future(sender.send(traces(0, 5), 20))
        await asked.wait()
        resolve.addresses[:] = ["127.0.0.2"]
        async with asyncio.timeout(30):
            while servers[1].taken.calls < 1:
                first = asyncio.ensure_future(sender.send(traces(5, 5), 20))
                await asyncio.wait((first,), timeout=0.1)
        answer.set()
        assert await sending == Sent()


async def test_last_answer_is_kept_while_the_resolver_is_away() -> None:
    resolve = Resolver(*ADDRESSES)
    async with listening() as servers, exporter(servers[0], resolve, every=0.0) as sender:
        assert await sender.send(traces(0, 30), 20) == Sent()
        before = holders(servers)
        resolve.addresses.clear()
        asked = resolve.asked
        while resolve.asked < asked + 3:
            assert await sender.send(traces(0, 30), 20) == Sent()
        assert holders(servers) == before


async def test_name_that_never_had_an_address_is_tried_again() -> None:
    resolve = Resolver()
    async with listening() as servers, exporter(servers[0], resolve, every=0.0) as sender:
        outcome = await sender.send(traces(0, 1), 20)
        assert isinstance(outcome, Retry)
        assert not outcome.local
        assert "the resolver is away" in outcome.reason
        resolve.addresses += ADDRESSES
        assert await sender.send(traces(0, 1), 20) == Sent()


async def test_resolver_that_hangs_ends_with_the_time(caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Resolver):
        async def __call__(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    async with listening() as servers, exporter(servers[0], Hanging()) as sender:
        outcome = await sender.send(traces(0, 1), 0.05)
        assert isinstance(outcome, Retry)
        assert "within 0.05 s" in outcome.reason


async def test_only_an_address_that_takes_others_may_blame_a_request() -> None:
    async def internal(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.INTERNAL, "said so")

    async with listening() as servers, exporter(servers[0], Resolver(*ADDRESSES)) as sender:
        assert await sender.send(traces(0, 30), 20) == Sent()
        own = next(trace for trace, found in holders(servers).items() if found == {1})
        assert isinstance(servers[1], GrpcBackend)
        servers[1].behave = internal
        blamed = []
        for _ in range(3):
            outcome = await sender.send(traces(own, 1), 20)
            assert isinstance(outcome, Retry)
            blamed.append(outcome.suspect)
        assert blamed == [True, False, False]
        servers[1].behave = grpc_ok
        assert await sender.send(traces(own, 1), 20) == Sent()
        servers[1].behave = internal
        outcome = await sender.send(traces(own, 1), 20)
        assert isinstance(outcome, Retry)
        assert outcome.suspect


async def test_certificates_are_asked_for_the_hosts_name(tmp_path: Path) -> None:
    authority = Authority()
    context = server_context(tmp_path, authority.issue("localhost"))
    async with listening(HttpBackend, ["127.0.0.2"], context=context) as servers:
        async with exporter(servers[0], Resolver("127.0.0.2"), secure=True, ca=authority.pem) as sender:
            assert await sender.send(traces(0, 1), 20) == Sent()


# In a whole forwarder, by a resolver of the loop's own.

NAME = "shards.test"
Story = Callable[[Rig, list[Server], Names], Awaitable[None]]


def play(directory: Path, story: Story, kind: type[Server] = GrpcBackend) -> None:
    async def main(loop: Names) -> None:
        letters = DeadLetters(str(directory), SystemFiles())
        letters.limit = 1 << 20
        async with listening(kind) as servers, running(directory, letters=letters) as rig:
            endpoint = f"http://{NAME}:{servers[0].port}"
            protocol = "GRPC" if kind is GrpcBackend else "HTTP"
            batch = {"maxSpans": 50, "maxDelay": "10ms"}
            await rig.apply([backend("all", endpoint, protocol, {"shardBy": "TraceID"}, batch=batch)])
            await story(rig, servers, loop)

    loop = Names(NAME, *ADDRESSES)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))


def test_one_address_down_holds_up_its_own_spans_alone(tmp_path: Path) -> None:
    async def story(rig: Rig, servers: list[Server], loop: Names) -> None:
        await rig.put(50, requests=2)
        await rig.settled()
        await servers[1].stop()
        ids = await rig.put(50, requests=12)  # Three times what is on its way at once.
        others = [servers[0], servers[2]]
        await until(lambda: len(taken(others).keys() & set(ids)) > 340, "the other addresses take their spans")
        await until(lambda: rig.backend("all").calls.get("failed", 0) > 20, "its spans are tried again and again")
        rig.check_ledger()
        assert rig.backend("all").circuit == "Closed"
        await servers[1].start()
        await rig.settled()
        assert taken(servers) == Counter(rig.sent)

    play(tmp_path, story)


def test_address_that_blames_every_request_costs_no_span(tmp_path: Path) -> None:
    async def internal(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.INTERNAL, "said so")

    async def story(rig: Rig, servers: list[Server], loop: Names) -> None:
        assert isinstance(servers[1], GrpcBackend)
        servers[1].behave = internal
        calls = 0
        await rig.put(5)
        while servers[1].taken.calls < 150:
            if servers[0].taken.calls < calls + 200:
                await rig.put(5)
            await asyncio.sleep(0.01)
        servers[1].behave = grpc_ok
        await rig.settled()
        assert rig.entry("all").account.dropped == {}
        assert taken(servers) == Counter(rig.sent)

    play(tmp_path, story)


def test_refusal_of_one_address_drops_its_spans_alone_and_each_is_sent_again_once(tmp_path: Path) -> None:
    async def refusing(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=400)

    async def story(rig: Rig, servers: list[Server], loop: Names) -> None:
        behaving = [server for server in servers if isinstance(server, HttpBackend)]
        behaving[0].behave = behaving[1].behave = refusing
        await rig.put(50)
        await rig.settled()
        refused = rig.letters.stats().spans
        assert rig.entry("all").account.dropped == {"refused": refused}
        assert sum(taken(servers).values()) == 50 - refused
        await rig.forwarder.replay(30.0)
        behaving[0].behave = http_ok
        await rig.forwarder.replay(30.0)
        behaving[1].behave = http_ok
        await rig.forwarder.replay(30.0)
        assert rig.letters.stats().letters == 0
        assert rig.entry("all").account.redelivered == {"dead_letter": refused}
        assert taken(servers) == Counter(rig.sent)

    play(tmp_path, story, HttpBackend)


def test_letter_that_one_address_takes_leaves_a_letter_of_the_rest(tmp_path: Path) -> None:
    async def refusing(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=400)

    async def story(rig: Rig, servers: list[Server], loop: Names) -> None:
        behaving = [server for server in servers if isinstance(server, HttpBackend)]
        for server in behaving:
            server.behave = refusing
        loop.addresses[:] = ADDRESSES[:1]
        await rig.put(50)
        await rig.settled()
        assert rig.letters.stats().spans == 50
        loop.addresses[:] = ADDRESSES
        # A config with another connection looks the name up anew.
        endpoint = f"http://{NAME}:{servers[0].port}"
        await rig.apply([backend("all", endpoint, "HTTP", {"shardBy": "TraceID", "maxConnections": 2})])
        behaving[2].behave = http_ok
        done = await rig.forwarder.replay(30.0)
        assert (done.letters, len(done.left)) == (0, 1)
        assert "only a part of it was taken" in done.left[0].why
        assert rig.letters.stats().spans == 50 - done.spans == 50 - sum(taken(servers).values())
        for server in behaving:
            server.behave = http_ok
        await rig.forwarder.replay(30.0)
        assert rig.letters.stats().letters == 0
        assert rig.entry("all").account.redelivered == {"dead_letter": 50}
        assert taken(servers) == Counter(rig.sent)

    play(tmp_path, story, HttpBackend)
