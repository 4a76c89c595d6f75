# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: language_level=3
"""What was decided about traces that are no longer open: 16 bytes for each, and as many free. Compiled with the types
in remembered.pxd.

Two generations of a hash table with open addressing. When the younger is full it becomes the older one, whose traces
are forgotten: so at least `most` traces are remembered, and at most twice as many. A trace is known by 64 bits of its
id, stirred: of the 2 * 2**17 remembered at most, another one is taken for one of them once in 10**13 times.
"""

from __future__ import annotations

from array import array

MOST = 1 << 17
"""Traces that are remembered at least, once so many have been decided."""

_FIRST = 1 << 10
_RECORD = 24
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_STIR = 0x9E3779B97F4A7C15


class Remembered:
    """For one thread at a time."""

    def __init__(self, most: int = MOST) -> None:
        self.turns = 0
        """How often the younger generation has become the older one. What was the older one then is forgotten."""
        self._most = most
        self._count = 0
        self._set_young(_FIRST)
        self._set_old(1)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return 16 * (self._young_mask + self._old_mask + 2)

    def get(self, trace_id: bytes) -> int:
        """The trace's verdict; 0 if none is remembered."""
        return self._get(_mark(trace_id, 0))

    def add(self, packed: bytes) -> None:
        """Remember these: 24 bytes for each, as `Traces.pack` makes them. The last word on a trace counts.

        Raises ValueError for another size.
        """
        size = len(packed)
        if size % _RECORD:
            raise ValueError(f"{size} bytes; each trace has {_RECORD}")
        at = 0
        while at < size:
            self._put(_mark(packed, at), _word(packed, at + 16))
            at += _RECORD

    def turn(self) -> None:
        """Make the younger generation the older one, whose traces are forgotten."""
        self.turns += 1
        self._old = self._young
        self._old_mask = self._young_mask
        self._count = 0
        self._set_young(_FIRST)

    def _look(self, data: bytes, at: int) -> int:
        """The verdict on the trace whose id is at `at`, where it is known to be; 0 if none is remembered."""
        return self._get(_mark(data, at))

    def _note(self, data: bytes, at: int, verdict: int) -> None:
        """Remember it."""
        self._put(_mark(data, at), verdict)

    def _get(self, mark: int) -> int:
        at = mark & self._young_mask
        while self._young[2 * at]:
            if self._young[2 * at] == mark:
                return self._young[2 * at + 1]
            at = (at + 1) & self._young_mask
        at = mark & self._old_mask
        while self._old[2 * at]:
            if self._old[2 * at] == mark:
                return self._old[2 * at + 1]
            at = (at + 1) & self._old_mask
        return 0

    def _put(self, mark: int, verdict: int) -> None:
        at = mark & self._young_mask
        while self._young[2 * at]:
            if self._young[2 * at] == mark:
                self._young[2 * at + 1] = verdict
                return
            at = (at + 1) & self._young_mask
        self._young[2 * at] = mark
        self._young[2 * at + 1] = verdict
        self._count += 1
        if self._count >= self._most:
            self.turn()
        elif 2 * self._count > self._young_mask:
            self._grow()

    def _grow(self) -> None:
        """Twice the room for the younger generation."""
        known = self._young
        size = self._young_mask + 1
        self._set_young(2 * size)
        index = 0
        while index < size:
            mark = known[2 * index]
            if mark:
                at = mark & self._young_mask
                while self._young[2 * at]:
                    at = (at + 1) & self._young_mask
                self._young[2 * at] = mark
                self._young[2 * at + 1] = known[2 * index + 1]
            index += 1

    def _set_young(self, size: int) -> None:
        self._young = array("Q", bytes(16 * size))
        self._young_mask = size - 1

    def _set_old(self, size: int) -> None:
        self._old = array("Q", bytes(16 * size))
        self._old_mask = size - 1


def _mark(data: bytes, at: int) -> int:
    """64 bits for the trace id at `at`; never 0, which is a free place."""
    mark = _stirred(_stirred(_word(data, at)) ^ _word(data, at + 8))
    if mark == 0:
        return 1
    return mark


def _stirred(word: int) -> int:
    word = (word ^ word >> 29) * _STIR & _ALL_64
    return word ^ word >> 32


def _word(data: bytes, at: int) -> int:
    """The eight bytes at `at`, big-endian; they are known to be there."""
    value = 0
    index = 0
    while index < 8:
        value = value << 8 | data[at + index]
        index += 1
    return value
