"""Sends OTLP over gRPC: raw bytes out, raw bytes in.

gRPC's own reconnecting is kept out of the way. A channel that has lost its backend backs off by itself for up to two
minutes and fails calls at once meanwhile, whatever our breaker and schedule decide; so a channel that saw a connection
fail is set aside, and the next send opens a new one, which resolves the name and connects afresh.

A connection carries several calls at once; while every one there is has FULL_CALLS on it, another is opened.

    code                                              outcome
    OK                                                Sent, partial success read
    RESOURCE_EXHAUSTED with RetryInfo                 Retry, throttled
    RESOURCE_EXHAUSTED without                        TooLarge; certain when its message names a limit of size
    OUT_OF_RANGE whose message names such a limit     TooLarge (that is how tonic puts it)
    UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED,
      ABORTED, OUT_OF_RANGE, DATA_LOSS                Retry; throttled when RetryInfo came along
    INVALID_ARGUMENT                                  Refused
    UNAUTHENTICATED, PERMISSION_DENIED,
      UNIMPLEMENTED, NOT_FOUND, FAILED_PRECONDITION   Retry: our configuration is at fault, not the spans; they wait
    the rest (INTERNAL, UNKNOWN, …)                   Retry, suspect

The first five lines are OTLP 1.11's table. OTLP lets a client drop at the last two; we hold what we acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import grpc

from tracekeeper_sidecar.forward import answer
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_sidecar.forward.tls import client_context

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LARGEST_ANSWER),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # Else a new channel would share the old one's backoff.
    ("grpc.enable_http_proxy", 0),  # The endpoint is meant as written; HTTP exporters behave alike.
    ("grpc.primary_user_agent", "tracekeeper-sidecar"),
)
OVERSIZED = "CLIENT: Received message larger than max"
"""How grpc's core words its own refusal of an answer over LARGEST_ANSWER, which it reports by the same code that a
server uses for a request that is too large. A test with a real oversized answer watches over this text."""

FULL_CALLS = 4
"""Calls on one connection with which it counts as full. More would share one window of flow control."""

Code = grpc.StatusCode
TRANSIENT = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.ABORTED, Code.OUT_OF_RANGE, Code.DATA_LOSS}
)
CREDENTIALS = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
WRONG_PLACE = frozenset({Code.UNIMPLEMENTED, Code.NOT_FOUND, Code.FAILED_PRECONDITION})


@dataclass(slots=True, eq=False)
class _Line:
    """A channel with the number of calls on it."""

    channel: grpc.aio.Channel
    export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    calls: int = 0


class GrpcExporter:
    """One backend over gRPC. Raises ValueError when its certificates cannot be used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._metadata = tuple(
            (name, value.encode() if name.endswith("-bin") else value) for name, value in connection.headers
        )
        self._compression = (
            grpc.Compression.Gzip if connection.compression == "gzip" else grpc.Compression.NoCompression
        )
        self._credentials = _credentials(connection) if connection.secure else None
        self._lines: list[_Line] = []
        self._aside: set[_Line] = set()

    async def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""
        line = self._choose()
        line.calls += 1
        try:
            reply = await line.export(
                body, timeout=timeout, metadata=self._metadata, compression=self._compression, wait_for_ready=False
            )
            return answer.read_success(reply)
        except grpc.aio.AioRpcError as error:
            if error.code() in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                self._set_aside(line)
            return self._judge(error, timeout)
        except (asyncio.CancelledError, grpc.aio.UsageError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Retry("the connection was closed on our side")  # close() ends calls like this
        finally:
            line.calls -= 1
            if line in self._aside and not line.calls:
                self._aside.discard(line)
                await line.channel.close()

    async def close(self) -> None:
        """See Exporter.close."""
        lines = [*self._lines, *self._aside]
        self._lines.clear()
        self._aside.clear()
        for line in lines:
            await line.channel.close()

    def _choose(self) -> _Line:
        """The connection opened first that is not full; else another one, or the one with the least to do."""
        for line in self._lines:
            if line.calls < FULL_CALLS:
                return line
        if len(self._lines) < self._connection.max_connections:
            self._lines.append(self._open())
            return self._lines[-1]
        return min(self._lines, key=lambda line: line.calls)

    def _open(self) -> _Line:
        target = f"dns:///{self._connection.target}"
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        else:
            channel = grpc.aio.secure_channel(target, self._credentials, options=OPTIONS)
        # Without serializers the message is the request's bytes as they are.
        return _Line(channel, channel.unary_unary(METHOD))

    def _set_aside(self, line: _Line) -> None:
        """Use `line` for no further call; it is closed when its last call has ended."""
        if line in self._lines:
            self._lines.remove(line)
            self._aside.add(line)

    def _judge(self, error: grpc.aio.AioRpcError, timeout: float) -> Outcome:
        code, details = error.code(), answer.shorten(error.details() or "")
        delay, limit = _retry_info(error.trailing_metadata()), answer.read_size_limit(details)
        said = f"{code.name}: {details}" if details else code.name
        if code is Code.RESOURCE_EXHAUSTED:
            if delay is not None:
                return Retry(f"it asks for a pause of {delay:g} s ({said})", delay, throttled=True)
            if OVERSIZED in details:
                return Sent(message=f"its answer was over {LARGEST_ANSWER} bytes and was not read")
            if limit is not None:
                return TooLarge(f"it calls the request too large ({said})", True, limit)
            return TooLarge(f"it calls the request too large, or limits its rate without saying so ({said})", False)
        if code is Code.OUT_OF_RANGE and limit is not None:
            return TooLarge(f"it calls the request too large ({said})", True, limit)
        if code is Code.INVALID_ARGUMENT:
            return Refused(f"it calls the spans invalid ({said})")
        if code in TRANSIENT:
            return Retry(_transient(code, said, timeout, self._connection), delay, throttled=delay is not None)
        if code in CREDENTIALS:
            return Retry(
                f"it does not accept our credentials ({said}); check otlp.auth, otlp.headers and the Secrets they"
                " refer to; spans wait meanwhile"
            )
        if code in WRONG_PLACE:
            return Retry(
                f"there is no OTLP trace service at {self._connection.url} ({said}); check otlp.endpoint and"
                " otlp.protocol (GRPC is usually on 4317, HTTP on 4318); spans wait meanwhile"
            )
        return Retry(f"it failed by itself ({said}); look at the backend's own log", delay, suspect=True)


def _credentials(connection: Connection) -> grpc.ChannelCredentials:
    if connection.ca is not None or connection.certificate is not None:
        client_context(connection)  # gRPC itself says what is wrong with a PEM only in the handshake, if at all.
    return grpc.ssl_channel_credentials(connection.ca, connection.key, connection.certificate)


def _transient(code: grpc.StatusCode, said: str, timeout: float, connection: Connection) -> str:
    if code is Code.DEADLINE_EXCEEDED:
        return f"no answer from {connection.url} within {timeout:g} s; it hangs or is overloaded, or `timeout` is short"
    if code is Code.UNAVAILABLE:
        check = "otlp.endpoint, the network, and otlp.tls" if connection.secure else "otlp.endpoint and the network"
        return f"{connection.url} cannot be reached or is shutting down ({said}); check {check}"
    return f"it failed for the moment ({said})"


def _retry_info(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    """RetryInfo's delay in seconds, from either place where servers put it."""
    for key, value in trailers:
        raw = value if isinstance(value, bytes) else value.encode()
        if key == "grpc-status-details-bin":
            delay = answer.read_status(raw)[1]
        elif key == "google.rpc.retryinfo-bin":
            delay = answer.read_retry_info(raw)
        else:
            continue
        if delay is not None:
            return delay
    return None
