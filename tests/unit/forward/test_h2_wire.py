"""The gRPC client's HTTP/2 against a server on the h2 library that behaves as it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from forward_support.spans import request
from tracekeeper_sidecar.forward import h2_frames
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_spec.config import Protocol
from waiting import turns

Behave = Callable[["Peer", int, bytes], None]
HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


class Peer:
    """One connection of a server: gathers each call's message, then does as it is told."""

    def __init__(self, server: Server, writer: asyncio.StreamWriter) -> None:
        self.server, self.writer = server, writer
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.bodies: dict[int, bytearray] = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        self.h2.initiate_connection()
        if self.server.settings:
            self.h2.update_settings(dict(self.server.settings))
        self.flush()
        while data := await reader.read(65536):
            for event in self.h2.receive_data(data):
                self.on_event(event)
            self.flush()

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.bodies[event.stream_id] = bytearray()
            self.server.headers.append({str(name): str(value) for name, value in event.headers})
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.server.largest = max(self.server.largest, len(event.data))
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.server.calls += 1
            self.server.behave(self, event.stream_id, bytes(self.bodies[event.stream_id]))

    def answer(self, stream: int, message: bytes = b"", trailers: Any = (("grpc-status", "0"),), **data: Any) -> None:
        self.h2.send_headers(stream, HEADERS)
        body = b"\0" + len(message).to_bytes(4, "big") + message
        self.h2.send_data(stream, body, **data)
        self.h2.send_headers(stream, trailers, end_stream=True)

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())


class Server:
    """Listens on loopback."""

    def __init__(self, behave: Behave, settings: Mapping[int, int]) -> None:
        self.behave, self.settings = behave, settings
        self.calls = self.largest = self.connections = self.port = 0
        self.headers: list[dict[str, str]] = []
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            await Peer(self, writer).run(reader)
        except ConnectionError:
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


@asynccontextmanager
async def serving(behave: Behave, settings: Mapping[int, int] | None = None) -> AsyncIterator[Server]:
    server = Server(behave, dict(settings or {}))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for writer in list(server.writers):
            writer.transport.abort()
        await listening.wait_closed()


@asynccontextmanager
async def exporter(server: Server, **settings: Any) -> AsyncIterator[GrpcExporter]:
    target = f"127.0.0.1:{server.port}"
    made = GrpcExporter(Connection(Protocol.GRPC, f"http://{target}", target, **settings))
    try:
        yield made
    finally:
        await made.close()


def ok(peer: Peer, stream: int, body: bytes) -> None:
    peer.answer(stream)


async def answered(behave: Behave, settings: Mapping[int, int] | None = None, timeout: float = 10) -> Outcome:  # noqa: ASYNC109
    async with serving(behave, settings) as server, exporter(server) as sender:
        return await sender.send(request(1)[0], timeout)


async def test_a_call_has_the_headers_that_grpc_asks_for() -> None:
    async with serving(ok) as server, exporter(server, headers=(("authorization", "Bearer x"),)) as sender:
        assert await sender.send(request(1)[0], 2.5) == Sent()
    seen = server.headers[0]
    assert seen[":method"] == "POST"
    assert seen[":path"] == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert seen[":authority"] == f"127.0.0.1:{server.port}"
    assert (seen["te"], seen["content-type"], seen["grpc-timeout"]) == ("trailers", "application/grpc", "2500m")
    assert seen["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10},
        {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20, h2.settings.SettingCodes.MAX_FRAME_SIZE: 1 << 20},
    ],
)
async def test_windows_and_frame_sizes_are_respected(settings: Mapping[int, int]) -> None:
    """The h2 library ends a connection whose client oversteps either."""
    bodies: list[bytes] = []

    def behave(peer: Peer, stream: int, body: bytes) -> None:
        bodies.append(body)
        peer.answer(stream)

    sizes = [0, 1, 16379, 16380, 65530, 65531, 200_000] if len(settings) != 1 else [0, 1, 300]
    async with serving(behave, settings) as server, exporter(server) as sender:
        # The library knows our ACK only from the next read on, and holds frames in the same one against us.
        assert await sender.send(b"", 20) == Sent()
        outcomes = await asyncio.gather(*(sender.send(bytes(size), 20) for size in sizes))
    assert outcomes == [Sent()] * len(sizes)
    assert sorted(len(body) - 5 for body in bodies[1:]) == sizes
    assert all(int.from_bytes(body[1:5], "big") == len(body) - 5 for body in bodies)


