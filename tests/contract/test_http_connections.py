"""Connections to the HTTP port: order, pauses, bounds, ends. Over raw sockets, so that every byte is ours."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import pytest

import otlp_requests
from receivers import Gate, Serving, serving
from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.exchange import Body, Exchange
from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.http.limits import MAX_DISCARD, MAX_PIPELINED, Limits
from tracekeeper_sidecar.http.server import Server
from waiting import until

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
OTHER = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"


def post(body: bytes, *more: bytes) -> bytes:
    return b"".join((HEAD, *more, b"Content-Length: %d\r\n\r\n" % len(body), body))


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> bytes:
        """The head of the next answer, after its body if it has one."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        length = re.search(rb"Content-Length: (\d+)", head)
        if length is not None:
            await asyncio.wait_for(self.reader.readexactly(int(length[1])), 30)
        return head

    async def rest(self) -> bytes:
        """All until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 30)


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def alive(running: Serving) -> None:
    async with client(running.http_port) as other:
        other.send(post(otlp_requests.body(1)))
        assert (await other.answer()).startswith(b"HTTP/1.1 200 ")


async def test_answers_keep_the_order_of_requests_whatever_is_ready_first() -> None:
    async with serving() as running:
        running.store.gate = Gate()
        async with client(running.http_port) as one:
            one.send(post(otlp_requests.body(1)) + OTHER + post(otlp_requests.body(2)) + OTHER)
            await until(lambda: running.store.waiting == 2, "both requests wait for the disk")
            assert running.ledger.refused_requests == {"path": 2}, "what is refused was refused at once"
            running.store.gate.set()
            assert [(await one.answer()).split()[1] for _ in range(4)] == [b"200", b"404", b"200", b"404"]


async def test_a_client_that_pipelines_without_end_is_read_no_further_than_the_bound() -> None:
    async with serving() as running:
        running.store.gate = Gate()
        body = otlp_requests.body(1)
        async with client(running.http_port) as one:
            one.send(post(body) * 500)
            await until(lambda: running.store.waiting == MAX_PIPELINED, "the bound is reached")
            await alive_beside(running)
            assert running.store.waiting == MAX_PIPELINED + 1
            running.store.gate.set()
            for _ in range(500):
                assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        assert len(running.store.payloads) == 501


async def alive_beside(running: Serving) -> None:
    """Another connection's request reaches the store although nothing is answered."""
    before = running.store.waiting
    _, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
    writer.write(post(otlp_requests.body(1)))
    await until(lambda: running.store.waiting > before, "another connection's request waits, too")
    writer.close()


async def test_a_client_that_never_reads_its_answers_is_held_back_and_cut_off() -> None:
    pages = _Pages()
    server = Server(pages, Limits(idle=30.0, head=30.0, body=30.0, write=0.3))
    port = await server.start("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.setblocking(False)
        with contextlib.suppress(ConnectionError):
            while True:  # until the server has had enough
                await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(one, OTHER * 100), 30)
    assert pages.asked < 2000, "requests are not read while answers are not"
    await server.stop(0)


class _Pages:
    """A handler whose answers are large."""

    def __init__(self) -> None:
        self.asked = 0

    def begin(self, exchange: Exchange, head: Head) -> Body | None:
        self.asked += 1
        exchange.reply(Answer(200, "text/plain", bytes(1 << 20)))
        return None

    def refuse(self, status: int, problem: str) -> Answer:
        return Answer(status, "text/plain", problem.encode())


async def test_too_many_connections_are_told_to_come_back() -> None:
    server = Server(_Pages(), Limits(idle=30.0, head=30.0, body=30.0, connections=3))
    port = await server.start("127.0.0.1", 0)
    async with client(port), client(port), client(port), client(port) as fourth:
        answer = await fourth.rest()
        assert statuses(answer) == [503]
        assert b"3 connections are open already" in answer
    await server.stop(0)


async def test_a_head_that_trickles_is_cut_off_however_steadily() -> None:
    async with serving(silence=0.5) as running, client(running.http_port) as one:
        one.send(HEAD)
        with contextlib.suppress(ConnectionError):
            while not one.reader.at_eof():
                one.send(b"X: y\r\n")
                await asyncio.sleep(0.02)  # the client's pace, which is what is tested
        assert await one.rest() == b""
        await alive(running)


