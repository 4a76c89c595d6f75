"""A small OTLP trace backend for demos and tests: keeps what arrives, shows it, and fails when told to.

    python backend.py --name a --grpc-port 4317 --http-port 4318 --admin-port 8080

It prints one JSON line once every port is bound: {"event": "ready", "name": …, "grpc": 4317, "http": 4318,
"admin": 8080}. Port 0 takes any free one. The admin port answers:

    GET  /stats                       counts: requests, spans, distinct ids, duplicates, bytes, the mode
    GET  /spans?limit=100             the newest spans, newest last, as JSON
    GET  /ids                         every distinct span id seen, hexadecimal, one a line
    GET  /requests?limit=100          the newest requests with their headers and what was answered
    POST /fail?mode=MODE[&requests=N] misbehave from now on, or for the next N requests; mode=ok ends it
    POST /reset                       forget everything, mode ok

Modes: ok; unavailable (503); hang (no answer until the mode changes); reset (connections are cut until the
mode changes); throttle (429 and RetryInfo, &retry-after=SECONDS); refuse (400); too-large (413); partial (the
first span of each request is rejected); lost-answer (stores the spans, then answers unavailable, which is how
duplicates come to be).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from spans import Decode, Request, Store, counting_decoder, full_decoder

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
MAX_MESSAGE = 64 << 20
HANG_LIMIT = 600.0
"""Seconds after which even a hanging answer gives up, so that nothing waits for ever."""
MODES = ("ok", "unavailable", "hang", "reset", "throttle", "refuse", "too-large", "partial", "lost-answer")

ANSWERS: Mapping[str, tuple[grpc.StatusCode, int]] = {
    "unavailable": (grpc.StatusCode.UNAVAILABLE, 503),
    "lost-answer": (grpc.StatusCode.UNAVAILABLE, 503),
    "hang": (grpc.StatusCode.UNAVAILABLE, 503),
    "throttle": (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
    "refuse": (grpc.StatusCode.INVALID_ARGUMENT, 400),
    "too-large": (grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    "reset": (grpc.StatusCode.UNAVAILABLE, 503),
}
"""What a failing mode answers over gRPC and over HTTP; `reset` only to what it catches before it has cut the line."""


def _retry_info(message: str, seconds: float) -> list[tuple[str, str | bytes]]:
    """RetryInfo in both trailers that clients read it from: inside a google.rpc.Status, and bare."""
    from google.rpc import error_details_pb2, status_pb2

    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    status = status_pb2.Status(code=8, message=message)
    status.details.add().Pack(info)
    return [
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", info.SerializeToString()),
    ]


class Failure(Exception):
    """The answer of a failing mode."""

    def __init__(self, mode: str, message: str) -> None:
        self.mode = mode
        super().__init__(message)


class Backend:
    """Both receivers and the admin port around one store."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.name: str = options.name
        self.store = Store(options.keep, options.keep_ids)
        self.mode = "ok"
        self.mode_requests = 0
        self.retry_after = 1.0
        self.changed = asyncio.Event()
        self.decode: Decode = counting_decoder() if options.count_only else full_decoder()
        self.ports = {"grpc": 0, "http": 0, "admin": 0}
        self._grpc: grpc.aio.Server | None = None
        self._cutter: asyncio.Server | None = None
        self._runners: list[web.AppRunner] = []
        self._swap = asyncio.Lock()

    # -- what both transports share

    async def export(self, body: bytes, transport: str, headers: Mapping[str, str]) -> bytes:
        """Take one request by the current mode; returns the response's bytes or raises Failure."""
        mode = self.mode
        if mode != "ok" and self.mode_requests:
            self.mode_requests -= 1
            if not self.mode_requests:
                await self.set_mode("ok", 0)
        if self.options.count_only and mode == "ok":
            self.store.received(len(body))
            self.store.count["spans"] += self.decode(body, self.store, False)
            return b""
        self.store.received(len(body))
        request = Request(time.time(), transport, len(body), 0, mode, dict(headers))
        self.store.requests.append(request)
        if mode == "hang":
            changed = self.changed
            await asyncio.wait_for(changed.wait(), HANG_LIMIT)
        if mode in ("ok", "partial", "lost-answer"):
            self._keep(body, request, mode == "partial")
        if mode in ANSWERS:
            self.store.count["failed_requests"] += 1
            raise Failure(mode, f"backend {self.name} was told to answer {mode}")
        return self._partial() if mode == "partial" else b""

    def _keep(self, body: bytes, request: Request, partial: bool) -> None:
        try:
            request.spans = self.decode(body, self.store, partial)
        except ValueError as error:
            self.store.count["failed_requests"] += 1
            request.answer = "refuse"
            raise Failure("refuse", str(error)) from None
        self.store.count["spans"] += request.spans - (1 if partial and request.spans else 0)
        self.store.count["rejected"] += 1 if partial and request.spans else 0

    def _partial(self) -> bytes:
        text = f"backend {self.name} rejects the first span".encode()
        inner = b"\x08\x01\x12" + bytes([len(text)]) + text
        return b"\x0a" + bytes([len(inner)]) + inner

    async def set_mode(self, mode: str, requests: int) -> None:
        """Switch; what hangs is let go. `reset` swaps the gRPC server for one that cuts connections."""
        async with self._swap:
            before, self.mode, self.mode_requests = self.mode, mode, requests
            self.changed.set()
            self.changed = asyncio.Event()
            if mode == "reset" and before != "reset" and self._grpc is not None:
                await self._grpc.stop(0)
                self._cutter = await asyncio.start_server(_cut, self.options.host, self.ports["grpc"])
            elif mode != "reset" and self._cutter is not None:
                self._cutter.close()
                self._cutter = None
                await self._start_grpc(self.ports["grpc"])

    # -- gRPC

    async def _grpc_export(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        headers = {} if self.options.count_only else _headers(context.invocation_metadata())
        try:
            return await self.export(body, "grpc", headers)
        except Failure as failure:
            code, _ = ANSWERS[failure.mode]
            trailers: list[tuple[str, str | bytes]] = []
            if failure.mode == "throttle":
                trailers = _retry_info(str(failure), self.retry_after)
            await context.abort(code, str(failure), tuple(trailers))
            raise

    async def _start_grpc(self, port: int) -> None:
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._grpc_export)
        service, method = EXPORT[1:].split("/")
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 0),
            ]
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.ports["grpc"] = server.add_insecure_port(f"{self.options.host}:{port}")
        await server.start()
        self._grpc = server

    # -- HTTP

    async def _http_export(self, request: web.Request) -> web.Response:
        if request.content_type != PROTOBUF:
            return web.Response(status=415, text=f"this backend reads {PROTOBUF}, not {request.content_type}\n")
        body = await request.read()
        if self.mode == "reset":
            self.store.received(len(body))
            self.store.count["failed_requests"] += 1
            _abort(request.transport)
            return web.Response(status=503)
        try:
            return web.Response(body=await self.export(body, "http", request.headers), content_type=PROTOBUF)
        except Failure as failure:
            headers = {"Retry-After": f"{self.retry_after:.0f}"} if failure.mode == "throttle" else {}
            status = ANSWERS[failure.mode][1]
            return web.Response(status=status, text=f"{failure}\n", headers=headers)

    # -- admin

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response({"name": self.name, "mode": self.mode} | self.store.stats())

    async def _spans(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(s) for s in _newest(self.store.spans, request)])

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(r) for r in _newest(self.store.requests, request)])

    async def _ids(self, request: web.Request) -> web.Response:
        return web.Response(text="".join(f"{i.hex()}\n" for i in self.store.ids))

    async def _fail(self, request: web.Request) -> web.Response:
        mode = request.query.get("mode", "")
        requests, after = request.query.get("requests", "0"), request.query.get("retry-after", "1")
        if mode not in MODES:
            return web.Response(status=400, text=f"mode {mode!r} is none of: {', '.join(MODES)}\n")
        if not requests.isdigit() or not after.isdigit():
            return web.Response(status=400, text="requests and retry-after are whole numbers\n")
        if mode == "reset" and requests != "0":
            return web.Response(status=400, text="mode reset lasts until mode=ok: leave requests out\n")
        self.retry_after = float(after)
        await self.set_mode(mode, int(requests))
        print(json.dumps({"event": "mode", "name": self.name, "mode": mode}), flush=True)
        return web.json_response({"name": self.name, "mode": mode})

    async def _reset(self, request: web.Request) -> web.Response:
        await self.set_mode("ok", 0)
        self.store = Store(self.options.keep, self.options.keep_ids)
        return web.json_response({"name": self.name, "mode": "ok"})

    async def _start_http(self, port: int, routes: list[web.RouteDef]) -> int:
        app = web.Application(client_max_size=MAX_MESSAGE)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self.options.host, port).start()
        bound: int = runner.addresses[0][1]
        return bound

    async def start(self) -> None:
        """Bind all three ports. Raises OSError or RuntimeError naming the address that is taken."""
        await self._start_grpc(self.options.grpc_port)
        self.ports["http"] = await self._start_http(self.options.http_port, [web.post("/v1/traces", self._http_export)])
        routes = [web.get("/stats", self._stats), web.get("/spans", self._spans), web.get("/ids", self._ids)]
        routes += [web.get("/requests", self._requests), web.post("/fail", self._fail)]
        routes += [web.post("/reset", self._reset)]
        self.ports["admin"] = await self._start_http(self.options.admin_port, routes)

    async def stop(self) -> None:
        """Close everything at once."""
        self.changed.set()
        if self._cutter is not None:
            self._cutter.close()
        if self._grpc is not None:
            await self._grpc.stop(0.2)
        for runner in self._runners:
            await runner.cleanup()


