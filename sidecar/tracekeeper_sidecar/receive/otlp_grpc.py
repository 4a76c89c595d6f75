"""OTLP over gRPC: opentelemetry.proto.collector.trace.v1.TraceService/Export, in raw bytes.

gRPC itself refuses what is over the size limit, before and after decompression, with RESOURCE_EXHAUSTED and without
RetryInfo, as OTLP 1.11 wants; those requests never come as far as the ledger.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import grpc
import grpc.aio

from tracekeeper_sidecar.receive import listen
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Refused
from tracekeeper_sidecar.wire.status import UNIMPLEMENTED, trailers

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

_SUCCESS: Final = b""
"""An ExportTraceServiceResponse without partial_success: everything was taken."""

_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"

MAX_CALLS: Final = 4096
"""Calls at once in the whole server, those included whose message has not come yet. gRPC refuses more by itself and
without RetryInfo, so that this lies above what admission lets wait; it bounds what stalled clients can hold."""
_MAX_STREAMS: Final = 1024
"""Calls at once over one connection; the client keeps the rest back."""

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.so_reuseport", 0),  # or a second process would share the port, and take half of the spans, silently
    ("grpc.max_receive_message_length", MAX_REQUEST),
    ("grpc.max_send_message_length", 64 * 1024),
    ("grpc.max_concurrent_streams", _MAX_STREAMS),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # clients may ping as often; else they are sent away
    ("grpc.http2.max_ping_strikes", 0),
)

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds in which a new connection must speak HTTP/2."""
KEEPALIVE: Final = 60.0
"""Seconds of silence after which a client is asked whether it is there, in mid-request too; it has a third of that to
answer. Clients that hang within a request but answer are bounded by their own deadline."""


class GrpcReceiver(grpc.GenericRpcHandler):
    """The gRPC server. Start once, stop once."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        keepalive: float = KEEPALIVE,
        max_calls: int = MAX_CALLS,
    ) -> None:
        self._receiver = receiver
        self._max_calls = max_calls
        self._options = (
            *_OPTIONS,
            ("grpc.server_handshake_timeout_ms", round(handshake_timeout * 1000)),
            ("grpc.keepalive_time_ms", round(keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", round(keepalive * 1000 / 3)),
            ("grpc.http2.ping_timeout_ms", round(keepalive * 1000 / 3)),
            ("grpc.keepalive_permit_without_calls", 1),
        )
        self._server: grpc.aio.Server | None = None
        self._export_handler: _Handler = grpc.unary_unary_rpc_method_handler(self._export)
        self._unknown_handler: _Handler = grpc.unary_unary_rpc_method_handler(self._unknown)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (which one it is when `port` is 0); raises ListenError."""
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._max_calls)
        server.add_generic_rpc_handlers((self,))
        try:
            bound = server.add_insecure_port(listen.join(host, port))
        except RuntimeError:
            bound = 0
        if not bound:
            await server.stop(None)
            raise listen.diagnose(host, port)
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more calls; give those under way `grace` seconds, then cut them off."""
        if self._server is not None:
            await self._server.stop(grace)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler:
        """Part of grpc.GenericRpcHandler: who handles a call."""
        return self._export_handler if handler_call_details.method == METHOD else self._unknown_handler

    async def _export(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        result = await self._receiver.export(body)
        if type(result) is Accepted:
            return _SUCCESS
        assert isinstance(result, Refused)
        context.set_code(_CODES[result.grpc_code])
        context.set_details(result.message)
        context.set_trailing_metadata(trailers(result.grpc_code, result.message, result.retry_after))
        return _SUCCESS

    async def _unknown(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        refusal = self._receiver.refuse(
            Refused("path", UNIMPLEMENTED, 404, f"this sidecar takes traces only, by {METHOD}; {_ELSEWHERE}")
        )
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details(refusal.message)
        return _SUCCESS


_ELSEWHERE: Final = (
    "give metrics and logs an endpoint of their own (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, …_LOGS_ENDPOINT)"
)
