"""A gRPC stream over HTTP/2 that lasts: messages in both directions, in any order, until one side ends it.

Nothing is waited for here. Whoever owns it is woken when something has come, and fetches it; what has been fetched
makes room for more, so a peer cannot send faster than it is read, and no more than one window of it is ever in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward.h2_call import Reply
from tracekeeper_sidecar.forward.h2_exchange import Exchange
from tracekeeper_sidecar.forward.http_wire import Lost

PREFIX = 5
"""Bytes before a message: whether it is compressed, and its length."""
REOPEN = 32 * 1024
"""Bytes fetched after which the window is opened again."""


class Carrier(Protocol):
    """The connection that carries it."""

    def push(self, stream: Stream) -> None:
        """Send what the windows allow."""

    def shut(self, stream: Stream) -> None:
        """Tell the peer that nothing more will be sent."""

    def widen(self, stream: Stream, size: int) -> None:
        """Let the peer send that many bytes more."""

    def drop(self, stream: Stream) -> None:
        """Tell the peer that it is over, and forget it."""


class Stream(Exchange):
    """Made by its wire. Owned by one event loop."""

    __slots__ = (
        "_arrived",
        "_carrier",
        "_fetched",
        "_leaving",
        "_left",
        "_on_change",
        "_out",
        "_room",
        "end",
        "largest",
    )

    def __init__(self, number: int, window: int, room: int, carrier: Carrier, on_change: Callable[[], None]) -> None:
        """`room` is what the peer may send before anything is fetched; `on_change` is called when something has come,
        or it has ended."""
        super().__init__(number, window)
        self.end: Reply | Lost | None = None
        """How it ended; None while it lasts. What had come before can still be fetched."""
        self.largest = room - h2.DEFAULT_WINDOW
        """Bytes of a message with its prefix that can be received."""
        self._room, self._carrier, self._on_change = room, carrier, on_change
        self._arrived = bytearray()
        self._fetched = 0
        self._out: deque[memoryview] = deque()
        self._left = 0
        self._leaving = False

    def send(self, message: bytes) -> None:
        """Send a message as soon as the peer lets us; `left` says how much waits. Nothing happens after the end."""
        if self.end is None and not self._leaving:
            framed = b"\0" + len(message).to_bytes(4, "big") + message
            self._out.append(memoryview(framed))
            self._left += len(framed)
            self._carrier.push(self)

    def fetch(self) -> bytes | None:
        """The next message; None when no whole one is there. Raises ValueError, in words for people, for one that
        cannot be received, and then again."""
        arrived = self._arrived
        if len(arrived) < PREFIX:
            return None
        size = PREFIX + int.from_bytes(arrived[1:PREFIX], "big")
        if arrived[0]:
            raise ValueError("it sent a compressed message, although it was not told that it may")
        if size > self.largest:
            raise ValueError(f"it sent a message of {size - PREFIX} bytes, and {self.largest - PREFIX} are allowed")
        if len(arrived) < size:
            return None
        message = bytes(arrived[PREFIX:size])
        del arrived[:size]
        self._fetched += size
        if self._fetched >= REOPEN and self.end is None:
            self._carrier.widen(self, self._fetched)
            self._fetched = 0
        return message

    def leave(self) -> None:
        """Say that nothing more will be sent, behind what waits; a peer that agrees ends it then."""
        if self.end is None and not self._leaving:
            self._leaving = True
            if not self._left:
                self._carrier.shut(self)

    def cancel(self) -> None:
        """End it from this side; nothing more comes."""
        if self.end is None:
            self.end = Lost("it was ended on our side", fresh=False, heard=False)
            self._carrier.drop(self)

    # As the wire sees it.

    @property
    def left(self) -> int:
        return self._left

    def cut(self, size: int, out: list[bytes | memoryview]) -> None:
        self._left -= size
        while size > 0:
            first = self._out[0]
            out.append(first[:size])
            if len(first) > size:
                self._out[0] = first[size:]
            else:
                self._out.popleft()
            size -= min(size, len(first))

    @property
    def ends(self) -> bool:
        return self._leaving

    def take(self, piece: bytes, size: int) -> int:
        if self.enough:
            return 0
        if len(self._arrived) + len(piece) > self._room:
            raise h2.Broken(h2.FLOW_CONTROL_ERROR, "it sends more than it was allowed to")
        self._arrived += piece
        self._on_change()
        return size - len(piece)  # Padding is nothing to fetch.

    @property
    def enough(self) -> bool:
        return self.headers.get(b":status") != b"200"  # Some page; its status has said all.

    @property
    def unfinished(self) -> bool:
        return not self._leaving or self._left > 0

    def finish(self, reset: int | None) -> None:
        self._close(Reply(self.headers, b"", reset))

    def lose(self, lost: Lost) -> None:
        self._close(lost)

    def _close(self, end: Reply | Lost) -> None:
        if self.end is None:
            self.end = end
            self._out.clear()
            self._left = 0
            self._on_change()
