"""A port that speaks HTTP/1.1: accepts connections, watches their deadlines, flushes their answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final, cast

from tracekeeper_sidecar.http.answer import Writer
from tracekeeper_sidecar.http.connection import Connection
from tracekeeper_sidecar.http.exchange import Handler
from tracekeeper_sidecar.http.limits import READ_SIZE, Limits

BACKLOG: Final = 128


class Server:
    """Start once, stop once. Owned by one event loop, uvloop's, which must be running when it is made."""

    def __init__(self, handler: Handler, limits: Limits, *, now: Callable[[], float] = time.time) -> None:
        self.handler, self.limits = handler, limits
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.writer = Writer(now)
        self.read = bytearray(READ_SIZE)
        """What any connection reads into; used up before another one's turn."""
        self.scratch = memoryview(self.read)
        self.draining = False
        self._connections: set[Connection] = set()
        self._dirty: list[Connection] = []
        self._socket: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (which one it is when `port` is 0); raises OSError."""
        self._socket = await self.loop.create_server(self._connect, host, port, backlog=BACKLOG)
        bound: int = self._socket.sockets[0].getsockname()[1]
        return bound

    async def start_on(self, port: socket.socket) -> None:
        """Serve on a socket that listens already; it is closed by `stop`."""
        self._socket = await self.loop.create_server(self._connect, sock=port, backlog=BACKLOG)

    async def stop(self, grace: float) -> None:
        """Take no more requests; give those under way `grace` seconds, then cut them off."""
        if self._socket is not None:
            self._socket.close()
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        if self._connections and grace > 0:
            try:
                await asyncio.wait_for(self._empty.wait(), grace)
            except TimeoutError:
                pass
        for connection in list(self._connections):
            connection.cut()
        if self._sweeping is not None:
            self._sweeping.cancel()

    # What connections call

    def admit(self, connection: Connection) -> tuple[int, str] | None:
        """Watch over a new connection; status and reason where it is refused."""
        self._connections.add(connection)
        self._empty.clear()
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self.limits.sweep, self._sweep)
        if self.draining:
            return 503, "the sidecar is stopping"
        if len(self._connections) > self.limits.connections:
            return 503, f"{self.limits.connections} connections are open already; reuse one, or try again later"
        return None

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def flush_soon(self, connection: Connection) -> None:
        """Flush it, and all others that say so until then, when what runs now is done."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            if connection.dirty:
                connection.flush()

    def _connect(self) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", Connection(self))  # one in all but name

    def _sweep(self) -> None:
        """Runs only while there are connections: an idle server does nothing."""
        now = self.time()
        for connection in list(self._connections):
            connection.expire(now)
        self._sweeping = self.loop.call_later(self.limits.sweep, self._sweep) if self._connections else None
