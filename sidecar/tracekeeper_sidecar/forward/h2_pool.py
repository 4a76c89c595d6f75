"""The HTTP/2 connections to one backend: one for all calls, another while every one there is full, up to a bound."""

from __future__ import annotations

import asyncio

from tracekeeper_sidecar.forward.dial import Place, dial
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_pool import Crowded
from tracekeeper_sidecar.forward.http_wire import Lost

FULL_CALLS = 4
"""Calls on one connection with which it counts as full. More would share one window of flow control."""
ANOTHER = 2.0
"""Seconds that opening one more connection may take while there are others."""
ENOUGH = 30.0
"""Seconds for which the others do when that has failed."""


class H2Pool:
    """Owned by one event loop."""

    def __init__(self, place: Place, most: int, largest_body: int) -> None:
        self._place, self._most, self._largest_body = place, most, largest_body
        self._wires: list[H2Wire] = []
        self._opening = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._enough_until = 0.0

    async def take(self, deadline: float) -> H2Wire:
        """A connection for one call, to be begun at once.

        Raises OSError and Lost; at loop time `deadline` TimeoutError, or Crowded when other calls of ours were in the
        way: those speak for the backend.
        """
        wire = self._ready()
        if wire is not None:
            return wire
        crowded = False
        try:
            async with asyncio.timeout_at(deadline) as limit:
                while True:
                    if self._closed:
                        raise OSError("the connection was closed on our side")
                    crowded = crowded or any(wire.open and wire.calls for wire in self._wires)
                    if not self._opening and self._grows:
                        await self._grow(deadline)
                    wire = self._ready() or self._least()
                    if wire is not None:
                        return wire
                    await self._change()
        except TimeoutError:
            for wire in self._wires:  # A server that allows no calls may be one that is not there any more.
                if wire.full and not wire.calls:
                    wire.retire()
            if crowded and limit.expired():
                raise Crowded from None
            raise

    def close(self) -> None:
        """End every connection; calls on them are Lost."""
        self._closed = True
        for wire in self._wires:
            wire.close()
        self._wires.clear()
        self._wake()

    def _ready(self) -> H2Wire | None:
        """The first one that is not full."""
        for wire in self._wires:
            if wire.open and wire.calls < FULL_CALLS and not wire.full:
                return wire
        self._wires = [wire for wire in self._wires if wire.open]
        return None

    def _least(self) -> H2Wire | None:
        """The one with the least to do, when there will be no other."""
        if self._opening or self._grows:
            return None
        return min(
            (wire for wire in self._wires if wire.open and not wire.full), key=lambda one: one.calls, default=None
        )

    @property
    def _grows(self) -> bool:
        """Whether there may be one more connection."""
        if len(self._wires) >= self._most:
            return False
        return not self._usable or asyncio.get_running_loop().time() >= self._enough_until

    @property
    def _usable(self) -> bool:
        return any(wire.open for wire in self._wires)

    async def _grow(self, deadline: float) -> None:
        """Open one more connection. When that fails, those that are there have to do. Raises OSError and Lost."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + ANOTHER if self._usable else None
        try:
            async with asyncio.timeout_at(limit):
                await self._open(deadline if limit is None else min(limit, deadline))
        except (OSError, Lost):  # TimeoutError, too.
            if not self._usable:
                raise
            self._enough_until = loop.time() + ENOUGH

    async def _open(self, deadline: float) -> None:
        self._opening = True
        try:
            wire = await dial(self._place, lambda: H2Wire(self._largest_body, self._wake), deadline)
            try:
                await wire.greeted()
            except BaseException:
                wire.close()
                raise
            if not wire.open:  # Asking again at once would be all that we do.
                raise Lost("it went away as soon as it had come", fresh=True, heard=False)
        finally:
            self._opening = False
            self._wake()
        if self._closed:
            wire.close()
        else:
            self._wires.append(wire)

    async def _change(self) -> None:
        """Wait until there may be room."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        try:
            await change
        finally:
            self._waiting.discard(change)

    def _wake(self) -> None:
        for change in self._waiting:
            if not change.done():
                change.set_result(None)
