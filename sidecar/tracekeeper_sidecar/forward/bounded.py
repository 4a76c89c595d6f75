"""The log up to a place: what a delivery entry still owes of it, when its later spans come another way."""

from __future__ import annotations

from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS, Reader
from tracekeeper_sidecar.model import Batch, Position


class BoundedReader:
    """As a Reader, and at its end where the bound is."""

    def __init__(self, reader: Reader, bounded: Bounded) -> None:
        self._reader, self._bounded = reader, bounded

    @property
    def position(self) -> Position:
        """Where the next read starts."""
        return self._reader.position

    def read(self, max_spans: int, max_bytes: int, detailed: bool = False, reach: int = ENDLESS) -> Batch | None:
        """As Reader.read. Raises LogUnavailable."""
        left = self._bounded.until - self.position.seq
        return self._reader.read(max_spans, max_bytes, detailed, min(reach, left)) if left > 0 else None

    def seek(self, position: Position) -> None:
        """As Reader.seek."""
        self._reader.seek(position)

    def close(self) -> None:
        """As Reader.close."""
        self._reader.close()


class Bounded:
    """What a delivery entry asks a log for. Owned by the event loop that owns the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.bound: Position | None = None
        """A place between two frames that the log has had, or None. May be changed, but not to what has been read."""

    @property
    def until(self) -> int:
        """Spans before the bound."""
        return ENDLESS if self.bound is None else self.bound.seq

    @property
    def begin(self) -> Position:
        """As Log.begin, but never behind the bound."""
        return self.capped(self._log.begin)

    @property
    def end(self) -> Position:
        """As Log.end, but never behind the bound."""
        return self.capped(self._log.end)

    def capped(self, place: Position) -> Position:
        """The place, or the bound if that comes first."""
        return place if self.bound is None or place.seq <= self.bound.seq else self.bound

    def reader(self, position: Position) -> BoundedReader:
        """As Log.reader."""
        return BoundedReader(self._log.reader(position), self)
