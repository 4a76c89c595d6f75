"""How many bytes of requests may be in memory at once: what does not fit is refused at the door, not queued."""

from __future__ import annotations

from types import TracebackType
from typing import Final

OVERHEAD: Final = 32 * 1024
"""Bytes that a request counts for besides its body: what the server library and a waiting task hold. It bounds the
number of small requests, too."""


class Admission:
    """The bound, shared by all receivers of a process. Owned by their event loop; not for threads."""

    __slots__ = ("_in_flight", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes. A request larger than this is admitted all the same when it is alone, or it never could be."""
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Bytes admitted and not yet answered."""
        return self._in_flight

    def lease(self) -> Lease:
        """A share that holds nothing yet; use it as a context manager, so that it is given back."""
        return Lease(self)

    def _take(self, size: int, held: int) -> bool:
        if self._in_flight > held and self._in_flight + size > self.limit:
            return False
        self._in_flight += size
        return True

    def _give_back(self, size: int) -> None:
        self._in_flight -= size


class Lease:
    """One request's share."""

    __slots__ = ("_admission", "_held")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._held = 0

    def grow(self, size: int) -> bool:
        """Take `size` more bytes, or answer False and keep what is held."""
        if not self._admission._take(size, self._held):
            return False
        self._held += size
        return True

    def release(self) -> None:
        """Give everything back."""
        self._admission._give_back(self._held)
        self._held = 0

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
