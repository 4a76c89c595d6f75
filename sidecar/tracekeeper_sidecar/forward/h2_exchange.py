"""One stream of an HTTP/2 connection, as the wire that carries it sees it: what it sends, and where what comes goes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tracekeeper_sidecar.forward.http_wire import Lost


class Exchange(ABC):
    """Owned by its wire from its first frame to `finish` or `lose`, one of which is called once."""

    __slots__ = ("header_bytes", "headers", "stream", "window")

    def __init__(self, stream: int, window: int) -> None:
        self.stream = stream
        self.window = window
        """Bytes that the peer allows on it now; the wire counts them."""
        self.headers: dict[bytes, bytes] = {}
        """Headers and trailers so far; of a name that comes twice, the last."""
        self.header_bytes = 0

    @property
    @abstractmethod
    def left(self) -> int:
        """Bytes to be sent that no window has let through yet."""

    @abstractmethod
    def cut(self, size: int, out: list[bytes | memoryview]) -> None:
        """Add the next `size` of them, at most `left`, to `out`."""

    @property
    @abstractmethod
    def ends(self) -> bool:
        """Whether nothing will be sent behind what is left."""

    @abstractmethod
    def take(self, piece: bytes, size: int) -> int:
        """DATA has come, in a frame of `size` bytes. By how many the peer's window is to be opened again at once.
        Raises Broken."""

    @property
    @abstractmethod
    def enough(self) -> bool:
        """Whether what has come has said all, and the rest is of no use."""

    @property
    @abstractmethod
    def unfinished(self) -> bool:
        """Whether a peer that has answered must be told that it is over: it waits for more, or has more to send."""

    @abstractmethod
    def finish(self, reset: int | None) -> None:
        """The peer has ended it, with an answer or with that code of RST_STREAM."""

    @abstractmethod
    def lose(self, lost: Lost) -> None:
        """It will not be answered."""