async def test_no_more_calls_at_once_than_the_server_allows() -> None:
    waiting: list[tuple[Peer, int]] = []
    largest = 0

    def behave(peer: Peer, stream: int, body: bytes) -> None:
        nonlocal largest
        waiting.append((peer, stream))
        largest = max(largest, len(waiting))

        def answer() -> None:
            waiting.remove((peer, stream))
            peer.answer(stream)
            peer.flush()

        asyncio.get_running_loop().call_soon(answer)

    settings: dict[int, int] = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with serving(behave, settings) as server, exporter(server, max_connections=2) as sender:
        assert await sender.send(request(1)[0], 10) == Sent()  # Its settings are known from here on.
        outcomes = await asyncio.gather(*(sender.send(request(1)[0], 10) for _ in range(12)))
    assert outcomes == [Sent()] * 12
    assert server.connections == 2
    assert largest <= 2


async def test_call_that_a_server_going_away_has_not_looked_at_is_made_again() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        if server.connections == 1:
            peer.h2.close_connection(last_stream_id=0)
        else:
            peer.answer(stream)

    async with serving(behave) as server, exporter(server) as sender:
        assert await sender.send(request(1)[0], 10) == Sent()
    assert server.connections == 2


async def test_call_that_was_refused_is_made_again_elsewhere() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        if server.connections == 1:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            peer.answer(stream)

    async with serving(behave) as server, exporter(server) as sender:
        assert await sender.send(request(1)[0], 10) == Sent()


@pytest.mark.parametrize(
    ("code", "says", "suspect"),
    [
        (h2.errors.ErrorCodes.CANCEL, "CANCELLED", False),
        (h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, "UNAVAILABLE", False),
        (h2.errors.ErrorCodes.INTERNAL_ERROR, "INTERNAL", True),
    ],
)
async def test_reset_calls(code: int, says: str, suspect: bool) -> None:
    outcome = await answered(lambda peer, stream, body: peer.h2.reset_stream(stream, code))
    assert isinstance(outcome, Retry)
    assert says in outcome.reason
    assert outcome.suspect is suspect


@pytest.mark.parametrize(
    ("status", "says", "suspect"),
    [
        ("503", "is not available", False),
        ("401", "credentials", False),
        ("404", "otlp.endpoint", False),
        ("500", "UNKNOWN", True),
    ],
)
async def test_answers_of_proxies(status: str, says: str, suspect: bool) -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        peer.h2.send_headers(stream, [(":status", status), ("content-type", "text/html")])
        peer.h2.send_data(stream, b"<html>", end_stream=True)

    outcome = await answered(behave)
    assert isinstance(outcome, Retry)
    assert says in outcome.reason
    assert outcome.suspect is suspect


async def test_limit_of_a_proxy_splits_the_request() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        peer.h2.send_headers(stream, [(":status", "413"), ("content-type", "text/html")], end_stream=True)

    outcome = await answered(behave)
    assert isinstance(outcome, TooLarge)
    assert outcome.certain


async def test_trailers_only_with_an_encoded_message() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        said = [(":status", "200"), ("grpc-status", "14"), ("grpc-message", "over%20there%3A%20%E2%98%83")]
        peer.h2.send_headers(stream, said, end_stream=True)

    outcome = await answered(behave)
    assert isinstance(outcome, Retry)
    assert "over there: ☃" in outcome.reason


