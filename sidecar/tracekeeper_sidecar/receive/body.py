"""Reading a request's body: never more than the limit, never more than admission allows, in pieces."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.admission import OVERHEAD, Lease
from tracekeeper_sidecar.receive.inflate import Inflater
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Refused


class Content(Protocol):
    """Where the body comes from; aiohttp's StreamReader is one."""

    async def readany(self) -> bytes:
        """Whatever has come, at least one byte; nothing at the end."""


class BodyReader:
    """Reads one body. The lease grows with it and is the caller's to give back."""

    def __init__(self, lease: Lease, *, gzip: bool, admission_limit: int) -> None:
        self._lease = lease
        self._inflater = Inflater() if gzip else None
        self._admission_limit = admission_limit
        self._pieces: list[bytes] = []
        self._size = 0

    def announce(self, length: int | None) -> Refused | None:
        """Refuse by the Content-Length header alone, or for want of room, before a byte of the body is read."""
        if length is not None and length > MAX_REQUEST:
            return outcome.too_large(length)
        if not self._lease.grow(OVERHEAD):
            return outcome.overloaded(self._admission_limit)
        return None

    async def read(self, content: Content) -> bytes | Refused:
        """The body, decompressed; raises WireError when it is not the gzip it says it is."""
        while data := await content.readany():
            if self._inflater is None:
                if (refused := self._keep(data)) is not None:
                    return refused
                continue
            for piece in self._inflater.feed(data):
                if (refused := self._keep(piece)) is not None:
                    return refused
                if len(piece) > 65536:
                    await asyncio.sleep(0)  # Others have a turn while a large body unfolds.
        if self._inflater is not None:
            self._inflater.finish()
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep(self, piece: bytes) -> Refused | None:
        self._size += len(piece)
        if self._size > MAX_REQUEST:
            return outcome.too_large()
        if not self._lease.grow(len(piece)):
            return outcome.overloaded(self._admission_limit)
        self._pieces.append(piece)
        return None
