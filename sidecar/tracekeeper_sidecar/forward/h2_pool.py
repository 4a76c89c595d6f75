"""The HTTP/2 connections to one backend: one for all calls, another while every one there is full, up to a bound."""

from __future__ import annotations

import asyncio

from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_pool import Place

FULL_CALLS = 4
"""Calls on one connection with which it counts as full. More would share one window of flow control."""


class H2Pool:
    """Owned by one event loop."""

    def __init__(self, place: Place, most: int, largest_body: int) -> None:
        self._place, self._most, self._largest_body = place, most, largest_body
        self._wires: list[H2Wire] = []
        self._opening = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    async def take(self, deadline: float) -> H2Wire:
        """A connection for one call, to be begun at once. Raises OSError, Lost, and TimeoutError at loop
        time `deadline`."""
        wire = self._ready()
        if wire is not None:
            return wire
        async with asyncio.timeout_at(deadline):
            while True:
                if self._closed:
                    raise OSError("the connection was closed on our side")
                if not self._opening and len(self._wires) < self._most:
                    await self._open()
                wire = self._ready() or self._least()
                if wire is not None:
                    return wire
                await self._change()

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
        if self._opening or len(self._wires) < self._most:
            return None
        return min(
            (wire for wire in self._wires if wire.open and not wire.full), key=lambda one: one.calls, default=None
        )

    async def _open(self) -> None:
        place, loop = self._place, asyncio.get_running_loop()
        self._opening = True
        try:
            _, wire = await loop.create_connection(
                lambda: H2Wire(self._largest_body, self._wake),
                place.host,
                place.port,
                ssl=place.context,
                server_hostname=place.host if place.context is not None else None,
            )
            try:
                await wire.greeted()
            except BaseException:
                wire.close()
                raise
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
