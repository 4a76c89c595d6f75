"""The gRPC exporter against real servers: what each answer is taken for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from forward_support.servers import GrpcBackend, GrpcBehaviour, RawBackend, grpc_hang, grpc_ok, status_with_retry_info
from forward_support.spans import request
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.h2_pool import FULL_CALLS
from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_spec.config import Protocol

Code = grpc.StatusCode
Context = grpc.aio.ServicerContext


def to(endpoint: str, **settings: Any) -> Connection:
    return Connection(Protocol.GRPC, endpoint, endpoint.split("//")[1], **settings)


@asynccontextmanager
async def exporter(connection: Connection) -> AsyncIterator[GrpcExporter]:
    made = GrpcExporter(connection)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def backend(behave: GrpcBehaviour = grpc_ok, **settings: Any) -> AsyncIterator[GrpcBackend]:
    made = GrpcBackend(behave, **settings)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def aborting(code: grpc.StatusCode, trailers: tuple[tuple[str, bytes], ...] = ()) -> GrpcBehaviour:
    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        await context.abort(code, "said so", trailers)

    return behave


async def answered(behave: GrpcBehaviour) -> Outcome:
    async with backend(behave) as server, exporter(to(server.endpoint)) as sender:
        return await sender.send(request(1)[0], 5)


async def test_success() -> None:
    assert await answered(grpc_ok) == Sent()


async def test_partial_success() -> None:
    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        partial = ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
        return ExportTraceServiceResponse(partial_success=partial).SerializeToString()

    assert await answered(behave) == Sent(3, "too old")


async def test_resource_exhausted_with_retry_info_is_throttling() -> None:
    detail = ("grpc-status-details-bin", status_with_retry_info(Code.RESOURCE_EXHAUSTED, 2.5))
    outcome = await answered(aborting(Code.RESOURCE_EXHAUSTED, (detail,)))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.throttled) == (2.5, True)


async def test_retry_info_in_a_trailer_of_its_own() -> None:
    info = RetryInfo(retry_delay=Duration(seconds=3)).SerializeToString()
    outcome = await answered(aborting(Code.UNAVAILABLE, (("google.rpc.retryinfo-bin", info),)))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.throttled) == (3.0, True)


async def test_resource_exhausted_without_retry_info_may_be_too_large() -> None:
    outcome = await answered(aborting(Code.RESOURCE_EXHAUSTED))
    assert isinstance(outcome, TooLarge)
    assert not outcome.certain
    assert "said so" in outcome.reason


async def test_a_servers_message_limit_is_too_large() -> None:
    async with backend(max_bytes=1000) as server, exporter(to(server.endpoint)) as sender:
        outcome = await sender.send(request(100)[0], 5)
        assert isinstance(outcome, TooLarge)
        assert (outcome.certain, outcome.limit) == (True, 1000)
        assert await sender.send(request(1)[0], 5) == Sent()


@pytest.mark.parametrize(
    "code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.ABORTED, Code.OUT_OF_RANGE, Code.DATA_LOSS]
)
async def test_retryable_codes(code: grpc.StatusCode) -> None:
    outcome = await answered(aborting(code))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.throttled, outcome.suspect) == (None, False, False)


async def test_out_of_range_that_names_a_limit_of_size_is_too_large() -> None:
    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        text = "Error, decoded message length too large: found 5000 bytes, the limit is: 4194304 bytes"
        await context.abort(Code.OUT_OF_RANGE, text)

    outcome = await answered(behave)
    assert isinstance(outcome, TooLarge)
    assert (outcome.certain, outcome.limit) == (True, 4194304)


@pytest.mark.parametrize(("calls", "connections"), [(1, 1), (FULL_CALLS + 1, 2), (5 * FULL_CALLS, 3)])
async def test_another_connection_is_opened_when_one_is_full(calls: int, connections: int) -> None:
    peers, arrived, go = set(), 0, asyncio.Event()

    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        nonlocal arrived
        peers.add(context.peer())
        arrived += 1
        if arrived == calls:
            go.set()
        await go.wait()
        return b""

    async with backend(behave) as server, exporter(to(server.endpoint, max_connections=3)) as sender:
        outcomes = await asyncio.gather(*(sender.send(request(1)[0], 20) for _ in range(calls)))
    assert outcomes == [Sent()] * calls
    assert len(peers) == connections


async def test_invalid_argument_is_refused() -> None:
    outcome = await answered(aborting(Code.INVALID_ARGUMENT))
    assert isinstance(outcome, Refused)
    assert "said so" in outcome.reason


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (Code.UNAUTHENTICATED, "credentials"),
        (Code.PERMISSION_DENIED, "credentials"),
        (Code.UNIMPLEMENTED, "otlp.endpoint"),
        (Code.NOT_FOUND, "otlp.endpoint"),
    ],
)
async def test_a_wrong_configuration_is_never_blamed_on_the_spans(code: grpc.StatusCode, hint: str) -> None:
    outcome = await answered(aborting(code))
    assert isinstance(outcome, Retry)
    assert not outcome.suspect
    assert hint in outcome.reason


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNKNOWN, Code.ALREADY_EXISTS])
async def test_other_failures_may_be_the_requests_fault(code: grpc.StatusCode) -> None:
    outcome = await answered(aborting(code))
    assert isinstance(outcome, Retry)
    assert outcome.suspect


async def test_oversized_answer_is_not_taken_for_an_oversized_request() -> None:
    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        return b"\x12" * (LARGEST_ANSWER + 1)

    outcome = await answered(behave)
    assert isinstance(outcome, Sent)
    assert "not read" in outcome.message


async def test_sends_metadata_and_gzip() -> None:
    headers = (("authorization", "Bearer token"), ("x-scope-orgid", "shop"), ("key-bin", "ab"))
    body, ids = request(300, 200)
    async with backend() as server, exporter(to(server.endpoint, headers=headers, compression="gzip")) as sender:
        assert await sender.send(body, 5) == Sent()
    assert server.taken.ids == ids
    seen = server.metadata[0]
    assert (seen["authorization"], seen["x-scope-orgid"], seen["key-bin"]) == ("Bearer token", "shop", b"ab")


async def test_hanging_server_is_a_timeout() -> None:
    async with backend(grpc_hang) as server, exporter(to(server.endpoint)) as sender:
        outcome = await sender.send(request(1)[0], 0.2)
    assert isinstance(outcome, Retry)
    assert "no answer" in outcome.reason


async def test_server_that_never_speaks_is_a_timeout() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = RawBackend(mute)
    await server.start()
    async with exporter(to(server.endpoint)) as sender:
        assert isinstance(await sender.send(b"", 0.2), Retry)
    await server.stop()


async def test_reaches_a_server_that_came_back_at_the_very_next_send() -> None:
    """gRPC's own reconnect backoff would fail calls for a second at least."""
    server = GrpcBackend()
    await server.start()
    async with exporter(to(server.endpoint)) as sender:
        assert await sender.send(request(1)[0], 5) == Sent()
        await server.stop()
        for _ in range(3):
            outcome = await sender.send(request(1)[0], 5)
            assert isinstance(outcome, Retry)
            assert "otlp.endpoint" in outcome.reason
        await server.start()
        assert await sender.send(request(1)[0], 5) == Sent()
        await server.stop()


@asynccontextmanager
async def under_way() -> AsyncIterator[tuple[GrpcExporter, asyncio.Task[Outcome]]]:
    """A send that has arrived and is never answered."""
    arrived = asyncio.Event()

    async def hang(body: bytes, context: Context[bytes, bytes]) -> bytes:
        arrived.set()
        return await grpc_hang(body, context)

    async with backend(hang) as server, exporter(to(server.endpoint)) as sender:
        sending = asyncio.create_task(sender.send(request(1)[0], 30))
        await arrived.wait()
        yield sender, sending


async def test_close_ends_what_still_runs() -> None:
    async with under_way() as (sender, sending):
        await sender.close()
        assert isinstance(await sending, Retry)


async def test_cancelled_send_is_cancelled() -> None:
    async with under_way() as (_, sending):
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