def _headers(metadata: Any) -> dict[str, str]:
    return {k: v if isinstance(v, str) else v.hex() for k, v in metadata or ()}


def _newest(items: deque[Any], request: web.Request) -> list[Any]:
    limit = request.query.get("limit", "100")
    return list(items)[-int(limit) :] if limit.isdigit() and int(limit) else []


def _abort(transport: asyncio.Transport | asyncio.BaseTransport | None) -> None:
    """Cut a connection so that the other side sees a reset, not an orderly end."""
    if isinstance(transport, asyncio.Transport):
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER on, zero seconds
        transport.abort()


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.wait_for(reader.read(1), 10.0)
    _abort(writer.transport)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--name", default="backend")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a pod")
    parser.add_argument("--grpc-port", type=int, default=4317)
    parser.add_argument("--http-port", type=int, default=4318)
    parser.add_argument("--admin-port", type=int, default=8080)
    parser.add_argument("--keep", type=int, default=20_000, help="spans kept in full")
    parser.add_argument("--keep-ids", type=int, default=2_000_000, help="span ids kept")
    parser.add_argument("--count-only", action="store_true", help="for load: count, decode and keep nothing")
    return parser.parse_args()


async def _serve() -> int:
    backend = Backend(_options())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await backend.start()
    except (OSError, RuntimeError) as error:
        print(f"backend {backend.name}: cannot listen: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"event": "ready", "name": backend.name} | backend.ports), flush=True)
    await stop.wait()
    await backend.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve()))
