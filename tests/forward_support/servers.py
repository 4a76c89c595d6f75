"""Real OTLP servers on loopback that misbehave on purpose, and remember what they have taken.

A behaviour is called with each request and decides its fate; a request counts as taken when the behaviour lets it
through. Behaviours can be changed while the server runs.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import grpc
import zstandard
from aiohttp import web
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from forward_support.spans import ids_of

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass
class Taken:
    """What a backend has let through, in order."""

    batches: list[list[str]] = field(default_factory=list)
    calls: int = 0
    """All requests, the refused ones too."""

    @property
    def ids(self) -> list[str]:
        return [span for batch in self.batches for span in batch]


GrpcBehaviour = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]
HttpBehaviour = Callable[[bytes, web.Request], Awaitable[web.StreamResponse]]


async def grpc_ok(body: bytes, context: object) -> bytes:
    return b""


async def grpc_hang(body: bytes, context: object) -> bytes:
    """Never answers."""
    await asyncio.Event().wait()
    return b""


async def http_ok(body: bytes, request: web.Request) -> web.StreamResponse:
    return web.Response(content_type="application/x-protobuf")


def status_with_retry_info(code: grpc.StatusCode, seconds: float) -> bytes:
    """google.rpc.Status as servers put it into grpc-status-details-bin."""
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    status = Status(code=code.value[0], message="later")
    status.details.add().Pack(RetryInfo(retry_delay=delay))
    body: bytes = status.SerializeToString()
    return body


class GrpcBackend:
    """An OTLP gRPC server."""

    def __init__(
        self,
        behave: GrpcBehaviour = grpc_ok,
        credentials: grpc.ServerCredentials | None = None,
        max_bytes: int = -1,
        host: str = "localhost",
        port: int = 0,
        most_calls: int = 100,
    ) -> None:
        """`most_calls` is how many it allows at once on one connection."""
        self.behave = behave
        self.taken = Taken()
        self._most_calls = most_calls
        self.metadata: list[dict[str, str | bytes]] = []
        self.host, self.port = host, port
        self._credentials, self._max_bytes = credentials, max_bytes
        self._server: grpc.aio.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._credentials else 'http'}://localhost:{self.port}"

    async def start(self) -> None:
        """Listen; the second time on the same port as the first."""
        options = [("grpc.max_receive_message_length", self._max_bytes), ("grpc.max_send_message_length", -1)]
        options += [("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", self._most_calls)]
        self._server = grpc.aio.server(options=options)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
        address = f"{self.host}:{self.port}"
        if self._credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0)

    async def _export(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.taken.calls += 1
        self.metadata.append(dict(context.invocation_metadata() or ()))
        answer = await self.behave(body, context)
        self.taken.batches.append(ids_of(body))
        return answer


class HttpBackend:
    """An OTLP HTTP server. A request is taken when the behaviour answers with a 2xx."""

    def __init__(
        self,
        behave: HttpBehaviour = http_ok,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.behave = behave
        self.taken = Taken()
        self.headers: list[dict[str, str]] = []
        self.host, self.port = host, port
        self._context = context
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._context else 'http'}://localhost:{self.port}"

    async def start(self) -> None:
        """Listen; the second time on the same port as the first."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/traces", self._traces)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        listener = socket.create_server((self.host, self.port))
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, ssl_context=self._context).start()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _traces(self, request: web.Request) -> web.StreamResponse:
        self.taken.calls += 1
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        if request.headers.get("content-encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompress(body)
        response = await self.behave(body, request)
        if response.status < 300:
            self.taken.batches.append(ids_of(body))
        return response


class RawBackend:
    """A TCP server under a behaviour's full control: for servers that break the protocol itself."""

    def __init__(self, handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.port = 0
        self.connections = 0
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            await self._handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def read_http_request(reader: asyncio.StreamReader) -> bytes:
    """One HTTP request with a Content-Length, whole; returns its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    return await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


NEVER = {"state": "Disabled"}
"""A circuit breaker that stays out of the test."""
Server = TypeVar("Server", bound=GrpcBackend | HttpBackend | RawBackend)


class Serve(Protocol):
    """Starts a server and returns it; it is stopped at the end of the test."""

    async def __call__(self, server: Server, /) -> Server: ...


@asynccontextmanager
async def serving() -> AsyncIterator[Serve]:
    """Stops at the end what was started."""
    async with AsyncExitStack() as stack:

        async def start(server: Server) -> Server:
            await server.start()
            stack.push_async_callback(server.stop)
            return server

        yield start


def failing(times: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> GrpcBehaviour:
    """Aborts the first `times` calls."""
    left = times

    async def behave(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal left
        if left > 0:
            left -= 1
            await context.abort(code, "not now")
        return b""

    return behave
