"""How many bytes of requests may be in memory at once: what does not fit is refused at the door, not queued."""

from __future__ import annotations

from typing import Final

OVERHEAD: Final = 32 * 1024
"""Bytes that a request counts for besides its body: what its connection, the library and the log hold for it, with room
to spare. It bounds the number of small requests, too."""


class Admission:
    """The bound, shared by all receivers of a process. Owned by their event loop; not for threads."""

    __slots__ = ("in_flight", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes. A request larger than this is admitted all the same when it is alone, or it never could be."""
        self.in_flight = 0
        """Bytes admitted and not yet answered."""

    def reserve(self, size: int, held: int = 0) -> bool:
        """Take `size` more bytes for a request that has `held` already, or answer False and leave all as it was."""
        if self.in_flight > held and self.in_flight + size > self.limit:
            return False
        self.in_flight += size
        return True

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.in_flight -= size
