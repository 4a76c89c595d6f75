"""One client's connection: what asyncio hands over goes into a `Session`, what comes out of it to the receiver.

There is no task, future or timer here: the server's sweep looks after time. Answers are written when all that came has
been looked at, or, those that a commit brings, once in the next turn of the event loop: one write per commit.

When everything has been said, only our half of the connection is closed, and what the client still sends is read for
nothing until it closes, too. Otherwise that would reset the connection, and a reset takes back what was said last:
answers to calls that are stored, or why the connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol, cast

from tracekeeper_sidecar.receive.admission import OVERHEAD
from tracekeeper_sidecar.receive.h2 import answers, refusals, session
from tracekeeper_sidecar.receive.h2.session import Session
from tracekeeper_sidecar.receive.h2.unfold import Unfolding
from tracekeeper_sidecar.receive.intake import EVERY_NAME, MOST_CONTEXT, NO_CONTEXT, Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused

MAX_CALLS: Final = 256
"""Calls at once over one connection; the client keeps the rest back."""
STREAM_WINDOW: Final = 1 << 20
WINDOW: Final = 4 << 20
"""Bytes that a client may send ahead, for one call and in all. They take no memory of ours: what comes is admitted or
dropped at once, so that the windows only spare the client from waiting for us to say so."""
CREDIT_PER_SECOND: Final = 100
"""Frames that carry nothing (pings, settings, resets…) which a client may send for ever."""
LINGER: Final = 2.0
"""Seconds that a client has to hear the last of what was said and to close."""


class Limits(Protocol):
    """What connections share, and may wait for, in seconds."""

    buffer: bytearray
    """Where all of them read into; each is done with it before the next begins."""
    handshake: float
    keepalive: float
    patience: float

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def flush_soon(self, connection: Connection) -> None:
        """Call `connection.flush` in the next turn of the event loop."""

    def closed(self, connection: Connection) -> None:
        """The connection is no more."""


class Connection(asyncio.BufferedProtocol):
    """See the module. Made for each connection; the transport calls it."""

    def __init__(self, receiver: Receiver, server: Limits) -> None:
        self._receiver, self._server = receiver, server
        self._session = Session(
            receiver.admission,
            overhead=OVERHEAD,
            most=MAX_REQUEST,
            most_metadata=refusals.MAX_METADATA,
            most_streams=MAX_CALLS,
            stream_window=STREAM_WINDOW,
            window=WINDOW,
        )
        self._transport: asyncio.Transport | None = None
        self._wants: frozenset[str] = frozenset()
        """Names of metadata that processors read."""
        self._began = self._heard = server.now()
        self._pinged: float | None = None
        self._paused: float | None = None
        """Since when the client has let nothing through."""
        self._end_after: int | None = None
        """The number of pongs that says that the client has heard of the end."""
        self._busy = False
        """Answers are written when this is over."""
        self._wants_flush = False
        self._over: float | None = None
        """Since when everything has been said."""
        self._ignored = 0
        """Bytes that have come since."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        self.flush()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._over is not None:
            self._ignore(nbytes)
            return
        self._heard, self._pinged = self._server.now(), None
        greeted = self._session.greeted
        if self._wants is not self._receiver.wants:
            self._wants = self._receiver.wants
            self._session.want(self._wants, MOST_CONTEXT if self._wants is EVERY_NAME else 0)
        self._busy = True
        healthy = self._session.feed(self._server.buffer, nbytes, self._heard)
        if not healthy and not greeted:
            self._say_goodbye(bytes(self._server.buffer[: min(nbytes, 100)]))
        self._look_after()
        self._busy = False
        if self._end_after is not None and self._session.pongs > self._end_after:
            self.end()
        else:
            self.flush()

    def eof_received(self) -> bool:
        return False  # A client that sends no more does not listen either: close.

    def pause_writing(self) -> None:
        self._paused = self._server.now()

    def resume_writing(self) -> None:
        self._paused = None
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._forget()
        self._server.closed(self)

    # What the server calls.

    def flush(self) -> None:
        """Write what is to be said, as far as the client lets it through; say so when that was everything."""
        self._wants_flush = False
        transport = self._transport
        if transport is None or transport.is_closing() or self._over is not None:
            return
        while self._paused is None and (data := self._session.pull()):
            transport.write(data)
        if self._session.finished and self._paused is None:
            self._over = self._server.now()
            transport.write_eof()
            self._forget()

    def sweep(self, now: float) -> None:
        """Look after time; `CREDIT_PER_SECOND` supposes that it is called about once a second."""
        if self._is_dead(now):
            self.abort()
            return
        self._session.sweep(now, self._server.patience, CREDIT_PER_SECOND)
        self._look_after()
        self.flush()

    def announce_end(self) -> None:
        """Ask the client to make no more calls here; those that are on their way are still taken."""
        self._session.announce_end()
        self._session.ping()
        self._end_after = self._session.pongs
        self.flush()

    def end(self) -> None:
        """Take no more calls; close when those under way are answered."""
        self._end_after = None
        self._session.end()
        self.flush()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        """Give back what calls hold; those that wait for the log are answered to nobody."""
        self._session.close()
        for _, _, held, _ in self._session.ready:
            self._receiver.admission.release(held)
        self._session.ready.clear()

    def _ignore(self, size: int) -> None:
        """Read for nothing what was on its way; a client that minds our windows sends no more than this."""
        self._ignored += size
        if self._ignored > WINDOW:
            self.abort()

    def _is_dead(self, now: float) -> bool:
        server = self._server
        if self._over is not None:
            leaves = self._transport is not None and self._transport.get_write_buffer_size() > 0
            return now - self._over > (server.patience if leaves else LINGER)
        if not self._session.greeted:
            return now - self._began > server.handshake
        if self._paused is not None and now - self._paused > server.patience:
            return True
        if self._pinged is not None:
            return now - self._pinged > server.keepalive / 3
        if now - self._heard > server.keepalive:
            self._session.ping()
            self._pinged = now
        return False

    # Calls.

    def _look_after(self) -> None:
        """Everything that the session has found: messages to take, calls to refuse."""
        found = self._session
        if found.refused:
            refused = found.refused[:]
            found.refused.clear()
            for number, why, detail in refused:
                self._refuse(number, why, detail)
        if found.ready:
            ready = found.ready[:]
            found.ready.clear()
            for number, message, held, how in ready:
                if not found.is_open(number):
                    self._receiver.admission.release(held)  # reset before anybody looked at it
                elif how == session.IDENTITY:
                    self._receiver.take(message, held, partial(self._reply, number, held), self._context(number))
                else:
                    unfolded = partial(self._unfolded, number)
                    Unfolding(message, held, how, self._receiver.admission, unfolded).begin()

    def _unfolded(self, number: int, message: bytes | Refused, held: int) -> None:
        if isinstance(message, bytes):
            self._receiver.take(message, held, partial(self._reply, number, held), self._context(number))
        else:
            self._reply(number, held, self._receiver.refuse(message))

    def _context(self, number: int) -> Mapping[str, str]:
        return self._session.context(number) if self._wants else NO_CONTEXT

    def _refuse(self, number: int, why: int, detail: int) -> None:
        refusal = refusals.explain(why, detail, self._receiver.admission.limit, self._server.patience)
        self._receiver.refuse(refusal)
        if why == session.NOT_GRPC:
            self._session.reject(number, answers.NOT_GRPC_HEADERS, answers.NOT_GRPC_TEXT)
        else:
            self._session.reject(number, answers.headers(refusal))

    def _reply(self, number: int, held: int, outcome: Outcome) -> None:
        self._receiver.admission.release(held)
        if type(outcome) is Accepted:
            said = self._session.accept(number, answers.partial(outcome) if outcome.rejected else None)
        else:
            assert isinstance(outcome, Refused)
            said = self._session.reject(number, answers.headers(outcome))
        if said and not self._busy and not self._wants_flush:
            self._wants_flush = True
            self._server.flush_soon(self)

    def _say_goodbye(self, begin: bytes) -> None:
        """Tell a client that speaks something else, in its own language if that is HTTP/1.1."""
        if b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".startswith(begin[:24]):
            return
        self._receiver.refuse(refusals.not_http2(begin))
        if self._transport is not None and b"HTTP/1." in begin:
            self._transport.write(answers.NOT_HTTP2)
