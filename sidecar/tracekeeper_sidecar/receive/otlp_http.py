"""OTLP over HTTP: POST /v1/traces, protobuf or JSON, gzip or plain."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.receive import listen, media, outcome
from tracekeeper_sidecar.receive.admission import Lease
from tracekeeper_sidecar.receive.body import BodyReader
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import Accepted, Refused

BODY_TIMEOUT: Final = 30.0
"""Seconds in which a request's whole body must have come."""
IDLE_TIMEOUT: Final = 120.0
"""Seconds that a connection may go without a complete request head; SDKs send every few seconds, or connect anew."""

_JSON_FACTOR: Final = 8
"""Memory that parsed JSON takes, in sizes of its text: what the admission counts for it."""
_IN_THREAD: Final = 64 * 1024
"""Bytes of JSON from which on a thread converts it, so that the event loop is not held up."""


class HttpReceiver:
    """The HTTP server. Start once, stop once."""

    def __init__(
        self, receiver: Receiver, *, body_timeout: float = BODY_TIMEOUT, idle_timeout: float = IDLE_TIMEOUT
    ) -> None:
        self._receiver = receiver
        self._body_timeout = body_timeout
        self._idle_timeout = idle_timeout
        self._server: web.Server | None = None
        self._socket: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (which one it is when `port` is 0); raises ListenError."""
        server = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._idle_timeout,
            lingering_time=2.0,
        )
        try:
            self._socket = await asyncio.get_running_loop().create_server(server, host, port, backlog=128)
        except OSError as error:
            raise listen.from_os(host, port, error) from error
        self._server = server
        bound: int = self._socket.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more requests; give those under way `grace` seconds, then cut them off."""
        if self._socket is None or self._server is None:
            return
        self._socket.close()
        self._server.pre_shutdown()
        await self._server.shutdown(grace)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        answer = await self._answer(request)
        response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        response.headers["Server"] = "tracekeeper"
        response.content_type = answer.content_type
        if answer.status == 408:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> media.Answer:
        header = request.headers.get("Content-Type", "")
        kind = media.content_type(header)
        if request.path != media.PATH:
            return media.refusal(self._receiver.refuse(media.wrong_path(request.path)), kind)
        if request.method != "POST":
            refused = self._receiver.refuse(media.wrong_method(request.method))
            return media.refusal(refused, kind, (("Allow", "POST"),))
        if kind is None:
            return media.refusal(self._receiver.refuse(media.wrong_type(header)), None)
        with self._receiver.admission.lease() as lease:
            result = await self._take(request, kind, lease)
        if isinstance(result, Accepted):
            return media.success(kind)
        return media.refusal(result, kind)

    async def _take(self, request: web.BaseRequest, kind: str, lease: Lease) -> outcome.Outcome:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("gzip", "identity", ""):
            return self._receiver.refuse(media.wrong_encoding(encoding))
        reader = BodyReader(lease, gzip=encoding == "gzip", admission_limit=self._receiver.admission.limit)
        if (refused := reader.announce(request.content_length)) is not None:
            return self._receiver.refuse(refused)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._body_timeout):
                body = await reader.read(request.content)
        except TimeoutError:
            return self._receiver.refuse(media.slow_client(self._body_timeout))
        except WireError as error:
            return self._receiver.refuse(outcome.malformed(error))
        except ConnectionError:
            return self._receiver.refuse(media.disconnected())
        except web.RequestPayloadError as error:
            broken = WireError("body", f"the HTTP framing is broken ({error})")
            return self._receiver.refuse(outcome.malformed(broken))
        if isinstance(body, Refused):
            return self._receiver.refuse(body)
        if kind == media.JSON:
            converted = await self._convert(body, lease)
            if isinstance(converted, Refused):
                return self._receiver.refuse(converted)
            body = converted
        return await self._receiver.export(body, lease)

    async def _convert(self, body: bytes, lease: Lease) -> bytes | Refused:
        # Imported when the first JSON request comes: most applications never send one.
        from tracekeeper_sidecar.wire.otlp_json import json_to_protobuf  # noqa: PLC0415

        if _JSON_FACTOR * len(body) > self._receiver.admission.limit:
            return outcome.too_large_for_json(len(body), self._receiver.admission.limit // _JSON_FACTOR)
        if not lease.grow(_JSON_FACTOR * len(body)):
            return outcome.overloaded(self._receiver.admission.limit)
        try:
            if len(body) < _IN_THREAD:
                return json_to_protobuf(body)
            return await asyncio.to_thread(json_to_protobuf, body)
        except WireError as error:
            return outcome.malformed(error)
