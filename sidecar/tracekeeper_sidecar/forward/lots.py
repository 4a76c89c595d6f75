"""Traces that wait to be rescued: in lots, a second's worth of them each, in the order in which they came. Pure.

Everybody who is to have them goes through the lots at a pace of his own. There is room for a number of traces: beyond
that the oldest lot goes, whoever has not had it, because its spans are the next to leave the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tracekeeper_sidecar.model import Position

MOST = 100_000
"""Traces that wait."""
MOMENT = 1.0
"""Seconds between the first and the last that come into a lot."""
SHARE = MOST // 8
"""Traces in a lot, about: as many go at once when there is no room."""
SPAN = 60.0
"""Seconds between the first and the last lot that are served together: it bounds what has to be read for them."""

_PACKED = 24


@dataclass(slots=True)
class Lot:
    """Some traces."""

    number: int
    before: int
    """Traces in all lots before it, ever."""
    came: float
    """Unix time at which the first of them came."""
    decided: float
    """Unix time at which somebody decided that the first of them be kept."""
    records: bytearray = field(default_factory=bytearray)
    """As `wire.pick.Pick.add` takes them."""
    ends: list[int] = field(default_factory=list)
    """The numbers in them."""
    traces: int = 0

    def add(self, packed: bytes, until: int) -> None:
        """Traces as `Traces.pack` makes them, whose spans are before the number `until`."""
        if not self.ends or self.ends[-1] != until:
            self.ends.append(until)
        tail = until.to_bytes(8)
        self.records += b"".join([packed[at : at + _PACKED] + tail for at in range(0, len(packed), _PACKED)])
        self.traces += len(packed) // _PACKED


class Lots:
    """Owned by one event loop."""

    def __init__(self) -> None:
        self._lots: deque[Lot] = deque()
        self._sealed = True
        self.first = 0
        """Number of the oldest lot that waits, or of the next to come."""
        self.total = 0
        """Traces that ever came."""

    @property
    def end(self) -> int:
        """Number behind that of the youngest lot."""
        return self.first + len(self._lots)

    @property
    def waiting(self) -> int:
        """Traces in lots that are still here."""
        return self.total - self.before(self.first)

    def before(self, number: int) -> int:
        """Traces in all lots before this one, which is here or the next to come."""
        return self._lots[number - self.first].before if number < self.end else self.total

    def add(self, packed: bytes, until: Position, decided: float, now: float) -> None:
        """Take these in, 24 bytes each; the oldest make room."""
        for at in range(0, len(packed), _PACKED * SHARE):
            self._add(packed[at : at + _PACKED * SHARE], until.seq, min(decided, now), now)
        while self.waiting > MOST:
            self.drop(self.first + 1)

    def _add(self, packed: bytes, until: int, decided: float, now: float) -> None:
        lot = self._lots[-1] if self._lots else None
        if lot is None or self._sealed or now - lot.came > MOMENT or lot.traces >= SHARE:
            lot = Lot(self.end, self.total, now, decided)
            self._lots.append(lot)
            self._sealed = False
        lot.add(packed, until)
        lot.decided = min(lot.decided, decided)
        self.total += len(packed) // _PACKED

    def window(self, first: int) -> int:
        """Number of the last lot that is served together with this one. From now on none of them changes."""
        last = first
        while last + 1 < self.end and self.get(last + 1).came - self.get(first).came <= SPAN:
            last += 1
        self._sealed = self._sealed or last + 1 == self.end
        return last

    def get(self, number: int) -> Lot:
        """One that is here."""
        return self._lots[number - self.first]

    def between(self, first: int, last: int) -> Iterator[Lot]:
        """Those of these that are still here."""
        return (self.get(number) for number in range(max(first, self.first), min(last + 1, self.end)))

    def drop(self, first: int) -> None:
        """Nobody needs those before this one."""
        while self.first < first and self._lots:
            self._lots.popleft()
            self.first += 1
