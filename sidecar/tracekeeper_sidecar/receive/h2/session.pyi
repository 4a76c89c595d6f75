"""One connection's HTTP/2 and gRPC framing: bytes in, whole messages out. No I/O, no clock, no event loop.

`feed` what came, look after `ready` and `refused`, then `pull` what is to be sent. Not for threads.
"""

from collections.abc import Iterable
from typing import Final, Protocol

METHOD: Final[str]
"""The only path that is served."""
ACCEPTED_ENCODINGS: Final[bytes]

IDENTITY: Final[int]
GZIP: Final[int]
DEFLATE: Final[int]
"""How a message is compressed."""

NOT_GRPC: Final[int]
"""Not POST, or not the content type of gRPC with protobuf."""
PATH: Final[int]
"""Another method than `METHOD`."""
ENCODING: Final[int]
"""A grpc-encoding that is not known."""
METADATA: Final[int]
"""More bytes of headers than `most_metadata`."""
OVERLOADED: Final[int]
"""The admission has no room."""
TOO_LARGE: Final[int]
"""A message is announced with more than `most` bytes: the detail. None of them is kept."""
COUNT: Final[int]
"""Not one message but none, or several: the detail."""
CUT_OFF: Final[int]
"""The client ended within a message, of which so many bytes came: the detail."""
FLAG: Final[int]
"""A message's first byte is neither 0 nor 1, or it is 1 and no grpc-encoding was named: the detail."""
SLOW: Final[int]
"""The message was not complete within the patience."""
DEADLINE: Final[int]
"""The time of the client's grpc-timeout is over: while its message came, or, detail 1, since."""

class Admission(Protocol):
    """receive.admission.Admission."""

    def reserve(self, size: int, held: int = 0, /) -> bool: ...
    def release(self, size: int, /) -> None: ...

class Session:
    """Owned by one connection. `admission` counts each call from its headers on, and each byte that is kept of it."""

    ready: Final[list[tuple[int, bytes, int, int]]]
    """Finished messages: stream, message, bytes of the admission that go with it and are the taker's to give back, and
    how it is compressed. The taker empties the list."""
    refused: Final[list[tuple[int, int, int]]]
    """Calls that are refused before their message is finished: stream, why, detail. Each wants a `reject`. The taker
    empties the list."""
    streams: int
    """Calls that are open."""
    greeted: bool
    """Whether the client's SETTINGS have come, which begin a connection."""
    pongs: int
    """Answers to pings that have come."""

    def __init__(
        self,
        admission: Admission,
        *,
        overhead: int,
        most: int,
        most_metadata: int,
        most_streams: int,
        stream_window: int,
        window: int,
    ) -> None:
        """`overhead` is what a call counts for in the admission besides its message, `most` the size of the largest
        message, `most_metadata` that of all headers of a call, `most_streams` how many calls may be open, the windows
        how much a client may send before it hears from us, for a call and in all. Bytes, but for the streams.

        Raises MemoryError.
        """

    def feed(self, data: bytearray, size: int, now: float) -> bool:
        """Take the first `size` bytes of `data`; False when the connection is beyond use (`pull`, then close it).

        `now` is in seconds of any clock that never goes back; only differences matter.
        """

    def pull(self) -> bytes:
        """What is to be sent now, up to some 64 KiB; empty when that is nothing. May be called at any time."""

    @property
    def finished(self) -> bool:
        """True when nothing more will come in or go out: time to close the connection."""

    def close(self) -> None:
        """Let go of everything; calls that are not finished give back what they hold. Again: does nothing."""

    def is_open(self, number: int) -> bool:
        """Whether the call can still be answered: the client has not reset it, nor the connection."""

    def want(self, names: Iterable[str], every: int = 0) -> None:
        """Keep metadata of these names, in lower case, of calls that begin from now on; or, where `every` is more than
        0, the first so many whatever their names. No names: nothing."""

    def context(self, number: int) -> dict[str, str]:
        """What was wanted of an open call's metadata: the first value of each name, of 1024 bytes at most."""

    def accept(self, number: int, message: bytes | None = None) -> bool:
        """Answer OK, with a framed `message` or an empty one; False when the call is gone, or answered already."""

    def reject(self, number: int, headers: list[tuple[bytes, bytes]], content: bytes | None = None) -> bool:
        """Answer with these headers (`:status` first, 16 at most) and nothing behind them, or `content`, not empty.

        Without content it also asks a client that is still sending to stop. False when the call is gone, or answered.
        """

    def sweep(self, now: float, patience: float, credit: int) -> None:
        """Look after time: refuse calls whose deadline is over, or whose message is not complete after `patience`
        seconds; drop answers that the client has not let through after as long. Allows the client `credit` more frames
        that carry nothing, up to a bound."""

    def ping(self) -> None:
        """Ask the client whether it is there."""

    def announce_end(self) -> None:
        """Send a GOAWAY that refuses nothing yet: calls may be on their way."""

    def end(self) -> None:
        """Send the GOAWAY that refuses all calls which have not come by now."""
