"""A compressed message, unfolded a piece at a time, so that others have a turn and nothing outgrows its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.h2 import session
from tracekeeper_sidecar.receive.inflate import GZIP, STEP, ZLIB, Inflater
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Refused

_FORMATS: Final = {session.GZIP: GZIP, session.DEFLATE: ZLIB}


class Unfolding:
    """One message. `done(message, held)` is called once: with a refusal instead of the message where it is no good.

    `held` is how many bytes of the admission go with the message then, and are given back by whoever `done` is.
    """

    __slots__ = ("_admission", "_done", "_held", "_inflater", "_packed", "_parts", "_pieces", "_size")

    def __init__(
        self, packed: bytes, held: int, how: int, admission: Admission, done: Callable[[bytes | Refused, int], None]
    ) -> None:
        self._packed, self._held, self._admission, self._done = packed, held, admission, done
        self._inflater = Inflater(_FORMATS[how])
        self._pieces = self._inflater.feed(packed)
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self) -> None:
        """Unfold what fits into one turn; a message that is larger takes as many as it needs."""
        try:
            turn = self._turn()
        except WireError as error:
            turn = outcome.malformed(error)
        if turn is None:
            asyncio.get_running_loop().call_soon(self.begin)
        else:
            self._done(turn, self._held)

    def _turn(self) -> bytes | Refused | None:
        """The message, or why there is none; None when there is more to do."""
        for piece in self._pieces:
            self._size += len(piece)
            if self._size > MAX_REQUEST:
                return outcome.too_large()
            if not self._admission.reserve(len(piece), self._held):
                return outcome.overloaded(self._admission.limit)
            self._held += len(piece)
            self._parts.append(piece)
            if len(piece) == STEP:
                return None
        self._inflater.finish()
        self._admission.release(len(self._packed))
        self._held -= len(self._packed)
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
