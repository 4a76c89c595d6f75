# cython: annotation_typing=False
"""One request and the answer it is owed; and what a server asks of those who answer."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.head import Head

if TYPE_CHECKING:
    from tracekeeper_sidecar.http.connection import Connection


class Loss(Enum):
    """Why the rest of a body will not come."""

    TIMEOUT = "timeout"
    FRAMING = "framing"
    """What came is no chunked body."""
    GONE = "gone"
    """The client has closed the connection: nobody will read an answer."""


class Body(Protocol):
    """Takes one request's body. After `lost`, or once its exchange is answered, nothing is called any more."""

    def room(self, length: int) -> memoryview | None:
        """Memory for a body of `length` bytes that does not come at once: it is filled in place, and followed by `end`.

        None to be fed pieces instead. Asked at most once, before the first piece.
        """

    def feed(self, piece: bytes) -> None:
        """The next piece; never empty."""

    def end(self) -> None:
        """That was all."""

    def lost(self, loss: Loss, problem: str) -> None:
        """The rest will not come; `problem` says why, for people."""


class Exchange:
    """Owned by its connection; whoever answers calls `reply`, once, now or later."""

    __slots__ = ("_connection", "answer", "head", "last")

    def __init__(self, connection: Connection, head: Head | None, *, last: bool) -> None:
        self._connection = connection
        self.head = head
        """None when what came was no request."""
        self.answer: Answer | None = None
        self.last = last
        """The connection ends with this answer."""

    @property
    def peer(self) -> str:
        """The client's IP address; empty when it is not known."""
        return self._connection.peer

    def reply(self, answer: Answer) -> None:
        """Answer. Answers leave in the order of their requests; those of one turn of the event loop in one write."""
        if self.answer is None:
            self.answer = answer
            self._connection.on_reply(self)

    def hold(self) -> None:
        """Read no more from this client until `resume`: what has come takes time."""
        self._connection.hold()

    def resume(self) -> None:
        """Read on."""
        self._connection.resume()


class Handler(Protocol):
    """Answers requests."""

    def begin(self, exchange: Exchange, head: Head) -> Body | None:
        """A request's head has come: reply to it, or return what takes its body, or neither and reply later."""

    def refuse(self, status: int, problem: str) -> Answer:
        """The answer to what is no request, and so has no exchange of its own."""
