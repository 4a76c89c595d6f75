"""Clients that stall, vanish or speak nonsense, over raw sockets: each is cut off, and the servers live."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

import otlp_requests
from receivers import Gate, Serving, serving
from waiting import until

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


async def talk(port: int, sent: bytes, *, hang_up: bool = False) -> bytes:
    """Everything that the server says until it closes the connection, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    if hang_up:
        writer.transport.abort()
        return b""
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def assert_alive(running: Serving) -> None:
    body = otlp_requests.body(1, seed=9)
    head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = await talk(running.http_port, head + body)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body in running.store.payloads
    assert running.receiver.admission.in_flight == 0


async def test_http_body_that_never_ends() -> None:
    async with serving(patience=0.2) as running:
        answer = await talk(running.http_port, HEAD + b"Content-Length: 1000\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the request's body was not complete within 0.2 s" in answer
        assert running.ledger.refused_requests == {"slow_client": 1}
        await assert_alive(running)


@pytest.mark.parametrize("sent", [b"", HEAD, b"POST /v1/tra"])
async def test_http_head_that_never_ends(sent: bytes) -> None:
    async with serving(silence=0.3) as running:
        assert await talk(running.http_port, sent) == b""
        await assert_alive(running)


async def test_http_connection_that_goes_idle() -> None:
    async with serving(silence=0.3) as running:
        body = otlp_requests.body(1)
        answer = await talk(running.http_port, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 1000\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 99\r\n\r\n\x1f\x8b",
        b"POST /v1/tra",
    ],
)
async def test_http_clients_that_vanish_leave_no_error(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as running:
        with caplog.at_level(logging.WARNING):
            await talk(running.http_port, sent, hang_up=True)
            await assert_alive(running)
            await until(lambda: running.receiver.admission.in_flight == 0, "its share is given back")
        assert set(running.ledger.refused_requests) <= {"disconnected"}
        assert caplog.text == ""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",  # TLS to a plaintext port
        b"\x00\xff" * 5000 + b"\r\n\r\n",
        HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n",
    ],
)
async def test_http_nonsense_is_answered_400(sent: bytes) -> None:
    async with serving() as running:
        answer = await talk(running.http_port, sent)
        assert answer.split(b"\r\n")[0].split()[1:2] == [b"400"]
        await assert_alive(running)


async def test_http_expect_100_continue() -> None:
    async with serving() as running:
        body = otlp_requests.body(3)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_http_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as running:
        body = otlp_requests.body(1)
        good = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        bad = HEAD + b"Content-Length: 1\r\n\r\n?"
        last = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        answer = await talk(running.http_port, good + bad + last)
        assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"400", b"200"]


async def test_http_stop_lets_requests_under_way_finish() -> None:
    async with serving() as running:
        running.store.gate = Gate()
        body = otlp_requests.body(2)
        sent = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        answer = asyncio.create_task(talk(running.http_port, sent))
        await until(lambda: running.store.waiting, "the request waits for the disk")
        stop = asyncio.create_task(running.http.stop(10))
        with pytest.raises(ConnectionError):
            while True:
                await talk(running.http_port, b"", hang_up=True)
        running.store.gate.set()
        assert (await answer).startswith(b"HTTP/1.1 200 OK\r\n")
        await stop
