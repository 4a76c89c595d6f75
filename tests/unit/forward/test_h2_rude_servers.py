"""The gRPC client against servers that break HTTP/2, or use it to the letter: frame by frame."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zstandard

from forward_support.raw_h2 import HEAD, OK
from forward_support.raw_h2 import RawSide as Link
from forward_support.servers import RawBackend
from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward import hpack
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.h2_call import Call
from tracekeeper_sidecar.forward.h2_wire import LARGEST_BLOCK, UNREAD, H2Wire
from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Retry, Sent
from tracekeeper_spec.config import Protocol
from waiting import turns, until

PARTIAL = b"\n\x02\x08\x03"
"""Three spans were rejected."""


@asynccontextmanager
async def sending(serve: Callable[[Link], Awaitable[None]]) -> AsyncIterator[tuple[GrpcExporter, RawBackend]]:
    backend = RawBackend(lambda reader, writer: serve(Link(reader, writer)))
    await backend.start()
    target = f"127.0.0.1:{backend.port}"
    sender = GrpcExporter(Connection(Protocol.GRPC, f"http://{target}", target))
    try:
        yield sender, backend
    finally:
        await sender.close()
        await backend.stop()


async def outcome_of(serve: Callable[[Link], Awaitable[None]], body: bytes = b"x", timeout: float = 10) -> Outcome:  # noqa: ASYNC109
    async with sending(serve) as (sender, _):
        return await sender.send(body, timeout)


def sockets() -> int:
    """Descriptors of this process."""
    return len(os.listdir(Path("/proc/self/fd")))


async def test_endless_page_of_a_proxy_is_no_success() -> None:
    async def page(link: Link) -> None:
        await link.greet()
        stream, _ = await link.call()
        link.headers(stream, hpack.encode([(b":status", b"502"), (b"content-type", b"text/html")]))
        for _ in range(258):
            link.data(stream, b"<" * h2.DEFAULT_FRAME)
        await link.reader.read()

    outcome = await outcome_of(page)
    assert isinstance(outcome, Retry)
    assert "502" in outcome.reason


async def test_success_before_the_whole_request_has_left_is_none() -> None:
    async def hasty(link: Link) -> None:
        await link.greet()
        while (frame := await link.frame())[0] != h2.HEADERS:
            pass
        link.answer(frame[2])
        await link.reader.read()

    outcome = await outcome_of(hasty, bytes(1 << 20))
    assert isinstance(outcome, Retry)
    assert "before it had the whole request" in outcome.reason


async def test_success_without_a_message_is_none() -> None:
    """A gateway that answers every call so, say."""

    async def hollow(link: Link) -> None:
        await link.greet()
        stream, _ = await link.call()
        link.headers(stream, HEAD + OK, h2.END_HEADERS | h2.END_STREAM)
        await link.reader.read()

    outcome = await outcome_of(hollow)
    assert isinstance(outcome, Retry)
    assert outcome.suspect
    assert "without the message" in outcome.reason


async def test_status_of_a_call_that_is_reset_does_not_count() -> None:
    async def wavering(link: Link) -> None:
        await link.greet()
        stream, _ = await link.call()
        link.headers(stream, HEAD + OK)
        link.data(stream, bytes(5))
        link.writer.write(h2.rst_stream(stream, 2))
        await link.reader.read()

    outcome = await outcome_of(wavering)
    assert isinstance(outcome, Retry)
    assert "reset" in outcome.reason


@pytest.mark.parametrize(
    ("encoding", "message", "rejected", "says"),
    [
        (b"gzip", gzip.compress(PARTIAL), 3, ""),
        (b"gzip", gzip.compress(b""), 0, ""),
        (b"zstd", zstandard.ZstdCompressor().compress(PARTIAL), 3, ""),
        (b"zstd", zstandard.ZstdCompressor().compress(b""), 0, ""),
        (b"gzip", b"neither", 0, "cannot be read"),
        (b"zstd", b"neither", 0, "cannot be read"),
        (b"snappy", b"unknown", 0, "cannot be read"),
        (b"gzip", gzip.compress(bytes(LARGEST_ANSWER + 1)), 0, "cannot be read"),
    ],
)
async def test_answer_in_the_requests_compression(encoding: bytes, message: bytes, rejected: int, says: str) -> None:
    """grpc-go compresses as it was sent to, whatever the client says that it takes."""

    async def alike(link: Link) -> None:
        await link.greet()
        stream, _ = await link.call()
        link.headers(stream, HEAD + hpack.encode([(b"grpc-encoding", encoding)]))
        link.data(stream, b"\1" + len(message).to_bytes(4, "big") + message)
        link.headers(stream, OK, h2.END_HEADERS | h2.END_STREAM)
        await link.reader.read()

    outcome = await outcome_of(alike)
    assert isinstance(outcome, Sent)
    assert outcome.rejected == rejected
    assert says in outcome.message
    assert bool(outcome.message) is bool(says)


async def test_smaller_header_table_is_confirmed_in_the_next_block() -> None:
    """RFC 7541, 4.2; nghttp2 and the hpack library end the connection otherwise."""
    blocks: list[bytes] = []

    async def strict(link: Link) -> None:
        await link.greet((h2.HEADER_TABLE_SIZE, 0))
        for _ in range(2):
            stream, block = await link.call()
            blocks.append(block)
            link.answer(stream)
        await link.reader.read()

    async with sending(strict) as (sender, _):
        assert [await sender.send(b"x", 10) for _ in range(2)] == [Sent(), Sent()]
    assert blocks[0] == b"\x20" + blocks[1]


async def test_connections_that_refuse_calls_are_given_up() -> None:
    async def refuse(link: Link) -> None:
        await link.greet()
        while True:
            stream, _ = await link.call()
            link.writer.write(h2.rst_stream(stream, h2.REFUSED_STREAM))

    async with sending(refuse) as (sender, _):
        await sender.send(b"x", 10)
        before = sockets()
        for _ in range(20):
            assert isinstance(await sender.send(b"x", 10), Retry)
        await until(lambda: sockets() <= before + 4, "the descriptors are closed")


async def test_server_that_goes_away_as_soon_as_it_has_come_is_not_asked_again_at_once() -> None:
    async def leave(link: Link) -> None:
        await link.greet()
        link.writer.write(h2.goaway(h2.NO_ERROR))
        await link.reader.read()

    async with sending(leave) as (sender, backend):
        outcome = await sender.send(b"x", 3)
        assert isinstance(outcome, Retry)
        assert "went away" in outcome.reason
        assert backend.connections <= 2


async def test_connection_that_pings_but_answers_no_call_is_given_up() -> None:
    async def stuck(link: Link) -> None:
        await link.greet()
        if backend.connections > 1:
            stream, _ = await link.call()
            link.answer(stream)
            await link.reader.read()
        while True:
            link.writer.write(h2.head(8, h2.PING, 0, 0) + bytes(8))
            await link.frame()

    async with sending(stuck) as (sender, backend):
        assert isinstance(await sender.send(b"x", 0.5), Retry)
        assert await sender.send(b"x", 10) == Sent()


async def test_connections_that_allow_no_calls_are_made_anew() -> None:
    """Whoever has opened them may be gone without a word."""

    async def full(link: Link) -> None:
        if backend.connections > 1:
            await link.greet()
            stream, _ = await link.call()
            link.answer(stream)
        else:
            await link.greet((h2.MAX_STREAMS, 0))
        await link.reader.read()

    async with sending(full) as (sender, backend):
        outcome = await sender.send(b"x", 0.5)
        assert isinstance(outcome, Retry)
        assert not outcome.unsent, "no call of ours was in the way"
        assert await sender.send(b"x", 10) == Sent()


async def test_one_more_connection_that_cannot_be_opened_fails_no_call() -> None:
    async def single(link: Link) -> None:
        if backend.connections > 1:
            return
        await link.greet()
        streams = [(await link.call())[0] for _ in range(8)]
        for stream in streams:
            link.answer(stream)
        await link.reader.read()

    async with sending(single) as (sender, backend):
        assert await asyncio.gather(*(sender.send(b"x", 20) for _ in range(8))) == [Sent()] * 8


@pytest.mark.parametrize("kind", ["headers", "empty data"])
async def test_answers_that_never_end_take_no_memory(kind: str) -> None:
    wire = H2Wire(1000, lambda: None)
    sink = Sink()
    wire.connection_made(sink)
    loop = asyncio.get_running_loop()
    call = asyncio.ensure_future(wire.call(b"\x83", bytes(5), b"", loop.time() + 60))
    await turns()
    block = hpack.encode([(b"x" * 1000, b"y" * 1000)])
    frame = h2.headers(1, block) if kind == "headers" else h2.head(0, h2.DATA, 0, 1)
    for _ in range(LARGEST_BLOCK // 1000):
        if not sink.over:
            wire.data_received(frame)
    kept = wire._calls.get(1)
    assert sink.over if kind == "headers" else isinstance(kept, Call) and not kept.body
    wire.connection_lost(None)
    await asyncio.wait((call,))
    call.exception()


async def test_peer_that_pings_and_does_not_read_is_cut_off_although_calls_are_under_way() -> None:
    wire, sink = H2Wire(1000, lambda: None), Sink(full=True)
    wire.connection_made(sink)
    loop = asyncio.get_running_loop()
    call = asyncio.ensure_future(wire.call(b"\x83", bytes(5), b"", loop.time() + 60))
    await turns()
    ping = h2.head(8, h2.PING, 0, 0) + bytes(8)
    for _ in range(UNREAD // len(ping) // 1000 + 2):
        wire.data_received(ping * 1000)
    assert sink.over
    wire.connection_lost(None)
    await asyncio.wait((call,))
    call.exception()


@pytest.mark.parametrize("trouble", [b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
async def test_connection_that_is_over_is_not_kept_for_a_peer_that_does_not_read(trouble: bytes | None) -> None:
    """Closing alone would wait until what was written has left."""
    wire, sink = H2Wire(1000, lambda: None), Sink(full=True)
    wire.connection_made(sink)
    if trouble is None:
        wire.eof_received()
    else:
        wire.data_received(trouble)
    assert sink.aborted
    assert not wire.open
    wire.connection_lost(None)


class Sink(asyncio.Transport):
    """Takes everything, or holds it back."""

    def __init__(self, *, full: bool = False) -> None:
        super().__init__()
        self.over = self.aborted = False
        self._full = full

    def write(self, data: object) -> None:
        pass

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = self.aborted = True

    def is_closing(self) -> bool:
        return self.over

    def get_write_buffer_size(self) -> int:
        return 1 if self._full else 0
