"""The HTTP connections to one backend: the one used last first, another while all are busy, up to a bound."""

from __future__ import annotations

import asyncio
from collections import deque

from tracekeeper_sidecar.forward.dial import Place, dial
from tracekeeper_sidecar.forward.http_wire import Answer, HttpWire, Lost

IDLE = 45.0
"""Seconds after which an idle connection is not used again: many servers close theirs after a minute."""
ANOTHER = 2.0
"""Seconds that opening one more connection may take while there are others."""
ENOUGH = 30.0
"""Seconds for which the others do when that has failed."""


class Crowded(Exception):
    """Time was up while other requests had all the connections."""


class HttpPool:
    """Owned by one event loop."""

    def __init__(self, place: Place, most: int, largest_body: int) -> None:
        self._place, self._most, self._largest_body = place, most, largest_body
        self._idle: list[HttpWire] = []
        self._busy: set[HttpWire] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._enough_until = 0.0

    async def post(self, head: bytes, body: bytes, deadline: float) -> Answer:
        """The answer to one request, which is sent once more where the server has closed a kept connection meanwhile:
        so only what may come twice. Raises Lost, OSError, and at loop time `deadline` TimeoutError or Crowded.
        """
        wire = await self.take(deadline)
        try:
            return await wire.post(head, body, deadline)
        except Lost as lost:
            if lost.fresh or lost.heard:
                raise
        finally:
            self.give_back(wire)
        wire = await self.take(deadline, fresh=True)
        try:
            return await wire.post(head, body, deadline)
        finally:
            self.give_back(wire)

    async def take(self, deadline: float, *, fresh: bool = False) -> HttpWire:
        """A connection for one request; give it back. `fresh` asks for one that was never used, where it can be had.

        Raises OSError; at loop time `deadline` TimeoutError, or Crowded when it has had to wait for others: how long it
        then tried to connect is no measure of the backend.
        """
        wire = None if fresh else self._idle_one()
        if wire is not None:
            return wire
        waited = False
        try:
            async with asyncio.timeout_at(deadline) as limit:
                while True:
                    if self._closed:
                        raise OSError("the connection was closed on our side")
                    if not fresh and (wire := self._idle_one()) is not None:
                        return wire
                    if self._grows:
                        if (wire := await self._grow(deadline)) is not None:
                            return wire
                    elif not fresh:
                        waited = True
                        await self._turn()
                    fresh = False
        except TimeoutError:
            if waited and limit.expired():
                raise Crowded from None
            raise

    def give_back(self, wire: HttpWire) -> None:
        """The request is over; a connection that is closed is forgotten."""
        self._busy.discard(wire)
        if wire.open and not self._closed:
            wire.idle_since = asyncio.get_running_loop().time()
            self._idle.append(wire)
        else:
            wire.close()
        self._wake()

    def close(self) -> None:
        """End every connection; requests on them end as Lost."""
        self._closed = True
        for wire in (*self._idle, *self._busy):
            wire.close()
        self._idle.clear()
        while self._waiting:
            self._wake()

    def _idle_one(self) -> HttpWire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.open and asyncio.get_running_loop().time() - wire.idle_since < IDLE:
                self._busy.add(wire)
                return wire
            wire.close()
        return None

    @property
    def _grows(self) -> bool:
        """Whether there may be one more connection."""
        if len(self._busy) + self._opening >= self._most:
            return False
        return not self._usable or asyncio.get_running_loop().time() >= self._enough_until

    @property
    def _usable(self) -> bool:
        return any(wire.open for wire in (*self._busy, *self._idle))

    async def _grow(self, deadline: float) -> HttpWire | None:
        """One more connection. None when it cannot be had while there are, or were, others: those then have to do, for
        many servers, and what stands before them, bound the connections of one client. Raises OSError."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + ANOTHER if self._usable else None
        try:
            async with asyncio.timeout_at(limit):
                return await self._open(deadline if limit is None else min(limit, deadline))
        except OSError:  # TimeoutError, too.
            if limit is None and not self._usable:
                raise
            self._enough_until = loop.time() + ENOUGH
            return None

    async def _open(self, deadline: float) -> HttpWire:
        self._opening += 1
        try:
            wire = await dial(self._place, lambda: HttpWire(self._largest_body), deadline)
        except BaseException:
            self._wake()
            raise
        finally:
            self._opening -= 1
        if self._closed:
            wire.close()
            raise OSError("the connection was closed on our side")
        self._busy.add(wire)
        return wire

    async def _turn(self) -> None:
        """Wait until a connection may be free."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._wake()  # It was our turn: the next one's, then.
            raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
