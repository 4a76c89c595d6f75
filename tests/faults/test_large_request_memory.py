"""The largest requests that OTLP allows, in the memory that the sidecar has by default."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest

from sidecar_process import Sidecars, manifest, otlp
from tracekeeper_sidecar.wire.varint import delimited

SIZE = 60_000_000
LIMIT = 256 << 20
"""The container's limit. What a kernel counts besides (sockets, page tables) must fit, too."""
SPARE = 40 << 20
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Counting:
    """Two gRPC backends in one that count calls and bytes, and decode nothing."""

    def __init__(self) -> None:
        self.largest = 0

    async def export(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.largest = max(self.largest, len(request))
        return b""


class Watch:
    """The most anonymous memory of a process, looked at every few milliseconds."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._status = Path(f"/proc/{pid}/status")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            lines = self._status.read_text().splitlines()
            self.peak = max([self.peak, *(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))])

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def large_body(padding: int) -> tuple[bytes, int]:
    span = delimited(2, delimited(1, b"t" * 16) + delimited(2, b"s" * 8) + delimited(5, b"n" * padding))
    count = SIZE // len(span)
    return delimited(1, delimited(2, span * count)), count


@pytest.fixture
async def backends() -> AsyncIterator[tuple[Counting, list[int]]]:
    counting = Counting()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(counting.export)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(2)]
    await server.start()
    yield counting, ports
    await server.stop(0)


def post(port: int, data: bytes) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/traces", data=data, headers={"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        status: int = answer.status
        return status


def call(port: int, data: bytes) -> int:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        export(data, timeout=30)
    return 200


@pytest.mark.parametrize("padding", [60, 450])
@pytest.mark.parametrize("send", [post, call])
async def test_a_request_of_60_mb_is_stored_and_delivered_within_the_memory_there_is(
    sidecars: Sidecars, backends: tuple[Counting, list[int]], padding: int, send: Callable[[int, bytes], int]
) -> None:
    counting, ports = backends
    config = manifest(*(otlp(f"b{index}", "GRPC", port) for index, port in enumerate(ports)))
    sidecar = sidecars.start(config=config)
    assert await asyncio.to_thread(sidecar.post, 3, 1) == 200
    await asyncio.to_thread(sidecar.settled)
    data, spans = large_body(padding)
    with Watch(sidecar.pid) as watch:
        port = sidecar.http if send is post else sidecar.grpc
        assert await asyncio.to_thread(send, port, data) == 200
        book = await asyncio.to_thread(sidecar.settled, 40.0)
    assert book["acknowledged"] == spans + 3
    assert [entry["delivered"] for entry in book["delivery"].values()] == [spans + 3] * 2
    assert counting.largest <= 4 << 20
    print(f"{len(data) / 1e6:.0f} MB, {spans} spans by {send.__name__}: at most {watch.peak / 1e6:.0f} MB of memory")
    assert watch.peak < LIMIT - SPARE
