"""Sends OTLP over HTTP/1.1 in protobuf.

What a status means stands in `table`. The status decides: a body that is too long, slow, or unreadable never turns a
success into a retry. Redirects are not followed, because they would carry credentials to an address that nobody
configured. A request that finds its kept-alive connection gone is sent once more on a new one: servers close idle
connections when they please, and that is no failure.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tracekeeper_sidecar.forward import answer
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dial import Place
from tracekeeper_sidecar.forward.encoding import WEAKER, encode
from tracekeeper_sidecar.forward.exporter import LARGEST_ANSWER
from tracekeeper_sidecar.forward.http_pool import Crowded, HttpPool
from tracekeeper_sidecar.forward.http_wire import Answer, Lost
from tracekeeper_sidecar.forward.outcome import Refused, Retry, Sent, Single, TooLarge
from tracekeeper_sidecar.forward.table import OTLP_HTTP, Meaning
from tracekeeper_sidecar.forward.tls import client_context
from tracekeeper_sidecar.forward.words import crowded, cut_off, not_accepted, unanswered, unreachable, wrong_place

logger = logging.getLogger(__name__)

LARGE_BODY = 64 * 1024
"""A connection lost while a body over this size was sent may be the backend's way to call it too large."""
PROTOBUF, PAGE = "application/x-protobuf", "text/html"


class HttpExporter:
    """One backend over HTTP. Raises ValueError when its certificates cannot be used."""

    def __init__(
        self, connection: Connection, place: Place | None = None, now: Callable[[], float] = time.time
    ) -> None:
        """`place` is that of another exporter for the same connection, or one address of it."""
        self._connection, self._now = connection, now
        self._table = OTLP_HTTP.with_extra(connection.retry_codes)
        self._encoding = connection.compression
        self._proven = False  # That the backend takes this encoding.
        url = urlsplit(connection.url)
        self.place = place or _place(connection)
        self._pool = HttpPool(self.place, connection.max_connections, LARGEST_ANSWER)
        self._head = _head(url.path or "/", url.netloc, connection.headers)

    async def send(self, body: bytes, timeout: float) -> Single:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            while True:
                found = await self._post(body, deadline)
                if self._proven or found.status not in (400, 415) or self._encoding not in WEAKER:
                    break
                self._weaken(found)
        except TimeoutError:
            return Retry(unanswered(self._connection, timeout))
        except Crowded:
            return Retry(crowded(self._connection, timeout), unsent=True)
        except Lost as lost:
            return Retry(cut_off(self._connection, lost.cause), suspect=len(body) > LARGE_BODY)
        except OSError as error:
            return Retry(unreachable(self._connection, error))
        self._proven = self._proven or 200 <= found.status < 300
        return self._judge(found)

    async def close(self) -> None:
        """See Exporter.close."""
        self._pool.close()

    async def _post(self, body: bytes, deadline: float) -> Answer:
        """One answer. Raises Lost, OSError, Crowded, and TimeoutError when not even the answer's head came."""
        data = await encode(body, self._encoding)
        coding = f"Content-Encoding: {self._encoding}\r\n" if self._encoding else ""
        head = self._head + f"{coding}Content-Length: {len(data)}\r\n\r\n".encode("ascii")
        return await self._pool.post(head, data, deadline)

    def _weaken(self, found: Answer) -> None:
        """The backend has not taken a compressed request yet, and this answer may be about the compression."""
        weaker = WEAKER[self._encoding]
        logger.warning(
            "%s answers %d to %s: sending %s instead",
            self._connection.url,
            found.status,
            self._encoding,
            weaker or "uncompressed",
        )
        self._encoding = weaker

    def _judge(self, found: Answer) -> Single:
        delay = answer.read_retry_after(found.retry_after, self._now())
        meaning = self._table.meaning(found.status, delay is not None)
        if meaning is Meaning.TAKEN and found.content_type == PAGE:  # A login page, say: nothing has taken any spans.
            return Retry(wrong_place(self._connection, f"{found.status} with a web page"), delay)
        if meaning is Meaning.TAKEN:
            return _success(found)
        message = answer.read_status(found.body or b"")[0] if found.content_type == PROTOBUF else ""
        said = f"{found.status} {found.reason}".strip() + (f": {message}" if message else "")
        match meaning:
            case Meaning.WRONG if found.content_type == PAGE or (found.body and not found.content_type):
                # Whoever it was, it did not look at spans. A TLS port answers so to plaintext.
                return Retry(wrong_place(self._connection, said), delay, suspect=True)
            case Meaning.WRONG:
                return Refused(f"it calls the spans invalid ({said})")
            case Meaning.TOO_LARGE:
                return TooLarge(f"it calls the request too large ({said})", limit=answer.read_size_limit(message))
            case Meaning.PAUSE:
                pause = "a pause" if delay is None else f"a pause of {delay:g} s"
                return Retry(f"it asks for {pause} ({said})", delay, throttled=True)
            case Meaning.TRANSIENT:
                return Retry(f"it failed for the moment ({said})", delay)
            case Meaning.CREDENTIALS:
                return Retry(not_accepted(said), delay)
            case Meaning.ADDRESS:
                return Retry(wrong_place(self._connection, said), delay)
            case _:
                return Retry(f"it failed by itself ({said}); look at the backend's own log", delay, suspect=True)


def _place(connection: Connection) -> Place:
    url = urlsplit(connection.url)
    port = url.port or (443 if connection.secure else 80)
    return Place(url.hostname or "", port, client_context(connection) if connection.secure else None)


def _head(path: str, host: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The part of a request's head that never changes. Raises ValueError for a header that is none."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: tracekeeper-sidecar",
        f"Content-Type: {PROTOBUF}",
        "Accept-Encoding: identity",  # Answers are tiny, and a compressed one would have to be bounded twice.
        *(f"{name}: {value}" for name, value in headers),
    ]
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"otlp.headers: {line.partition(':')[0]!r} holds a line break or a control character")
    return ("\r\n".join(lines) + "\r\n").encode("utf-8")


def _success(found: Answer) -> Sent:
    if found.body is None:
        return Sent(message=f"its answer was over {LARGEST_ANSWER} bytes or did not arrive whole, and was not read")
    if not found.body:
        return Sent()
    if found.content_type == "application/json":
        return answer.read_json_success(found.body)
    return answer.read_success(found.body) if found.content_type == PROTOBUF else Sent()
