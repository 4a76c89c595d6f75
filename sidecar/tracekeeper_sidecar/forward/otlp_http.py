"""Sends OTLP over HTTP/1.1 in protobuf.

    status                        outcome
    2xx                           Sent, partial success read
    400, 422                      Refused
    413                           TooLarge
    429                           Retry, throttled
    503 with Retry-After          Retry, throttled
    408, 502, 503, 504            Retry
    401, 403, 407                 Retry: our credentials are at fault, not the spans; they wait
    3xx, 404, 405, 406, 411, 415, 421, 426, 431   Retry: our address or protocol is at fault; they wait
    the rest (500, 501, 409, …)   Retry, suspect

429, 502, 503 and 504 are OTLP 1.11's table. OTLP lets a client drop at the last three lines; we hold what we
acknowledged. The status decides: a body that is too long, slow, or unreadable never turns a success into a retry.
Redirects are not followed, because they would carry credentials to an address that nobody configured.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Callable

import aiohttp
from aiohttp import payload

from tracekeeper_sidecar.forward import answer
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_sidecar.forward.tls import client_context

LARGEST_ERROR = 64 * 1024
"""Bytes read of the body of an error: enough for any Status message."""
INLINE_BYTES = 32 * 1024
"""Up to this size compressing on the event loop is quicker than a thread's round trip."""
LARGE_BODY = 64 * 1024
"""A connection lost while a body over this size was sent may be the backend's way to call it too large."""
CREDENTIALS = frozenset({401, 403, 407})
WRONG_PLACE = frozenset({404, 405, 406, 411, 415, 421, 426, 431})
TRANSIENT = frozenset({408, 502, 503, 504})


class _Body(payload.BytesPayload):
    """Bytes as a request body; aiohttp's own class warns above 1 MiB, although it slices nothing."""

    def __init__(self, value: bytes) -> None:
        payload.Payload.__init__(self, value, content_type="application/x-protobuf")
        self._size = len(value)


class HttpExporter:
    """One backend over HTTP. Raises ValueError when its certificates cannot be used."""

    def __init__(self, connection: Connection, now: Callable[[], float] = time.time) -> None:
        self._connection, self._now = connection, now
        self._context = client_context(connection) if connection.secure else None
        self._session: aiohttp.ClientSession | None = None
        self._headers = {
            "user-agent": "tracekeeper-sidecar",
            "accept-encoding": "identity",  # Answers are tiny, and a compressed one would have to be bounded twice.
            **({"content-encoding": "gzip"} if connection.gzip else {}),
            **dict(connection.headers),
        }

    async def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""
        if self._session is None:
            self._session = self._open()
        try:
            data = await self._encode(body)
            async with self._session.post(
                self._connection.url,
                data=_Body(data),
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                return await self._judge(response)
        except TimeoutError:
            return Retry(
                f"no answer from {self._connection.url} within {timeout:g} s; it hangs or is overloaded, or `timeout`"
                " is short"
            )
        except aiohttp.ClientConnectorError as error:
            return Retry(_unreachable(self._connection, error))
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            return Retry(f"{self._connection.url} {_lost(error)}", suspect=len(body) > LARGE_BODY)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # RuntimeError is what aiohttp raises for a session that close() has ended under us.
            return Retry(_unreachable(self._connection, error))

    async def close(self) -> None:
        """See Exporter.close."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._context if self._context is not None else True)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
        )

    async def _encode(self, body: bytes) -> bytes:
        if not self._connection.gzip:
            return body
        if len(body) <= INLINE_BYTES:
            return _gzip(body)
        return await asyncio.to_thread(_gzip, body)

    async def _judge(self, response: aiohttp.ClientResponse) -> Outcome:
        status = response.status
        if 200 <= status < 300:
            return await _success(response)
        message = answer.read_status(await _read(response, LARGEST_ERROR) or b"")[0] if _is_protobuf(response) else ""
        said = f"{status} {response.reason or ''}".strip() + (f": {message}" if message else "")
        delay = answer.read_retry_after(response.headers.get("retry-after"), self._now())
        if status in (400, 422):
            return Refused(f"it calls the spans invalid ({said})")
        if status == 413:
            return TooLarge(f"it calls the request too large ({said})")
        if status == 429 or (status == 503 and delay is not None):
            pause = "a pause" if delay is None else f"a pause of {delay:g} s"
            return Retry(f"it asks for {pause} ({said})", delay, throttled=True)
        if status in TRANSIENT:
            return Retry(f"it failed for the moment ({said})", delay)
        if status in CREDENTIALS:
            return Retry(
                f"it does not accept our credentials ({said}); check otlp.auth, otlp.headers and the Secrets they"
                " refer to; spans wait meanwhile",
                delay,
            )
        if status in WRONG_PLACE or 300 <= status < 400:
            return Retry(
                f"there is no OTLP trace service at {self._connection.url} ({said}); check otlp.endpoint and"
                " otlp.protocol (GRPC is usually on 4317, HTTP on 4318); spans wait meanwhile",
                delay,
            )
        return Retry(f"it failed by itself ({said}); look at the backend's own log", delay, suspect=True)


async def _success(response: aiohttp.ClientResponse) -> Sent:
    body = await _read(response, LARGEST_ANSWER)
    if body is None:
        return Sent(message=f"its answer was over {LARGEST_ANSWER} bytes or did not arrive whole, and was not read")
    if response.content_type == "application/json":
        return answer.read_json_success(body)
    return answer.read_success(body) if _is_protobuf(response) else Sent()


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The whole body, or None when it is longer than `limit`, or stops before its end."""
    pieces, size = [], 0
    try:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
    except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        return None
    return b"".join(pieces)


def _is_protobuf(response: aiohttp.ClientResponse) -> bool:
    return response.content_type == "application/x-protobuf"


def _gzip(body: bytes) -> bytes:
    # Level 1: a third of the time of level 6 for about a tenth more bytes, on spans.
    return zlib.compress(body, level=1, wbits=31)


def _lost(error: Exception) -> str:
    return f"closed the connection before it answered ({answer.shorten(str(error)) or type(error).__name__})"


def _unreachable(connection: Connection, error: Exception) -> str:
    check = "otlp.endpoint, the network, and otlp.tls" if connection.secure else "otlp.endpoint and the network"
    return f"{connection.url} cannot be reached ({_cause(error)}); check {check}"


def _cause(error: Exception) -> str:
    """The system's own word for it where there is one: aiohttp's leaves out why a connection failed."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return answer.shorten(str(error)) or type(error).__name__
