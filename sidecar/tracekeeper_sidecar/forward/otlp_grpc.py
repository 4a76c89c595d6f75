"""Sends OTLP over gRPC: raw bytes out, raw bytes in, by unary calls over HTTP/2 connections of our own.

    code                                              outcome
    OK                                                Sent, partial success read
    RESOURCE_EXHAUSTED with RetryInfo                 Retry, throttled
    RESOURCE_EXHAUSTED without                        TooLarge; certain when its message names a limit of size
    none, and HTTP status 413 (a proxy)               TooLarge
    OUT_OF_RANGE whose message names such a limit     TooLarge (that is how tonic puts it)
    UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED,
      ABORTED, OUT_OF_RANGE, DATA_LOSS                Retry; throttled when RetryInfo came along
    INVALID_ARGUMENT                                  Refused
    UNAUTHENTICATED, PERMISSION_DENIED,
      UNIMPLEMENTED, NOT_FOUND, FAILED_PRECONDITION   Retry: our configuration is at fault, not the spans; they wait
    the rest (INTERNAL, UNKNOWN, …)                   Retry, suspect

The first seven lines are OTLP 1.11's table, but for the proxy's. OTLP lets a client drop at the last two; we hold what
we acknowledged. What has no gRPC status (an answer of a proxy, a call that was reset) gets the one that gRPC's own
mapping gives it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from urllib.parse import urlsplit

from tracekeeper_sidecar.forward import answer, hpack
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dial import Place
from tracekeeper_sidecar.forward.encoding import decode, encode
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.grpc_status import Code, read_reply
from tracekeeper_sidecar.forward.h2_call import Reply
from tracekeeper_sidecar.forward.h2_pool import H2Pool
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_pool import Crowded
from tracekeeper_sidecar.forward.http_wire import Lost
from tracekeeper_sidecar.forward.outcome import Refused, Retry, Sent, Single, TooLarge
from tracekeeper_sidecar.forward.tls import client_context
from tracekeeper_sidecar.forward.words import (
    crowded,
    cut_off,
    not_accepted,
    unanswered,
    unavailable,
    unreachable,
    wrong_place,
)

METHOD = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PREFIX = 5
"""Bytes before a message: whether it is compressed, and its length."""
NOTHING = bytes(PREFIX)
"""An empty message: full success."""


TRANSIENT = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.ABORTED, Code.OUT_OF_RANGE, Code.DATA_LOSS}
)
CREDENTIALS = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
WRONG_PLACE = frozenset({Code.UNIMPLEMENTED, Code.NOT_FOUND, Code.FAILED_PRECONDITION})


class GrpcExporter:
    """One backend over gRPC. Raises ValueError when its certificates or headers cannot be used."""

    def __init__(self, connection: Connection, place: Place | None = None) -> None:
        """`place` is that of another exporter for the same connection, or one address of it."""
        self._connection = connection
        self.place = place or _place(connection)
        self._pool = H2Pool(self.place, connection.max_connections, LARGEST_ANSWER + PREFIX)
        self._headers = _headers(connection)
        self._block, self._timeout = b"", 0.0

    async def send(self, body: bytes, timeout: float) -> Single:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""
        if timeout != self._timeout:
            limit = (b"grpc-timeout", b"%dm" % max(1, min(int(timeout * 1000), 99_999_999)))
            self._block, self._timeout = hpack.encode((*self._headers, limit)), timeout
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            return self._judge(await self._call(body, deadline))
        except TimeoutError:
            return Retry(unanswered(self._connection, timeout))
        except Crowded:
            return Retry(crowded(self._connection, timeout), unsent=True)
        except Lost as lost:
            return Retry(cut_off(self._connection, lost.cause))
        except OSError as error:
            return Retry(unreachable(self._connection, error))

    async def close(self) -> None:
        """See Exporter.close."""
        self._pool.close()

    async def _call(self, body: bytes, deadline: float) -> Reply:
        """One answer; a call that nobody has looked at is made once more. Raises Lost, OSError, Crowded, and
        TimeoutError."""
        message = await encode(body, self._connection.compression)
        head = (b"\1" if self._connection.compression else b"\0") + len(message).to_bytes(4, "big")
        wire = await self._pool.take(deadline)
        try:
            return await self._watch(wire, head, message, deadline)
        except Lost as lost:
            if lost.fresh or lost.heard:
                raise
        wire.retire()
        wire = await self._pool.take(deadline)
        return await self._watch(wire, head, message, deadline)

    async def _watch(self, wire: H2Wire, head: bytes, message: bytes, deadline: float) -> Reply:
        """The call; a connection on which none was answered meanwhile gets no further one."""
        began = asyncio.get_running_loop().time()
        try:
            return await wire.call(self._block, head, message, deadline)
        except TimeoutError:
            if wire.answered < began:
                wire.retire()
            raise

    def _judge(self, reply: Reply) -> Single:
        code, details = read_reply(reply)
        if code is Code.OK:
            if reply.early:
                return Retry(f"{self._connection.url} said OK before it had the whole request", suspect=True)
            if (
                reply.body == b""
            ):  # What answers so without looking is no service; gRPC's own clients call it a failure.
                return Retry(f"{self._connection.url} said OK without the message that every answer has", suspect=True)
            return Sent() if reply.body == NOTHING else _success(reply)
        if reply.headers.get(b":status") == b"413" and b"grpc-status" not in reply.headers:  # A proxy's own limit.
            return TooLarge(f"it calls the request too large ({details})")
        delay, limit = _retry_info(reply.headers), answer.read_size_limit(details)
        said = f"{code.name}: {details}" if details else code.name
        if code is Code.RESOURCE_EXHAUSTED:
            if delay is not None:
                return Retry(f"it asks for a pause of {delay:g} s ({said})", delay, throttled=True)
            if limit is not None:
                return TooLarge(f"it calls the request too large ({said})", True, limit)
            return TooLarge(f"it calls the request too large, or limits its rate without saying so ({said})", False)
        if code is Code.OUT_OF_RANGE and limit is not None:
            return TooLarge(f"it calls the request too large ({said})", True, limit)
        if code is Code.INVALID_ARGUMENT:
            return Refused(f"it calls the spans invalid ({said})")
        if code in TRANSIENT:
            reason = unavailable(self._connection, said) if code is Code.UNAVAILABLE else f"it failed for now ({said})"
            return Retry(reason, delay, throttled=delay is not None)
        if code in CREDENTIALS:
            return Retry(not_accepted(said))
        if code in WRONG_PLACE:
            return Retry(wrong_place(self._connection, said))
        return Retry(f"it failed by itself ({said}); look at the backend's own log", delay, suspect=True)


def _place(connection: Connection) -> Place:
    context = client_context(connection) if connection.secure else None
    if context is not None:
        context.set_alpn_protocols(["h2"])
    url = urlsplit("//" + connection.target)
    return Place(url.hostname or "", url.port or (443 if connection.secure else 80), context)


def _headers(connection: Connection) -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that are the same for every call. Raises ValueError for one that is none."""
    for name, value in connection.headers:
        if not value.isprintable():
            raise ValueError(f"otlp.headers: {name!r} holds a line break or a control character")
    own = [
        (name.encode(), base64.b64encode(value.encode()) if name.endswith("-bin") else value.encode())
        for name, value in connection.headers
    ]
    coding = [(b"grpc-encoding", connection.compression.encode())] if connection.compression else []
    return (
        (b":method", b"POST"),
        (b":scheme", b"https" if connection.secure else b"http"),
        (b":path", METHOD),
        (b":authority", connection.target.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"tracekeeper-sidecar"),
        *coding,
        *own,
    )


def _success(reply: Reply) -> Sent:
    body = reply.body
    if body is None:
        return Sent(message=f"its answer was over {LARGEST_ANSWER} bytes and was not read")
    message: bytes | None = body[PREFIX:]
    if len(body) != PREFIX + int.from_bytes(body[1:PREFIX], "big"):
        message = None
    elif body[0]:  # grpc-go answers in the request's own compression, asked or not.
        encoding = reply.headers.get(b"grpc-encoding", b"").decode("latin-1")
        message = decode(body[PREFIX:], encoding, LARGEST_ANSWER)
    if message is None:
        return Sent(message="the answer says success but its message cannot be read")
    return answer.read_success(message)


def _retry_info(headers: dict[bytes, bytes]) -> float | None:
    """RetryInfo's delay in seconds, from either place where servers put it."""
    details = _binary(headers.get(b"grpc-status-details-bin"))
    delay = answer.read_status(details)[1] if details is not None else None
    if delay is None and (alone := _binary(headers.get(b"google.rpc.retryinfo-bin"))) is not None:
        delay = answer.read_retry_info(alone)
    return delay


def _binary(text: bytes | None) -> bytes | None:
    """A header whose name ends in -bin; None for one that is not there or not base64."""
    if text is None:
        return None
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
