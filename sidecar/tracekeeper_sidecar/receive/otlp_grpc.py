"""OTLP over gRPC: opentelemetry.proto.collector.trace.v1.TraceService/Export, in raw bytes, on libnghttp2.

The server listens, keeps the list of connections, looks after time for all of them with one timer, and drains them.
What a connection does is in `h2.connection`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

from tracekeeper_sidecar.receive import listen
from tracekeeper_sidecar.receive.h2.connection import Connection
from tracekeeper_sidecar.receive.intake import Receiver

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds in which a new connection must speak HTTP/2."""
KEEPALIVE: Final = 60.0
"""Seconds of silence after which a client is asked whether it is there, in mid-request too; it has a third of that to
answer."""
MESSAGE_TIMEOUT: Final = 30.0
"""Seconds in which a call's whole message must have come, and in which its answer must have been let through."""
MAX_CONNECTIONS: Final = 512
"""Connections at once. An SDK has one; each takes 11 KB, and up to 80 KB once it has made many calls."""

_BUFFER: Final = 256 * 1024
_SWEEP: Final = 1.0
"""Seconds between two looks at the time."""
_BACKLOG: Final = 512
_GOAWAY_PATIENCE: Final = 0.2
"""Part of the grace that clients get to hear of the end, before no more calls are taken."""


class GrpcReceiver:
    """The gRPC server. Start once, stop once."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        keepalive: float = KEEPALIVE,
        message_timeout: float = MESSAGE_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.buffer = bytearray(_BUFFER)
        self.handshake, self.keepalive, self.patience = handshake_timeout, keepalive, message_timeout
        self.now = monotonic
        self._receiver = receiver
        self._max_connections = max_connections
        self._connections: set[Connection] = set()
        self._to_flush: list[Connection] = []
        self._socket: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()
        self._pause = min(_SWEEP, handshake_timeout / 4, keepalive / 8, message_timeout / 4)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (which one it is when `port` is 0); raises ListenError."""
        try:
            self._socket = await asyncio.get_running_loop().create_server(self._connected, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise listen.from_os(host, port, error) from error
        bound: int = self._socket.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more calls; give those under way `grace` seconds, then cut them off."""
        if self._socket is not None:
            self._socket.close()
        if grace > 0 and self._connections:
            # Two GOAWAYs, as RFC 9113, section 6.8, has it: calls that cross the first one on the wire are still taken.
            for connection in list(self._connections):
                connection.announce_end()
            if not await self._closed_within(grace * _GOAWAY_PATIENCE):
                for connection in list(self._connections):
                    connection.end()
                await self._closed_within(grace * (1 - _GOAWAY_PATIENCE))
        for connection in list(self._connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _closed_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._all_closed.wait(), seconds)
        except TimeoutError:
            return not self._connections
        return True

    def _connected(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= self._max_connections:
            return _Full()
        connection = Connection(self._receiver, self)
        self._connections.add(connection)
        self._all_closed.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._sweep)
        return connection

    # What connections ask for.

    def closed(self, connection: Connection) -> None:
        """As Limits.closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def flush_soon(self, connection: Connection) -> None:
        """As Limits.flush_soon; all of a commit, and of several in one turn, in one go."""
        if not self._to_flush:
            asyncio.get_running_loop().call_soon(self._flush)
        self._to_flush.append(connection)

    def _flush(self) -> None:
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    def _sweep(self) -> None:
        now = self.now()
        for connection in list(self._connections):
            connection.sweep(now)
        self._timer = None
        if self._connections:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._sweep)


class _Full(asyncio.Protocol):
    """Closes a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()
