# cython: annotation_typing=False
"""One client's connection: bytes in, requests out, answers back in order.

    head ──▶ body (by length, or chunked) ──▶ answered ──▶ head …
      │                │                          │
      └── no request, late, refused early ────────┴──▶ last answer ──▶ linger ──▶ closed

Nothing here makes a task, a future or a timer: the server sweeps deadlines, and flushes what was answered within one
turn of the event loop in one write per connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from tracekeeper_sidecar.http.answer import CONTINUE
from tracekeeper_sidecar.http.chunks import Chunks
from tracekeeper_sidecar.http.exchange import Body, Exchange, Loss
from tracekeeper_sidecar.http.head import Bad, Head, read
from tracekeeper_sidecar.http.limits import LINGER, MAX_DISCARD, MAX_HEAD, MAX_PIPELINED, READ_SIZE

if TYPE_CHECKING:
    from tracekeeper_sidecar.http.server import Server

logger = logging.getLogger(__name__)

NEVER: Final = float("inf")
_END: Final = b"\r\n\r\n"


class Connection:
    """A buffered protocol, as uvloop tells one: by `get_buffer`. Owned by its server and the event loop."""

    __slots__ = (
        "_body",
        "_chunks",
        "_current",
        "_ended",
        "_filling",
        "_held",
        "_inside",
        "_invited",
        "_left",
        "_lingering",
        "_owed",
        "_paused",
        "_rest",
        "_room",
        "_server",
        "_stalled",
        "_transport",
        "deadline",
        "dirty",
        "peer",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._owed: deque[Exchange] = deque()
        """Requests not answered yet, oldest first."""
        self._current: Exchange | None = None
        """The request whose body is coming."""
        self._body: Body | None = None
        """What takes that body; None while it is read for nothing."""
        self._left = 0
        self._chunks: Chunks | None = None
        self._room: memoryview | None = None
        """Where the next bytes of the body go, without a stop on the way."""
        self._filling = False
        """The body's memory is full, and `_filled` is on its way."""
        self._invited = True
        """No client waits for `100 Continue`."""
        self._ended = False
        """The client has sent all that it will."""
        self._rest = b""
        """Bytes that are no whole head yet, or that wait until something is answered."""
        self._held = False
        self._stalled = False
        """The client does not read."""
        self._paused = False
        self._lingering = False
        self._inside = False
        self.dirty = False
        """Among those that the server flushes."""
        self.deadline = NEVER
        self.peer = ""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else ""
        self.deadline = self._server.time() + self._server.limits.idle
        if (refusal := self._server.admit(self)) is not None:
            self._refuse(refusal[0], refusal[1])
            self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.forget(self)
        body, self._body, self._room, self._transport = self._body, None, None, None
        self._owed.clear()
        if body is not None:
            body.lost(Loss.GONE, "")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.scratch if self._room is None else self._room

    def buffer_updated(self, nbytes: int) -> None:
        room = self._room
        if room is not None:
            self._left -= nbytes
            if self._left:
                self._room = room[nbytes:]
            else:
                # The event loop still has a hold of the memory, which would have to be copied if it were used now.
                self._room, self._filling = None, True
                self._server.loop.call_soon(self._filled)
            return
        if self._filling:
            self._filled()
        if self._lingering:
            return
        self._run(self._server.scratch, self._server.read, nbytes)

    def eof_received(self) -> bool:
        """The client sends nothing more; true while it is still owed answers."""
        if self._filling:
            self._filled()
        self._ended = True
        if self._current is not None or self._lingering:
            return False  # connection_lost says the rest
        for exchange in self._owed:
            exchange.last = False
        if self._owed:
            self._owed[-1].last = True
        self._rest = b""
        return bool(self._owed)

    def pause_writing(self) -> None:
        self._stalled = True
        self.deadline = self._server.time() + self._server.limits.write
        self._read_or_not()

    def resume_writing(self) -> None:
        self._stalled = False
        self._set_deadline()
        self.flush()

    # What exchanges and the server call

    def on_reply(self, exchange: Exchange) -> None:
        if self._transport is None:
            return
        if exchange is self._current:  # before its whole body was read
            self._body = None
            if self._chunks is not None or self._left > MAX_DISCARD:
                exchange.last = True
        if self.dirty:
            return
        self.dirty = True
        if not self._inside:
            self._server.flush_soon(self)

    def hold(self) -> None:
        self._held = True
        self._read_or_not()

    def resume(self) -> None:
        self._held = False
        self._read_or_not()

    def flush(self) -> None:
        """Write every answer whose turn it is."""
        self.dirty = False
        transport, owed, server = self._transport, self._owed, self._server
        if transport is None or transport.is_closing() or self._lingering or self._stalled:
            return
        out = []
        ends, head = False, None
        while owed and (answer := owed[0].answer) is not None and not ends:
            exchange = owed.popleft()
            head = exchange.head
            ends = exchange.last or (server.draining and not owed)
            old = head is not None and head.minor == 0
            out.append(server.writer.encode(answer, ends, old, head is not None and head.method == "HEAD"))
        if out:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            if ends:
                self._finish(self._current is None and head is not None)
                return
            self._set_deadline()
        self._invite()
        self._read_or_not()
        if self._rest and not self._inside and self._current is None:
            rest, self._rest = self._rest, b""
            self._run(memoryview(rest), rest, len(rest))

    def expire(self, now: float) -> None:
        """Called now and then: act on a deadline that has passed."""
        if now < self.deadline or self._transport is None:
            return
        if self._body is not None and not self._stalled:
            self.deadline = now + LINGER
            self._lose(Loss.TIMEOUT, f"the request's body was not complete within {self._server.limits.body:g} s")
        elif self._stalled or self._lingering:
            self._transport.abort()
        else:
            self._transport.close()

    def drain(self) -> None:
        """Close once nothing is owed."""
        if self._owed:
            self._owed[-1].last = True
        elif self._current is None and self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Reading

    def _run(self, view: memoryview, data: bytes | bytearray, size: int) -> None:
        """Read what has come, and answer what can be answered at once."""
        if self._rest:
            whole = self._rest + bytes(view[:size])
            self._rest = b""
            view, data, size = memoryview(whole), whole, len(whole)
        self._inside = True
        try:
            self._advance(view, data, size)
        except Exception:
            logger.exception("reading a request failed in a way that is not foreseen")
            self.cut()
        self._inside = False
        if self.dirty:
            self.flush()
        self._read_or_not()

    def _advance(self, view: memoryview, data: bytes | bytearray, size: int) -> None:
        at = 0
        if self._current is not None and not self._left and self._chunks is None:
            self._complete()
        while at < size:
            if self._current is not None:
                at = self._read_chunks(view, at, size) if self._chunks else self._read_body(view, at, size)
            elif self._owed and self._owed[-1].last:
                return  # Nothing is read after the last request.
            elif self._stalled or len(self._owed) >= MAX_PIPELINED:
                self._rest = bytes(view[at:size])
                return
            else:
                at = self._read_head(view, data, at, size)

    def _read_head(self, view: memoryview, data: bytes | bytearray, at: int, size: int) -> int:
        while data.startswith(b"\r\n", at, size):
            at += 2  # Some clients end a body with an empty line: RFC 9112 section 2.2.
        end = data.find(_END, at, size)
        if end < 0:
            rest = bytes(view[at:size])
            if len(rest) > MAX_HEAD:
                self._refuse(400, f"the request's head is longer than {MAX_HEAD} bytes")
            elif rest and not _may_become_head(rest):
                self._refuse(400, "this is not HTTP/1.1")
            elif rest:
                self._rest = rest
                self.deadline = min(self.deadline, self._server.time() + self._server.limits.head)
            return size
        if end - at > MAX_HEAD:
            self._refuse(400, f"the request's head is longer than {MAX_HEAD} bytes")
            return size
        head = read(bytes(view[at : end + 4]))
        if type(head) is Bad:
            self._refuse(head.status, head.problem)
            return size
        assert type(head) is Head
        self._begin(head, end + 4 < size)
        return end + 4

    def _begin(self, head: Head, more: bool) -> None:
        """Have a request answered; `more` says that bytes follow its head already."""
        exchange = Exchange(self, head, last=not head.keep_alive)
        self._owed.append(exchange)
        if not self._stalled:
            self.deadline = NEVER
        if not head.chunked and not head.length:
            if (body := self._server.handler.begin(exchange, head)) is not None:
                body.end()
            return
        self._current, self._left = exchange, head.length
        self._chunks = Chunks() if head.chunked else None
        body = self._server.handler.begin(exchange, head)
        if exchange.answer is None:
            self._body = body
        if not self._stalled:
            self.deadline = self._server.time() + self._server.limits.body
        if head.continues and not more:
            if self._body is None:
                exchange.last = True  # It may send the body all the same, or not: the next bytes could be either.
            else:
                self._invited = False
                self._invite()

    def _invite(self) -> None:
        """Ask a client that waits for it to send its body, after the answers to what it sent before."""
        if not self._invited and self._transport is not None and self._owed and self._owed[0] is self._current:
            self._invited = True
            self._transport.write(CONTINUE)

    def _read_body(self, view: memoryview, at: int, size: int) -> int:
        """A body whose length is known."""
        left, body, current = self._left, self._body, self._current
        take = min(left, size - at)
        self._left = left - take
        if body is None:
            pass
        elif take == left:
            body.feed(bytes(view[at : at + take]))
        else:
            assert current is not None and current.head is not None
            whole = left == current.head.length and left > READ_SIZE  # Smaller ones come in one read anyway.
            room = body.room(left) if whole else None
            if room is not None:
                room[:take] = view[at : at + take]
                self._room = room[take:]
            elif self._body is not None:
                body.feed(bytes(view[at : at + take]))
        if not self._left:
            self._complete()
        return at + take

    def _read_chunks(self, view: memoryview, at: int, size: int) -> int:
        chunks, body = self._chunks, self._body
        assert chunks is not None
        pieces, stopped = chunks.feed(bytes(view[at:size]), 0)
        if body is not None and pieces:
            body.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if chunks.problem:
            self._lose(Loss.FRAMING, f"the chunks of the body are broken: {chunks.problem}")
            return size
        if chunks.done:
            self._complete()
        return at + stopped

    def _filled(self) -> None:
        """The body's memory is full, and nobody else has a hold of it."""
        if not self._filling or self._transport is None:
            return
        self._filling = False
        self._run(self._server.scratch, self._server.read, 0)

    def _complete(self) -> None:
        body, self._body, self._current, self._chunks = self._body, None, None, None
        self._invited = True
        self._set_deadline()
        if body is not None:
            body.end()

    def _set_deadline(self) -> None:
        """Once an answer has left or a request has come: our own time does not count."""
        limits = self._server.limits
        if self._stalled:
            return
        if self._current is not None:
            return  # The time for its body goes on.
        self.deadline = NEVER if self._owed else self._server.time() + limits.idle

    def _read_or_not(self) -> None:
        pause = self._held or self._stalled or len(self._owed) >= MAX_PIPELINED
        if pause == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Ending

    def _lose(self, loss: Loss, problem: str) -> None:
        """The rest of the body will not come, or means nothing."""
        body, self._body, self._room = self._body, None, None
        if self._current is not None:
            self._current.last = True
        if body is not None:
            body.lost(loss, problem)
        elif self._transport is not None:
            self._transport.close()

    def _refuse(self, status: int, problem: str) -> None:
        """Answer what is no request, after what came before it, and read no more."""
        exchange = Exchange(self, None, last=True)
        self._owed.append(exchange)
        exchange.reply(self._server.handler.refuse(status, problem))

    def _finish(self, clean: bool) -> None:
        """The last answer has been written. Unless all has been read (`clean`), closing at once would take it back."""
        transport = self._transport
        assert transport is not None
        if clean or self._ended:
            transport.close()
            return
        self._lingering = True
        self._body = self._room = None
        self.deadline = self._server.time() + LINGER
        transport.write_eof()


def _may_become_head(rest: bytes) -> bool:
    """Whether there is any point in waiting for more."""
    return rest == b"\r" or (rest[:1].isalpha() and rest.count(b"\n") == rest.count(b"\r\n"))
