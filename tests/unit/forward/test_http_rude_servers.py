"""The HTTP client against servers, proxies and pages that are no OTLP service, and answers that never end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from forward_support.servers import RawBackend, read_http_request
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.http_wire import LARGEST_HEAD, HttpWire
from tracekeeper_sidecar.forward.otlp_http import HttpExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent
from tracekeeper_spec.config import Protocol

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def outcomes(handle: Handle, *bodies: bytes) -> list[Outcome]:
    backend = RawBackend(handle)
    await backend.start()
    sender = HttpExporter(Connection(Protocol.HTTP, f"http://127.0.0.1:{backend.port}/v1/traces", ""))
    try:
        return [await sender.send(body, 10) for body in bodies]
    finally:
        await sender.close()
        await backend.stop()


def saying(answer: bytes) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(answer)

    return handle


async def test_web_page_is_no_success() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>"
    [outcome] = await outcomes(saying(page), b"\n\0")
    assert isinstance(outcome, Retry)
    assert "web page" in outcome.reason
    assert "otlp.endpoint" in outcome.reason


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", Retry),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", Retry),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nname", Refused),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Refused),
    ],
)
async def test_400_of_somebody_who_has_seen_no_spans_drops_none(answer: bytes, kind: type[Outcome]) -> None:
    [outcome] = await outcomes(saying(answer), b"\n\0")
    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Retry) or outcome.suspect


async def test_success_before_the_whole_request_has_left_is_none() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EMPTY)
        await writer.drain()
        await writer.wait_closed()

    [outcome] = await outcomes(hasty, bytes(32 << 20))
    assert isinstance(outcome, Retry)
    assert "before it had the whole request" in outcome.reason


async def test_beginning_of_a_second_answer_does_not_meet_the_next_request() -> None:
    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(EMPTY + b"HTTP/1.1 400 Bad Request\r\n")
        await read_http_request(reader)
        writer.write(b"Content-Length: 0\r\n\r\n")

    assert await outcomes(eager, b"\n\0", b"\n\0") == [Sent(), Sent()]


async def test_trailers_that_never_end_are_not_gathered() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(b"HTTP/1.1 503 Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        for _ in range(3 * LARGEST_HEAD // 1000):
            writer.write(b"x: " + b"y" * 1000 + b"\r\n")
        await reader.read()

    [outcome] = await outcomes(chatter, b"\n\0")
    assert isinstance(outcome, Retry)
    assert "503" in outcome.reason


async def test_idle_connection_takes_nothing_unasked() -> None:
    wire = HttpWire(1000)
    wire.data_received(EMPTY)
    assert not wire.open
