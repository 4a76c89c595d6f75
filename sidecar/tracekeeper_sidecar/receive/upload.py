# cython: annotation_typing=False
"""One request's body over HTTP: never more than the limit, nor than admission allows, in whatever pieces it comes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.http.exchange import Exchange, Loss
from tracekeeper_sidecar.raised import raised
from tracekeeper_sidecar.receive import media, outcome
from tracekeeper_sidecar.receive.inflate import Inflater
from tracekeeper_sidecar.receive.intake import NO_CONTEXT, Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused

if TYPE_CHECKING:
    from tracekeeper_sidecar.receive.dialect import Convert, Dialect
    from tracekeeper_sidecar.wire.converted import Converted

logger = logging.getLogger(__name__)

DIRECT: Final = 1024 * 1024
"""Bytes of a body up to which it gets all its memory when its head has come, and no copy is made on the way. Larger
ones get it as they come: who announces much and sends nothing shall not keep others out."""
_AT_ONCE: Final = 256 * 1024
"""Bytes unfolded before others have a turn."""
_JSON_FACTOR: Final = 8
"""Memory that parsed JSON takes, in sizes of its text: what the admission counts for it."""
_IN_THREAD: Final = 16 * 1024
"""Bytes of JSON from which on a thread converts it, so that the event loop is not held up: what is written to be slow
takes 1.4 µs a byte."""


class Upload:
    """Takes a body, hands it to the receiver, and answers. A `Body` of `tracekeeper_sidecar.http`."""

    __slots__ = ("_all", "_context", "_convert_with", "_dialect", "_ended", "_exchange", "_first", "_held", "_inflater",
                 "_kind", "_left_out", "_over", "_packed", "_problem", "_receiver", "_size", "_steps")  # fmt: skip

    def __init__(
        self,
        receiver: Receiver,
        exchange: Exchange,
        kind: str,
        *,
        gzip: bool,
        held: int,
        context: Mapping[str, str] = NO_CONTEXT,
        dialect: Dialect | None = None,
        convert: Convert | None = None,
    ) -> None:
        """`held` bytes are reserved in the admission already; they are given back with the answer, like all others.

        `context` is what the head says that processors want. A body in another protocol's JSON comes with its
        `dialect`, and what makes OTLP of it.
        """
        self._receiver, self._exchange, self._kind = receiver, exchange, kind
        self._context, self._dialect, self._convert_with = context, dialect, convert
        self._left_out, self._problem = 0, ""
        """Spans that could not be understood, and what is wrong with them."""
        self._held = held
        self._inflater = Inflater() if gzip else None
        self._packed: deque[bytes] = deque()
        """What waits to be unfolded."""
        self._steps: Iterator[bytes] | None = None
        self._first = b""
        self._all: BytesIO | None = None
        """The body, where it is more than one piece. Gives out what it holds without another copy."""
        self._size = 0
        self._ended = False
        self._over = False
        """Answered, or there is nobody to answer."""

    def room(self, length: int) -> memoryview | None:
        """As Body.room."""
        if self._inflater is not None or length > DIRECT or not self._reserve(length):
            return None
        self._all = BytesIO(bytes(length))
        return self._all.getbuffer()

    def feed(self, piece: bytes) -> None:
        """As Body.feed."""
        if self._inflater is None:
            self._keep(piece)
            return
        self._packed.append(piece)
        if self._steps is None:
            self._unfold()

    def end(self) -> None:
        """As Body.end."""
        self._ended = True
        if self._steps is None and not self._over:
            self._complete()

    def lost(self, loss: Loss, problem: str) -> None:
        """As Body.lost."""
        if loss is Loss.TIMEOUT:
            self._refuse(media.slow_client(problem))
        elif loss is Loss.GONE:
            self._refuse(media.disconnected())
        else:
            self._refuse(outcome.malformed(WireError("body", problem)))

    def _unfold(self) -> None:
        """Decompress what has come, and let others have a turn now and then while a large body unfolds."""
        done = 0
        try:
            while not self._over:
                if self._steps is None:
                    if not self._packed:
                        break
                    assert self._inflater is not None
                    self._steps = self._inflater.feed(self._packed.popleft())
                for piece in self._steps:
                    if not self._keep(piece):
                        break
                    done += len(piece)
                    if done > _AT_ONCE:
                        self._exchange.hold()
                        asyncio.get_running_loop().call_soon(self._unfold)
                        return
                self._steps = None
        except WireError as error:
            self._refuse(outcome.malformed(error))
        self._steps = None
        self._exchange.resume()
        if self._ended and not self._over:
            self._complete()

    def _keep(self, piece: bytes) -> bool:
        size = self._size + len(piece)
        if size > MAX_REQUEST:
            self._refuse(outcome.too_large())
            return False
        if not self._reserve(len(piece)):
            return False
        if self._all is not None:
            self._all.write(piece)
        elif not self._size:
            self._first = piece
        else:
            self._all, first = BytesIO(), self._first
            self._first = b""
            self._all.write(first)
            self._all.write(piece)
        self._size = size
        return True

    def _reserve(self, size: int) -> bool:
        if not self._receiver.admission.reserve(size, self._held):
            self._refuse(outcome.overloaded(self._receiver.admission.limit))
            return False
        self._held += size
        return True

    def _complete(self) -> None:
        """Hand the whole body over."""
        if self._inflater is not None:
            try:
                self._inflater.finish()
            except WireError as error:
                self._refuse(outcome.malformed(error))
                return
        body = self._first if self._all is None else self._all.getvalue()
        self._first, self._all = b"", None
        if self._kind == media.JSON:
            self._convert(body)
        else:
            self._receiver.take(body, self._held, self._answer, self._context)

    def _convert(self, body: bytes) -> None:
        limit = self._receiver.admission.limit // _JSON_FACTOR
        convert = self._convert_with or media.from_json
        if len(body) > limit:
            self._refuse(outcome.too_large_for_json(len(body), limit))
        elif not self._reserve(_JSON_FACTOR * len(body)):
            return
        elif len(body) < _IN_THREAD:
            self._converted(convert(body))
        else:
            converting = asyncio.get_running_loop().run_in_executor(None, convert, body)
            converting.add_done_callback(lambda done: self._converted(_result(done)))

    def _converted(self, result: bytes | Converted | Refused) -> None:
        if isinstance(result, Refused):
            self._refuse(result)
        elif isinstance(result, bytes):
            self._receiver.take(result, self._held, self._answer, self._context)
        else:
            self._translated(result)

    def _translated(self, result: Converted) -> None:
        """Take what could be understood of another protocol, and leave out the rest."""
        assert self._dialect is not None
        self._dialect.learn(result)
        if result.problem and not result.payload:
            if not self._over:
                self._answer(self._receiver.refuse(self._dialect.malformed(result.problem), result.refused))
            return
        if result.refused:
            self._receiver.leave_out(self._dialect.malformed(result.problem), result.refused)
        self._left_out, self._problem = result.refused, result.problem
        self._receiver.take(result.payload, self._held, self._answer, self._context)

    def _refuse(self, refused: Refused) -> None:
        if not self._over:
            self._answer(self._receiver.refuse(refused))

    def _answer(self, outcome: Outcome) -> None:
        self._over = True
        self._receiver.admission.release(self._held)
        self._held = 0
        self._first, self._all = b"", None
        self._packed.clear()
        if isinstance(outcome, Accepted):
            if self._problem:
                problem = "; ".join(one for one in (self._problem, outcome.problem) if one)
                outcome = Accepted(outcome.spans, outcome.rejected + self._left_out, problem)
            success = media.success(self._kind, outcome) if self._dialect is None else self._dialect.success(outcome)
            self._exchange.reply(success)
        else:
            refused = outcome if self._dialect is None else self._dialect.refusal(outcome)
            self._exchange.reply(media.refusal(refused, self._kind))


def _result(done: asyncio.Future[bytes | Converted | Refused]) -> bytes | Converted | Refused:
    error = None if done.cancelled() else done.exception()
    if error is None and not done.cancelled():
        return done.result()
    said = "it was cancelled" if error is None else raised(error)
    logger.error("converting JSON failed in a way that is not foreseen: %s", said)
    return outcome.internal()
