"""One HTTP/1.1 connection to a backend: a request at a time, an answer as a value. Parsed by httptools (llhttp).

Answers are bounded: one with more than LARGEST_HEAD bytes that are not its body ends the connection, and of a body
over the limit nothing is kept. An answer ends with its length, its last chunk, or the connection; what stops short
counts by its status.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

LARGEST_HEAD = 64 * 1024
"""Bytes of an answer beside its body: its head, the sizes of its chunks, its trailers."""
JOIN_BYTES = 64 * 1024
"""Up to this size head and body are sent as one buffer: the copy is cheaper than a second system call."""


class Lost(Exception):
    """The connection ended before an answer. `fresh` is False when an earlier request had used it, and `heard` True
    when some of an answer had come."""

    def __init__(self, cause: str, *, fresh: bool, heard: bool) -> None:
        self.cause, self.fresh, self.heard = cause, fresh, heard
        super().__init__(cause)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend said."""

    status: int
    reason: str
    content_type: str
    """Without its parameters, in lower case."""
    retry_after: str | None
    body: bytes | None
    """None when it was too long or did not arrive whole."""


class HttpWire(asyncio.Protocol):
    """Made by `create_connection`; owned by one pool."""

    def __init__(self, largest_body: int) -> None:
        self.open = True
        """False once no further request can be made on it."""
        self.idle_since = 0.0
        """Loop time; kept by the pool."""
        self._largest_body = largest_body
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._used = False
        self._headers: dict[bytes, bytes] = {}
        self._reason = b""
        self._pieces: list[bytes] | None = []
        """Of the body; None once it is too long."""
        self._status = self._size = self._heard = 0
        self._headed = self._until_end = False

    async def post(self, head: bytes, body: bytes, deadline: float) -> Answer:
        """Send a request, whole, and wait for its answer until loop time `deadline`; at that time one whose head has
        come counts. Raises Lost and TimeoutError; these, and being cancelled, end the connection."""
        transport = self._transport
        if transport is None or not self.open or self._waiting is not None:
            raise Lost("it was closed", fresh=not self._used, heard=False)
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_at(deadline, self._expire)
        if len(body) <= JOIN_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        try:
            answer = await self._waiting
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            timer.cancel()
            self._waiting = None
        self._used = True
        return answer

    def close(self) -> None:
        """End the connection at once."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes.

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # Nobody asked.
            return
        self._heard += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._end(f"it does not speak HTTP/1.1 ({error})")
            self.close()
            return
        if self._heard - self._size > LARGEST_HEAD:
            self._end(f"the head of its answer is over {LARGEST_HEAD} bytes")
            self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._headed and self._until_end and self._pieces is not None:
            self._finish(b"".join(self._pieces))
        else:
            self._end(str(error) if error is not None else "it closed the connection before it answered")

    # httptools

    def on_message_begin(self) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # A second answer to one request; what is left of it must not meet the next one.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headed = True
            self._until_end = not (self._headers.keys() & {b"content-length", b"transfer-encoding"})

    def on_body(self, piece: bytes) -> None:
        if self._pieces is None:
            return
        self._size += len(piece)
        if self._size > self._largest_body:
            self._pieces = None
            self._finish(None)
            self.close()
        else:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 Continue and the like: the answer is still to come.
            self._begin_answer()
        elif self._pieces is not None:
            self._finish(b"".join(self._pieces))

    def _begin_answer(self) -> None:
        self._headers = {}
        self._reason = b""
        self._pieces = []
        self._status = self._size = self._heard = 0
        self._headed = self._until_end = False

    def _answer(self, body: bytes | None) -> Answer:
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        pause = self._headers.get(b"retry-after")
        return Answer(
            status=self._status,
            reason=self._reason.decode("latin-1"),
            content_type=kind.decode("latin-1"),
            retry_after=None if pause is None else pause.decode("latin-1"),
            body=body,
        )

    def _finish(self, body: bytes | None) -> None:
        """Hand the answer over, and keep the connection if both sides can."""
        waiting, transport = self._waiting, self._transport
        # What is not sent yet of the request will never be read: the backend has answered early.
        unsent = transport is not None and transport.get_write_buffer_size() > 0
        if waiting is not None and not waiting.done():
            if unsent and 200 <= self._status < 300:
                waiting.set_exception(Lost("it said success before it had the whole request", fresh=True, heard=True))
            else:
                waiting.set_result(self._answer(body))
        if unsent or not self._parser.should_keep_alive():
            self.close()
        else:
            self._begin_answer()

    def _expire(self) -> None:
        """Time is up."""
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            if self._headed:
                waiting.set_result(self._answer(None))
            else:
                waiting.set_exception(TimeoutError())
        self.close()

    def _end(self, cause: str) -> None:
        """No whole answer will come any more."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._headed:
            waiting.set_result(self._answer(None))
        else:
            waiting.set_exception(Lost(cause, fresh=not self._used, heard=self._heard > 0))
