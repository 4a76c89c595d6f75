# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: language_level=3
"""Where in traces usage was seen, so that it is not counted twice; compiled with the types in normalize_usage.pxd.

Two generations of a hash table with open addressing: a mark of 64 bits and 64 bits of what is known of it. When the
younger is full, or old enough, it becomes the older one, whose marks are forgotten. So what is known is known for
`LASTS` at least while there is room, and for twice as long at most; and memory has a bound.
"""

from __future__ import annotations

from array import array

MOST = 32_768
"""Marks that each generation has at most: a call of a model takes two or three."""
LASTS = 600_000_000_000
"""Nanoseconds."""

_FIRST = 1 << 8


class Usage:
    """For one thread at a time."""

    def __init__(self, most: int = MOST, lasts: int = LASTS) -> None:
        self.known = 0
        """Whether anything is known."""
        self._most = most
        self._lasts = lasts
        self._count = 0
        self._since = 0
        self._set_young(_FIRST)
        self._set_old(1)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return 16 * (self._young_mask + self._old_mask + 2)

    def age(self, now: int) -> None:
        """It is `now`, in Unix nanoseconds: what is too old is forgotten. Clocks that go back forget nothing."""
        if self._since == 0 or now < self._since:
            self._since = now
        elif now - self._since > self._lasts:
            if self._count == 0 and now - self._since > 2 * self._lasts:
                self._set_old(1)
            self._turn()
            self._since = now
            self.known = self._count > 0 or self._old_mask > 0

    def get(self, mark: int) -> int:
        """What is known of the mark; 0 for nothing."""
        return self._get(mark)

    def add(self, mark: int, bits: int) -> int:
        """Know this, too; whether it was news. `bits` is not 0, and nor is the mark."""
        return self._add(mark, bits)

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

    def _add(self, mark: int, bits: int) -> int:
        before = self._get(mark)
        at = mark & self._young_mask
        while self._young[2 * at]:
            if self._young[2 * at] == mark:
                self._young[2 * at + 1] = before | bits
                return before | bits != before
            at = (at + 1) & self._young_mask
        self._young[2 * at] = mark
        self._young[2 * at + 1] = before | bits
        self._count += 1
        self.known = 1
        if self._count >= self._most:
            self._turn()
        elif 2 * self._count > self._young_mask:
            self._grow()
        return before | bits != before

    def _turn(self) -> None:
        """The younger generation becomes the older one."""
        self._old = self._young
        self._old_mask = self._young_mask
        if self._count == 0:
            self._set_old(1)
        self._count = 0
        self._set_young(_FIRST)

    def _grow(self) -> None:
        """Four times the room for the younger generation."""
        known = self._young
        size = self._young_mask + 1
        self._set_young(4 * size)
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