async def test_a_body_that_trickles_is_cut_off_however_steadily() -> None:
    async with serving(patience=0.5) as running, client(running.http_port) as one:
        one.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while not one.reader.at_eof() and b"408" not in bytes(one.reader._buffer):  # type: ignore[attr-defined]
            one.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.02)  # as above
        assert statuses(await one.rest()) == [408]
        assert running.receiver.admission.in_flight == 0
        await alive(running)


@pytest.mark.parametrize("size", [100, 300_000, 3 << 20])
async def test_bodies_of_any_size_in_pieces_of_any_size(size: int) -> None:
    body = otlp_requests.body(max(1, size // 200), attributes=3)
    async with serving() as running, client(running.http_port) as one:
        for step in (1000, 65_537, len(body)):
            data = post(body)
            for at in range(0, len(data), step):
                one.send(data[at : at + step])
                await one.writer.drain()
            assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        assert running.store.payloads == [body] * 3
        assert running.receiver.admission.in_flight == 0


async def test_a_request_that_follows_a_large_body_in_the_same_bytes() -> None:
    body, small = otlp_requests.body(2000), otlp_requests.body(1)
    async with serving() as running, client(running.http_port) as one:
        one.send((post(body) + post(small)) * 3)
        for _ in range(6):
            assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        assert running.store.payloads == [body, small] * 3


async def test_what_is_refused_by_its_head_is_read_for_nothing_and_the_connection_lives() -> None:
    async with serving() as running, client(running.http_port) as one:
        head = HEAD.replace(b"x-protobuf", b"octet-stream")
        one.send(head + b"Content-Length: %d\r\n\r\n" % MAX_DISCARD)
        assert (await one.answer()).startswith(b"HTTP/1.1 415 ")
        one.send(bytes(MAX_DISCARD) + post(otlp_requests.body(1)))
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        one.send(head + b"Content-Length: %d\r\n\r\n" % (MAX_DISCARD + 1))
        answer = await one.rest()
        assert statuses(answer) == [415]
        assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("more", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_who_waits_for_leave_is_refused_without_it(more: bytes) -> None:
    async with serving() as running, client(running.http_port) as one:
        length = more or b"Content-Length: 10\r\n"
        one.send(HEAD.replace(b"traces", b"metrics") + b"Expect: 100-continue\r\n" + length + b"\r\n")
        answer = await one.rest()
        assert statuses(answer) == [404]
        assert b"\r\nConnection: close\r\n" in answer


async def test_leave_to_send_comes_after_the_answers_before_it() -> None:
    async with serving() as running, client(running.http_port) as one:
        running.store.gate = Gate()
        body = otlp_requests.body(1)
        one.send(post(body) + HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        await until(lambda: running.store.waiting == 1, "the first waits for the disk")
        running.store.gate.set()
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        assert (await one.answer()).startswith(b"HTTP/1.1 100 ")
        one.send(body)
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_has_sent_all_still_gets_its_answers() -> None:
    async with serving() as running, client(running.http_port) as one:
        running.store.gate = Gate()
        one.send(post(otlp_requests.body(1)) + post(otlp_requests.body(2)))
        one.writer.write_eof()
        await until(lambda: running.store.waiting == 2, "both wait for the disk")
        running.store.gate.set()
        assert statuses(await one.rest()) == [200, 200]


async def test_http_1_0() -> None:
    async with serving() as running:
        body = otlp_requests.body(1)
        old = b"POST /v1/traces HTTP/1.0\r\nContent-Type: application/x-protobuf\r\n"
        async with client(running.http_port) as one:
            one.send(old + b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert b"\r\nConnection: keep-alive\r\n" in await one.answer()
            one.send(old + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert statuses(await one.rest()) == [200]


async def test_a_head_request_gets_no_body() -> None:
    async with serving() as running, client(running.http_port) as one:
        one.send(OTHER.replace(b"GET", b"HEAD") + post(otlp_requests.body(1), b"Connection: close\r\n"))
        answer = await one.rest()
        assert statuses(answer) == [404, 200]
        assert b"nothing is served" not in answer


async def test_a_stop_closes_idle_connections_and_cuts_off_what_takes_too_long() -> None:
    async with serving() as running, client(running.http_port) as idle, client(running.http_port) as busy:
        running.store.gate = Gate()
        busy.send(post(otlp_requests.body(1)))
        await until(lambda: running.store.waiting == 1, "a request waits for the disk")
        await running.http.stop(0.1)
        assert await idle.rest() == await busy.rest() == b""
        running.store.gate.set()
