# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Where in traces usage was seen, so that it is not counted twice; compiled with the types in normalize_usage.pxd.

A table of rows of four places, a row to a line of the processor's cache: a mark of 64 bits says in which row it is, and
each place has 48 bits of what is known of it, and when that was last news. What comes new to a full row takes the place
of what came first. So memory has a bound, and what is older than `LASTS` is not known any more.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

ROWS = 1 << 14
"""65,536 marks; a call of a model takes two or three."""
LASTS = 600
"""Seconds."""

_LINE = 8
_TOLD = (1 << 48) - 1
_TICK = 48
_TICKS = 65535
_SECOND = 1_000_000_000


class Usage:
    """For one thread at a time."""

    def __init__(self, rows: int = ROWS, lasts: int = LASTS) -> None:
        """`rows` is a power of two."""
        self.known = 0
        """Whether anything was ever known."""
        self._rows = rows
        self._lasts = lasts
        self._tick = 0
        self._room = bytearray(64)
        self._table = native.words(self._room)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return len(self._room)

    def at(self, now: int) -> None:
        """It is `now`, in Unix nanoseconds."""
        self._tick = now // _SECOND & _TICKS

    def get(self, mark: int) -> int:
        """What is known of the mark; 0 for nothing."""
        return self._get(mark)

    def add(self, mark: int, bits: int) -> int:
        """Know these of 48 bits, too; whether one was news. Neither is 0."""
        return self._add(mark, bits)

    def _get(self, mark: int) -> int:
        if not self.known:
            return 0
        table = self._table
        at = (mark & (self._rows - 1)) * _LINE
        end = at + _LINE
        while at < end:
            if table[at] == mark:
                if self._is_old(table[at + 1]):
                    return 0
                return table[at + 1] & _TOLD
            at += 2
        return 0

    def _is_old(self, word: int) -> int:
        """Whether what was last news then is not known any more. A clock that goes back ages nothing."""
        since = (self._tick - (word >> _TICK)) & _TICKS
        return self._lasts < since < _TICKS // 2

    def _add(self, mark: int, bits: int) -> int:
        if not self.known:
            self._begin()
        table = self._table
        first = (mark & (self._rows - 1)) * _LINE
        at = first
        end = at + _LINE
        while at < end:
            if table[at] == mark:
                before = table[at + 1] & _TOLD
                if self._is_old(table[at + 1]):
                    before = 0
                table[at + 1] = before | bits | self._tick << _TICK
                return before | bits != before
            at += 2
        at = end - 1
        while at > first + 1:
            table[at] = table[at - 2]
            at -= 1
        table[first] = mark
        table[first + 1] = bits | self._tick << _TICK
        return 1

    def _begin(self) -> None:
        self._room = bytearray(self._rows * _LINE * 8 + 64)
        self._table = native.words(self._room)
        self.known = 1
