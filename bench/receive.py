"""What the receivers cost by themselves: a server that only acknowledges, without a log behind it.

    python bench/receive.py [--seconds 5] [--rounds 2]

Three servers, alternated: `bare` is a handler on grpcio's own server that answers whatever comes, `grpc` and `http` are
ours, with scan, admission and accounting. CPU is the server's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
import grpc.aio
import uvloop
from load import load
from procfs import cpu_seconds
from spans import Template

from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Done, Receiver
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver

JOBS = ((512, 16), (50, 16), (1, 32))
"""Spans a request, requests in flight."""


class Bare(grpc.GenericRpcHandler):
    """grpcio and nothing else."""

    def __init__(self) -> None:
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._handler

    async def _answer(self, body: bytes, context: object) -> bytes:
        return b""


async def serve(kind: str) -> None:
    """Run one server until standard input closes; its port is the first line of output."""

    def submit(payload: bytes, spans: int, done: Done, critical: bool) -> None:
        done(None)

    receiver = Receiver(submit, Intake(), Admission(64 << 20), lambda: False)
    if kind == "bare":
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
        server.add_generic_rpc_handlers((Bare(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stop: Callable[[float], Awaitable[None]] = server.stop
    else:
        ours = GrpcReceiver(receiver) if kind == "grpc" else HttpReceiver(receiver)
        port, stop = await ours.start("127.0.0.1", 0), ours.stop
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await stop(0)


async def load_http(target: str, template: Template, in_flight: int, seconds: float) -> dict[str, object]:
    """The HTTP counterpart of `load`."""
    url, requests = f"http://{target}/v1/traces", 0
    headers = {"Content-Type": "application/x-protobuf"}
    until = time.perf_counter() + seconds

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal requests
        while time.perf_counter() < until:
            async with session.post(url, data=template.request(), headers=headers) as response:
                await response.read()
                assert response.status == 200, response.status
            requests += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        begin = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(in_flight)))
        took = time.perf_counter() - begin
    return {"requests": requests, "acknowledged": requests * template.spans, "seconds": took}


async def measure(kind: str, spans: int, in_flight: int, seconds: float) -> dict[str, object]:
    """One server, one job."""
    run: Callable[..., Awaitable[dict[str, object]]] = load_http if kind == "http" else load
    command = (sys.executable, __file__, "--serve", kind)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None and process.stdin is not None
    port = int(await asyncio.wait_for(process.stdout.readline(), 30))
    template, target = Template(spans), f"127.0.0.1:{port}"
    await run(target, template, in_flight, 0.5)
    before = cpu_seconds(process.pid)
    found = await run(target, template, in_flight, seconds)
    used = cpu_seconds(process.pid) - before
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 30)
    requests, acknowledged, took = (float(str(found[name])) for name in ("requests", "acknowledged", "seconds"))
    return {
        "server": kind,
        "spans_per_request": spans,
        "in_flight": in_flight,
        "requests_per_second": round(requests / took),
        "spans_per_second": round(acknowledged / took),
        "cpu_us_per_request": round(used / requests * 1e6, 1),
        "spans_per_cpu_second": round(acknowledged / used),
    }


async def compare(seconds: float, rounds: int) -> None:
    """Measure, print one JSON object a line."""
    for _ in range(rounds):
        for spans, in_flight in JOBS:
            for kind in ("bare", "grpc", "http"):
                print(json.dumps(await measure(kind, spans, in_flight, seconds)), flush=True)


def main() -> None:
    """Parse, and do what was asked."""
    parser = argparse.ArgumentParser(description="receivers that only acknowledge")
    parser.add_argument("--serve", choices=["bare", "grpc", "http"], help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if options.serve == "bare":
        asyncio.run(serve(options.serve))  # grpcio has threads and a loop of its own; uvloop gains it nothing
    elif options.serve:
        uvloop.run(serve(options.serve))
    else:
        asyncio.run(compare(options.seconds, options.rounds))


if __name__ == "__main__":
    main()
