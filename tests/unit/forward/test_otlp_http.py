"""The HTTP exporter against real servers: what each answer is taken for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest
import uvloop
from aiohttp import web
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from forward_support.servers import HttpBackend, RawBackend, read_http_request, reset
from forward_support.spans import request
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.otlp_http import LARGE_BODY, HttpExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_spec.config import Protocol
from waiting import turns

NOW = 784111680.0
PROTOBUF = "application/x-protobuf"


def to(endpoint: str, **settings: Any) -> Connection:
    return Connection(Protocol.HTTP, endpoint + "/v1/traces", endpoint.split("//")[1], **settings)


@asynccontextmanager
async def exporter(connection: Connection) -> AsyncIterator[HttpExporter]:
    made = HttpExporter(connection, now=lambda: NOW)
    try:
        yield made
    finally:
        await made.close()


async def answered(response: Callable[[], web.StreamResponse]) -> Outcome:
    """What one request becomes whose server answers with `response`."""

    async def behave(body: bytes, request: web.Request) -> web.StreamResponse:
        return response()

    backend = HttpBackend(behave)
    await backend.start()
    try:
        async with exporter(to(backend.endpoint)) as sender:
            return await sender.send(request(1)[0], 5)
    finally:
        await backend.stop()


async def raw(handle: Callable[..., Awaitable[None]], body: bytes = b"\n\x00", timeout: float = 5) -> Outcome:  # noqa: ASYNC109
    """What one request becomes at a server that is no HTTP server at all."""
    backend = RawBackend(handle)
    await backend.start()
    try:
        async with exporter(to(backend.endpoint)) as sender:
            return await sender.send(body, timeout)
    finally:
        await backend.stop()


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_is_success(status: int) -> None:
    assert await answered(lambda: web.Response(status=status)) == Sent()


async def test_partial_success_in_protobuf() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    assert await answered(lambda: web.Response(body=body, content_type=PROTOBUF)) == Sent(3, "too old")


async def test_partial_success_in_json() -> None:
    body = '{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}'
    assert await answered(lambda: web.Response(text=body, content_type="application/json")) == Sent(3, "too old")


@pytest.mark.parametrize("status", [400, 422])
async def test_wrong_spans_are_refused_with_the_backends_words(status: int) -> None:
    body = Status(code=3, message="trace_id is empty").SerializeToString()
    outcome = await answered(lambda: web.Response(status=status, body=body, content_type=PROTOBUF))
    assert isinstance(outcome, Refused)
    assert "trace_id is empty" in outcome.reason
    assert str(status) in outcome.reason


async def test_413_is_too_large_for_certain() -> None:
    outcome = await answered(lambda: web.Response(status=413))
    assert isinstance(outcome, TooLarge)
    assert outcome.certain


@pytest.mark.parametrize(
    ("status", "header", "after", "throttled"),
    [
        (429, "7", 7.0, True),
        (429, formatdate(NOW + 97, usegmt=True), 97.0, True),
        (429, None, None, True),
        (429, "whenever", None, True),
        (503, "7", 7.0, True),
        (503, None, None, False),
        (502, "7", 7.0, False),
        (504, None, None, False),
        (408, None, None, False),
    ],
)
async def test_retryable(status: int, header: str | None, after: float | None, throttled: bool) -> None:
    headers = {"Retry-After": header} if header is not None else {}
    outcome = await answered(lambda: web.Response(status=status, headers=headers))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.throttled, outcome.suspect) == (after, throttled, False)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "credentials"),
        (403, "credentials"),
        (404, "otlp.endpoint"),
        (405, "otlp.endpoint"),
        (415, "otlp.endpoint"),
    ],
)
async def test_a_wrong_configuration_is_never_blamed_on_the_spans(status: int, hint: str) -> None:
    outcome = await answered(lambda: web.Response(status=status))
    assert isinstance(outcome, Retry)
    assert not outcome.suspect
    assert hint in outcome.reason


@pytest.mark.parametrize("status", [500, 501, 409, 418, 599])
async def test_other_failures_may_be_the_requests_fault(status: int) -> None:
    outcome = await answered(lambda: web.Response(status=status))
    assert isinstance(outcome, Retry)
    assert outcome.suspect


async def test_redirects_are_not_followed() -> None:
    elsewhere = HttpBackend()
    await elsewhere.start()
    try:
        location = {"Location": elsewhere.endpoint + "/v1/traces"}
        outcome = await answered(lambda: web.Response(status=307, headers=location))
        assert isinstance(outcome, Retry)
        assert elsewhere.taken.calls == 0
    finally:
        await elsewhere.stop()


async def test_sends_headers_and_gzip() -> None:
    backend = HttpBackend()
    await backend.start()
    headers = (("authorization", "Bearer token"), ("x-scope-orgid", "shop"))
    body, ids = request(300, 200)
    try:
        async with exporter(to(backend.endpoint, headers=headers, compression="gzip")) as sender:
            assert await sender.send(body, 5) == Sent()
            small, more = request(1)
            assert await sender.send(small, 5) == Sent()
    finally:
        await backend.stop()
    assert backend.taken.ids == ids + more
    for seen in backend.headers:
        assert seen["authorization"] == "Bearer token"
        assert seen["x-scope-orgid"] == "shop"
        assert seen["content-type"] == PROTOBUF
        assert seen["content-encoding"] == "gzip"
    assert int(backend.headers[0]["content-length"]) < len(body)


async def test_large_body_goes_whole_and_connections_are_reused() -> None:
    backend = HttpBackend()
    await backend.start()
    body, ids = request(2000, 2000)
    try:
        async with exporter(to(backend.endpoint)) as sender:
            peers = set()

            async def behave(body: bytes, request: web.Request) -> web.StreamResponse:
                peers.add(request.transport.get_extra_info("peername") if request.transport else None)
                return web.Response()

            backend.behave = behave
            for _ in range(3):
                assert await sender.send(body, 10) == Sent()
    finally:
        await backend.stop()
    assert backend.taken.ids == ids * 3
    assert len(peers) == 1


@pytest.mark.parametrize("most", [1, 3])
async def test_connections_are_as_many_as_are_busy_and_no_more_than_allowed(most: int) -> None:
    backend, peers, now, largest = HttpBackend(), set(), 0, 0

    async def behave(body: bytes, request: web.Request) -> web.StreamResponse:
        nonlocal now, largest
        now += 1
        largest = max(largest, now)
        peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        await turns(20)
        now -= 1
        return web.Response()

    backend.behave = behave
    await backend.start()
    try:
        async with exporter(to(backend.endpoint, max_connections=most)) as sender:
            assert await asyncio.gather(*(sender.send(request(1)[0], 20) for _ in range(12))) == [Sent()] * 12
    finally:
        await backend.stop()
    assert 1 <= largest <= most
    assert len(peers) <= most


async def test_waiting_for_a_connection_ends_in_time() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    backend = RawBackend(hang)
    await backend.start()
    async with exporter(to(backend.endpoint, max_connections=1)) as sender:
        outcomes = await asyncio.gather(*(sender.send(b"x", 0.2) for _ in range(3)))
    await backend.stop()
    assert all(isinstance(outcome, Retry) for outcome in outcomes)


def one_by_one(*answers: bytes, close: bool = False) -> Callable[..., Awaitable[None]]:
    """A server that gives these answers in turn, and closes after each or after the last."""
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await read_http_request(reader)
            writer.write(left.pop(0))
            await writer.drain()
            if close:
                return

    return handle


async def delivers_twice(backend: RawBackend) -> None:
    """One request after the other is taken."""
    await backend.start()
    async with exporter(to(backend.endpoint)) as sender:
        assert await sender.send(b"\n\x00", 5) == Sent()
        assert await sender.send(b"\n\x00", 5) == Sent()
    await backend.stop()


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def test_request_that_meets_a_connection_closed_meanwhile_is_sent_on_a_new_one() -> None:
    """The server says nothing of closing: only the next request shows it."""
    backend = RawBackend(one_by_one(EMPTY, EMPTY, close=True))
    await delivers_twice(backend)
    assert backend.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + EMPTY,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        EMPTY + EMPTY,
    ],
)
async def test_forms_of_success(answer: bytes) -> None:
    await delivers_twice(RawBackend(one_by_one(answer, answer, close=True)))


async def test_early_413_is_heard_before_the_request_has_left() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    assert isinstance(await raw(early, body=bytes(8 << 20)), TooLarge)


async def test_endless_head_is_no_answer() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-More: " + b"x" * 4000 + b"\r\n")
            await writer.drain()

    outcome = await raw(chatter)
    assert isinstance(outcome, Retry)
    assert "head of its answer" in outcome.reason


@pytest.mark.parametrize("status", [400, 500])
async def test_configured_statuses_are_retried_and_blame_nothing(status: int) -> None:
    backend = HttpBackend(lambda body, request: answer_with(status))
    await backend.start()
    try:
        async with exporter(to(backend.endpoint, retry_codes=(status,))) as sender:
            outcome = await sender.send(request(1)[0], 5)
    finally:
        await backend.stop()
    assert isinstance(outcome, Retry)
    assert not outcome.suspect


async def answer_with(status: int) -> web.StreamResponse:
    return web.Response(status=status)


@pytest.mark.parametrize(("taken", "spans"), [("zstd", 1), ("zstd", 2000), ("gzip", 1), ("", 1)])
async def test_compression_falls_back_to_what_the_backend_takes(taken: str, spans: int) -> None:
    tried: list[str] = []

    async def picky(body: bytes, request: web.Request) -> web.StreamResponse:
        tried.append(request.headers.get("content-encoding", ""))
        return web.Response(status=200 if tried[-1] == taken else 415)

    backend = HttpBackend(picky)
    await backend.start()
    body, ids = request(spans, 200)
    try:
        async with exporter(to(backend.endpoint, compression="zstd")) as sender:
            assert await sender.send(body, 10) == Sent()
            assert await sender.send(body, 10) == Sent()
    finally:
        await backend.stop()
    assert backend.taken.ids == ids * 2
    order = ["zstd", "gzip", ""]
    assert tried == [*order[: order.index(taken) + 1], taken]


def test_header_with_a_line_break_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="'x-tenant' holds a line break"):
        HttpExporter(to("http://localhost:1", headers=(("x-tenant", "a\r\nb: c"),)))


async def test_hanging_server_is_a_timeout() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    outcome = await raw(hang, timeout=0.1)
    assert isinstance(outcome, Retry)
    assert "no answer" in outcome.reason
    assert "0.1 s" in outcome.reason


async def test_nobody_listens() -> None:
    backend = RawBackend(lambda reader, writer: turns())
    await backend.start()
    await backend.stop()
    async with exporter(to(backend.endpoint)) as sender:
        outcome = await sender.send(b"", 5)
    assert isinstance(outcome, Retry)
    assert "otlp.endpoint" in outcome.reason


@pytest.mark.parametrize(("size", "suspect"), [(10, False), (LARGE_BODY + 1, True)])
async def test_reset_in_the_middle(size: int, suspect: bool) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    outcome = await raw(rude, body=b"x" * size)
    assert isinstance(outcome, Retry)
    assert outcome.suspect is suspect


async def test_garbage_instead_of_http() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x00\x01 not http at all\r\n\r\n")
        await writer.drain()

    outcome = await raw(garbage)
    assert isinstance(outcome, Retry)


async def test_oversized_answer_is_judged_by_its_status() -> None:
    body = b"\x12" * (LARGEST_ANSWER + 1)
    outcome = await answered(lambda: web.Response(body=body, content_type=PROTOBUF))
    assert isinstance(outcome, Sent)
    assert "over" in outcome.message
    outcome = await answered(lambda: web.Response(status=503, body=body, content_type=PROTOBUF))
    assert isinstance(outcome, Retry)


async def test_endless_answer_is_judged_by_its_status() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\n")
        await writer.drain()
        await reader.read()

    outcome = await raw(drip, timeout=0.2)
    assert isinstance(outcome, Sent)
    assert "did not arrive whole" in outcome.message


async def test_answer_that_stops_short() -> None:
    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_http_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()

    assert isinstance(await raw(short), Sent)


async def test_compressed_answer_is_not_inflated() -> None:
    bomb = gzip.compress(b"\x00" * (64 << 20))
    outcome = await answered(
        lambda: web.Response(body=bomb, content_type=PROTOBUF, headers={"Content-Encoding": "gzip"})
    )
    assert isinstance(outcome, Sent)


async def test_close_ends_what_still_runs() -> None:
    started = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        started.set()
        await reader.read()

    backend = RawBackend(hang)
    await backend.start()
    async with exporter(to(backend.endpoint)) as sender:
        sending = asyncio.create_task(sender.send(b"x", 30))
        await started.wait()
        await sender.close()
        assert isinstance(await sending, Retry)
    await backend.stop()


def test_the_loop_that_the_sidecar_runs_on() -> None:
    """uvloop's transports are not asyncio's: they differ in class, in when they write, and in how they end."""

    async def behave(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if len(body) < 3 << 20 else 413)

    async def main() -> list[Outcome]:
        backend, gone = HttpBackend(behave), HttpBackend()
        await backend.start()
        await gone.start()
        await gone.stop()
        small, large = request(1)[0], request(1, 4 << 20)[0]
        try:
            async with exporter(to(backend.endpoint)) as sender, exporter(to(gone.endpoint)) as lost:
                outcomes: list[Outcome] = list(await asyncio.gather(*(sender.send(small, 10) for _ in range(20))))
                outcomes.append(await sender.send(request(1, 2 << 20)[0], 10))
                outcomes.append(await sender.send(large, 10))
                outcomes.append(await lost.send(small, 10))
        finally:
            await backend.stop()
        return outcomes

    *taken, large, gone = uvloop.run(main())
    assert taken == [Sent()] * 21
    assert isinstance(large, TooLarge)
    assert isinstance(gone, Retry)
    assert "otlp.endpoint" in gone.reason
