# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Which span was the first to have an answer, and what was told before; compiled with the types in
normalize_answers.pxd.

A table of rows of four places, a row to a line of the processor's cache: a mark of 64 bits says in which row it is, and
has a word beside it. What comes new to a full row takes the place of what came first, so memory has a bound.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

ROWS = 1 << 12
"""16,384 marks; a call of a model takes one or two."""
LASTS = 600
"""Seconds that what was told is remembered."""

_LINE = 8
_OWNER = 0xFFFF
_LOW_32 = 0xFFFFFFFF
_FINE = 20
"""Bits of nanoseconds that make about a millisecond."""
_COARSE = 4
"""How long a span was is known in sixteen of those."""
_START = 16
_LONG = 48
_HALF = 1 << 31
_MOST = 0xFFFF
_LASTS = LASTS * 1_000_000_000 >> _FINE


class Answers:
    """For one thread at a time."""

    def __init__(self, rows: int = ROWS) -> None:
        """`rows` is a power of two."""
        self._rows = rows
        self._made = 0
        self._room = bytearray(64)
        self._table = native.words(self._room)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return len(self._room)

    def _claim(self, answer: int, span: int, begin: int, end: int) -> int:
        """0 where nobody else had that answer while this span lasted, by 32 bits of milliseconds, some: it is this
        span's from now on. Else what `_owner` says of whose it is."""
        at = self._find(answer)
        if at < 0:
            lasted = end - begin & _LOW_32
            if lasted >= _HALF:  # It ends before it begins.
                lasted = 0
            lasted = (lasted >> _COARSE) + 1
            if lasted > _MOST:
                lasted = _MOST
            self._put(answer, span & _OWNER | begin << _START | lasted << _LONG)
            return 0
        known = self._table[at]
        if _owner(known) == _owner(span):
            return 0
        since = known >> _START & _LOW_32
        until = since + (known >> _LONG << _COARSE)
        if end - since & _LOW_32 < _HALF and until - begin & _LOW_32 < _HALF:
            return _owner(known)
        return 0

    def _fetch(self, answer: int) -> None:
        """It will be claimed soon."""
        if self._made:
            native.fetch(self._table, (answer & (self._rows - 1)) * _LINE)

    def _again(self, mark: int, now: int) -> int:
        """Whether this was told in the last `LASTS`, and not only now, in Unix nanoseconds."""
        tick = now >> _FINE & _LOW_32
        at = self._find(mark)
        if at < 0:
            self._put(mark, tick)
            return 0
        since = tick - self._table[at] & _LOW_32
        # A clock that goes back ages nothing.
        if since <= _LASTS or since >= _HALF:
            return 1
        self._table[at] = tick
        return 0

    def _find(self, mark: int) -> int:
        """Where the word beside the mark is; -1 if it is not known."""
        if not self._made:
            return -1
        table = self._table
        at = (mark & (self._rows - 1)) * _LINE
        end = at + _LINE
        while at < end:
            if table[at] == mark:
                return at + 1
            at += 2
        return -1

    def _put(self, mark: int, word: int) -> int:
        if not self._made:
            self._room = bytearray(self._rows * _LINE * 8 + 64)
            self._table = native.words(self._room)
            self._made = 1
        table = self._table
        first = (mark & (self._rows - 1)) * _LINE
        at = first + _LINE - 1
        while at > first + 1:
            table[at] = table[at - 2]
            at -= 1
        table[first] = mark
        table[first + 1] = word
        return 0


def _owner(word: int) -> int:
    """16 bits that stand for a span, which are never 0."""
    return word & _OWNER | 1