async def test_answer_before_the_request_has_left_ends_the_call() -> None:
    """The server has closed its window, and answers all the same."""

    def early(peer: Peer, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            said = [(":status", "200"), ("grpc-status", "8"), ("grpc-message", "larger than max (9 vs. 5)")]
            peer.h2.send_headers(event.stream_id, said, end_stream=True)
        elif isinstance(event, h2.events.StreamReset):
            resets.append(event.stream_id)

    resets: list[int] = []
    settings: dict[int, int] = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    async with serving(ok, settings) as server, exporter(server) as sender:
        original, Peer.on_event = Peer.on_event, early  # type: ignore[assignment,method-assign]
        try:
            first = await sender.send(bytes(1000), 10)
            second = await sender.send(bytes(1000), 10)
        finally:
            Peer.on_event = original  # type: ignore[method-assign]
    assert "5" in str(first)
    assert type(first) is type(second)
    assert server.connections == 1


async def test_padding_and_many_frames_in_one_answer() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        peer.answer(stream, b"\n\x04\x08\x03\x12\x00", pad_length=200)
        peer.h2.ping(b"12345678")

    assert await answered(behave) == Sent(3)


async def test_headers_over_several_frames() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        peer.answer(stream, trailers=[("grpc-status", "14"), ("grpc-message", "\\" * 9000)])

    outcome = await answered(behave)
    assert isinstance(outcome, Retry)
    assert "\\\\" in outcome.reason


async def test_endless_headers_are_no_answer() -> None:
    def behave(peer: Peer, stream: int, body: bytes) -> None:
        peer.answer(stream, trailers=[("grpc-status", "0"), *((f"x-{number}", "\\" * 9000) for number in range(5))])

    outcome = await answered(behave)
    assert isinstance(outcome, Retry)
    assert "headers of its answer" in outcome.reason


@pytest.mark.parametrize(("status", "kind"), [("0", Sent), ("14", Retry), ("3", Refused)])
async def test_answer_over_the_limit_is_judged_by_the_status_behind_it(status: str, kind: type[Outcome]) -> None:
    left = LARGEST_ANSWER + 300_000

    def more(peer: Peer, stream: int) -> None:
        nonlocal left
        while left and (window := peer.h2.local_flow_control_window(stream)):
            size = min(left, window, peer.h2.max_outbound_frame_size)
            peer.h2.send_data(stream, bytes(size))
            left -= size
            if not left:
                peer.h2.send_headers(stream, [("grpc-status", status)], end_stream=True)
        peer.flush()

    def behave(peer: Peer, stream: int, body: bytes) -> None:
        def on_event(event: h2.events.Event) -> None:
            if isinstance(event, h2.events.WindowUpdated):
                more(peer, stream)

        peer.on_event = on_event  # type: ignore[method-assign]
        peer.h2.send_headers(stream, HEADERS)
        more(peer, stream)

    outcome = await answered(behave, timeout=30)
    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Sent) or "not read" in outcome.message


async def test_many_calls_share_connections_and_all_arrive() -> None:
    sizes = random.Random(1)
    async with serving(ok) as server, exporter(server) as sender:
        bodies = [bytes(sizes.randrange(200_000)) for _ in range(60)]
        assert await asyncio.gather(*(sender.send(body, 30) for body in bodies)) == [Sent()] * 60
        assert await asyncio.gather(*(sender.send(body, 30) for body in bodies)) == [Sent()] * 60
    assert server.calls == 120
    assert server.connections <= 4


def test_the_loop_that_the_sidecar_runs_on() -> None:
    async def main() -> list[Outcome]:
        async with serving(ok) as server, exporter(server) as sender:
            return await asyncio.gather(*(sender.send(bytes(size), 20) for size in (0, 1000, 70_000, 500_000)))

    assert uvloop.run(main()) == [Sent()] * 4


class Sink(asyncio.Transport):
    """Takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.over = False

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        self.over = True

    abort = close

    def is_closing(self) -> bool:
        return self.over

    def get_write_buffer_size(self) -> int:
        return 0


frames = st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40))


@given(st.lists(frames, max_size=12), st.binary(max_size=30), st.integers(1, 50))
async def test_no_frames_do_worse_than_end_the_connection(
    sent: list[tuple[int, int, int, bytes]], rest: bytes, cut: int
) -> None:
    wire, sink = H2Wire(1000, lambda: None), Sink()
    wire.connection_made(sink)
    loop = asyncio.get_running_loop()
    call = asyncio.ensure_future(wire.call(b"\x83", b"\0\0\0\0\0", b"", loop.time() + 60))
    await turns()
    data = b"".join(h2_frames.head(len(body), kind, flags, stream) + body for kind, flags, stream, body in sent) + rest
    for at in range(0, len(data), cut):
        if not sink.over:
            wire.data_received(data[at : at + cut])
    wire.connection_lost(None)
    await asyncio.wait((call,))
    call.exception()
    assert wire.calls == 0
