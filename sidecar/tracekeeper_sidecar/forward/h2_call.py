"""A unary call over HTTP/2: one message out, one answer in, as a value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tracekeeper_sidecar.forward.h2_exchange import Exchange
from tracekeeper_sidecar.forward.http_wire import Lost


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said to one call."""

    headers: dict[bytes, bytes]
    """Headers and trailers; of a name that comes twice, the last."""
    body: bytes | None
    """The DATA as it came, message prefix included; None when it was longer than allowed."""
    reset: int | None = None
    """The code with which the server ended the call, if it did so instead of answering."""
    early: bool = False
    """Whether it came before the whole message had left: it cannot be what became of that."""


class Call(Exchange):
    """Made by its wire."""

    __slots__ = ("_head", "_largest", "_message", "_sent", "body", "waiting")

    def __init__(
        self, stream: int, window: int, head: bytes, message: bytes, waiting: asyncio.Future[Reply], largest: int
    ) -> None:
        """`head` goes before `message`. `waiting` gets the answer, which may have up to `largest` bytes, or Lost."""
        super().__init__(stream, window)
        self.waiting = waiting
        self.body: bytearray | None = bytearray()
        """None once it is too long."""
        self._head, self._message, self._largest = head, memoryview(message), largest
        self._sent = 0

    @property
    def left(self) -> int:
        return len(self._head) + len(self._message) - self._sent

    def cut(self, size: int, out: list[bytes | memoryview]) -> None:
        start, end = self._sent, self._sent + size
        before = len(self._head)
        if start < before:
            out.append(self._head[start:end])
        if end > before:
            out.append(self._message[max(0, start - before) : end - before])
        self._sent = end

    @property
    def ends(self) -> bool:
        return True

    def take(self, piece: bytes, size: int) -> int:
        if self.body is not None and len(self.body) + len(piece) > self._largest:
            self.body = None
        if self.body is None:  # What became of the call stands in the trailers, behind all this.
            return max(1, size)
        self.body += piece
        return 0

    @property
    def enough(self) -> bool:
        return self.body is None and self.headers.get(b":status") != b"200"  # Some page; its status has said all.

    @property
    def unfinished(self) -> bool:
        return self.left > 0 or self.body is None

    def finish(self, reset: int | None) -> None:
        if not self.waiting.done():
            body = None if self.body is None else bytes(self.body)
            self.waiting.set_result(Reply(self.headers, body, reset, self.left > 0))

    def lose(self, lost: Lost) -> None:
        if not self.waiting.done():
            self.waiting.set_exception(lost)

    def expire(self) -> None:
        """Time is up."""
        if not self.waiting.done():
            self.waiting.set_exception(TimeoutError())
