"""gRPC answers by OTLP 1.11, seen by a plain gRPC client that sends what it likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import otlp_requests
from receivers import EXPORT, Gate, Serving, serving
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from tracekeeper_sidecar.receive.admission import OVERHEAD
from waiting import until

MIB = 1 << 20


@contextlib.asynccontextmanager
async def client(running: Serving) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}", options=options) as channel:
        yield channel


def export(channel: grpc.aio.Channel, method: str = EXPORT) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """Bytes in and out."""
    return channel.unary_unary(method)


async def send(running: Serving, body: bytes, method: str = EXPORT, **options: Any) -> bytes:
    async with client(running) as channel:
        return await export(channel, method)(body, timeout=40, **options)


async def refusal(running: Serving, body: bytes, method: str = EXPORT, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(running, body, method, **options)
    return caught.value


def said(error: grpc.aio.AioRpcError) -> str:
    return error.details() or ""


def delays(error: grpc.aio.AioRpcError) -> tuple[float | None, float | None]:
    """Seconds of RetryInfo in the status details, and in the bare trailer."""
    trailers = dict(error.trailing_metadata())
    found: list[float | None] = [None, None]
    if "grpc-status-details-bin" in trailers:
        status, info = Status.FromString(trailers["grpc-status-details-bin"]), RetryInfo()
        assert status.code == error.code().value[0]
        assert status.details[0].Unpack(info)
        found[0] = info.retry_delay.ToNanoseconds() / 1e9
    if "google.rpc.retryinfo-bin" in trailers:
        bare = RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
        found[1] = bare.retry_delay.ToNanoseconds() / 1e9
    return found[0], found[1]


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_success_has_no_partial_success(compression: grpc.Compression | None) -> None:
    body = otlp_requests.body(20)
    async with serving() as running:
        answer = ExportTraceServiceResponse.FromString(await send(running, body, compression=compression))
        assert not answer.HasField("partial_success")
        assert running.store.payloads == [body]


async def test_an_empty_request_succeeds() -> None:
    async with serving() as running:
        assert await send(running, b"") == b""


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"\x0a\x05abc", "resource_spans[0]: the value ends beyond the message that holds it"),
        (b'{"resourceSpans": []}', "this is JSON, but the content type says protobuf"),
        (otlp_requests.body(1).replace(b"key.0", b"key\xff0"), "attributes[0].key: the text is not valid UTF-8"),
    ],
)  # fmt: skip
async def test_malformed_protobuf_names_the_field(body: bytes, cause: str) -> None:
    async with serving() as running:
        error = await refusal(running, body)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert cause in said(error)
        assert delays(error) == (None, None)
        assert running.ledger.refused_requests == {"malformed": 1}
        assert await send(running, otlp_requests.body(1)) == b"", "the server lives"


@pytest.mark.parametrize(("name", "value"), [("trace_id", b"short"), ("trace_id", bytes(16)), ("span_id", b"")])
async def test_wrong_ids_name_the_span(name: str, value: bytes) -> None:
    message = otlp_requests.request(3)
    setattr(message.resource_spans[0].scope_spans[0].spans[2], name, value)
    async with serving() as running:
        error = await refusal(running, message.SerializeToString())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"resource_spans[0].scope_spans[0].spans[2].{name}: " in said(error)
        assert running.store.payloads == []


@pytest.mark.parametrize("size", [64 * MIB + 1, 100 * MIB])
async def test_oversized_is_refused_for_good(size: int) -> None:
    async with serving() as running:
        error = await refusal(running, bytes(size))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "is over the limit of 67108864 bytes" in said(error)
        assert delays(error) == (None, None)


async def test_a_request_at_the_limit_is_taken() -> None:
    message = otlp_requests.request(1)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.name = "n" * (64 * MIB - 300)
    span.name += "n" * (64 * MIB - message.ByteSize())
    body = message.SerializeToString()
    assert len(body) == 64 * MIB
    async with serving() as running:
        assert await send(running, body) == b""
        assert len(running.store.payloads[0]) == 64 * MIB


async def test_a_gzip_bomb_is_refused_for_good() -> None:
    async with serving() as running:
        error = await refusal(running, bytes(100 * MIB), compression=grpc.Compression.Gzip)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "is over the limit of 67108864 bytes" in said(error)
        assert delays(error) == (None, None)


async def test_a_full_buffer_tells_both_kinds_of_clients_when_to_come_back() -> None:
    async with serving() as running:
        running.store.fault = LogFull("quota", "no room until a backend takes spans", 2.5)
        error = await refusal(running, otlp_requests.body(4))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == "the buffer is full: no room until a backend takes spans"
        assert delays(error) == (2.5, 2.5)
        assert running.ledger.refused == {"quota": 4}


async def test_a_log_that_cannot_be_written() -> None:
    async with serving() as running:
        running.store.fault = LogUnavailable("/data: Read-only file system", 3)
        error = await refusal(running, otlp_requests.body(4))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "Read-only file system" in said(error)
        assert delays(error) == (3, 3)


async def test_too_much_in_flight_is_refused_not_queued() -> None:
    async with serving(admission=2000) as running, client(running) as channel:
        running.store.gate = Gate()
        first = export(channel)(otlp_requests.body(10), timeout=40)
        await until(lambda: running.store.waiting, "the first request waits for the disk")
        error = await refusal(running, otlp_requests.body(10))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert delays(error) == (1, 1)
        running.store.gate.set()
        assert await first == b""


async def test_calls_at_once_are_bounded() -> None:
    async with serving(admission=3 * OVERHEAD + 2000) as running, client(running) as channel:
        running.store.gate = Gate()
        waiting = [export(channel)(otlp_requests.body(1), timeout=40) for _ in range(3)]
        await until(lambda: running.store.waiting == 3, "three requests wait for the disk")
        error = await refusal(running, otlp_requests.body(1))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert delays(error) == (1, 1)
        running.store.gate.set()
        assert [await call for call in waiting] == [b""] * 3


async def test_a_client_that_gives_up_keeps_its_share_until_the_log_lets_go_of_its_bytes() -> None:
    async with serving() as running:
        running.store.gate = Gate()
        async with client(running) as channel:
            call = export(channel)(otlp_requests.body(10), timeout=40)
            await until(lambda: running.store.waiting, "the request waits for the disk")
            call.cancel()
        assert running.receiver.admission.in_flight > 0
        running.store.gate.set()
        assert running.receiver.admission.in_flight == 0
        assert len(running.store.payloads) == 1


@pytest.mark.parametrize("method", ["/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "/x/y"])
async def test_other_methods_are_unimplemented_and_say_what_is_served(method: str) -> None:
    async with serving() as running:
        error = await refusal(running, b"", method)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "takes traces only" in said(error)
        assert "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" in said(error)


async def test_many_requests_at_once_over_one_connection() -> None:
    async with serving() as running, client(running) as channel:
        call = export(channel)
        await asyncio.gather(*(call(otlp_requests.body(2, seed=number), timeout=40) for number in range(600)))
        assert len(set(running.store.span_ids())) == 1200
