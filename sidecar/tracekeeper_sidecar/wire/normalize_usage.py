# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What calls below a span have used that is still to come; compiled with the types in normalize_usage.pxd.

A table of rows of four places, which are lines of the processor's cache: the span's mark, kinds of calls and when that
was last news, the sum of what those have used that count, and up to five that differ. In which place of its row a mark
may be is told by 15 bits of it in a word of its own: few spans are here, and for the others no line is read. What comes
new to a full row takes the place of what came first, so memory has a bound; what is older than `LASTS` is not known
any more.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

ROWS = 1 << 12
"""16,384 spans."""
LASTS = 600
"""Seconds."""

_WAYS = 4
_PLACE = 8
_TOLD = 3
_ENDS = 8
"""In a place: the mark, the tick and bits, the sum, and from here to there what single calls have used."""
_TICK = 48
_TICKS = 65535
_BITS = 0xFFFFFFFFFFFF
_SECOND = 1_000_000_000
_TAG = 49
_TAG_BITS = 15
_TAGS = 0x7FFF
_NEXT = 60
_ALL_64 = 0xFFFFFFFFFFFFFFFF


class Usage:
    """For one thread at a time."""

    def __init__(self, rows: int = ROWS, lasts: int = LASTS) -> None:
        """`rows` is a power of two."""
        self.known = 0
        """Whether anything was ever known."""
        self._rows = rows
        self._lasts = lasts
        self._tick = 0
        self._room = self._tags_room = bytearray(64)
        self._table = self._tags = native.words(self._room)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return len(self._room) + len(self._tags_room)

    def at(self, now: int) -> None:
        """It is `now`, in Unix nanoseconds."""
        self._tick = now // _SECOND & _TICKS

    def _fetch(self, mark: int) -> None:
        """It will be asked for soon."""
        if self.known:
            native.fetch(self._tags, mark & (self._rows - 1))

    def _find(self, mark: int) -> int:
        """Where the place of the span is; -1 where nothing is known."""
        if not self.known:
            return -1
        row = mark & (self._rows - 1)
        tags = self._tags[row]
        if tags == 0:
            return -1
        tag = _tag(mark)
        way = 0
        while way < _WAYS:
            if tags & _TAGS == tag:
                at = (row * _WAYS + way) * _PLACE
                if self._table[at] == mark and not self._is_old(self._table[at + 1]):
                    return at
            tags >>= _TAG_BITS
            way += 1
        return -1

    def _is_old(self, word: int) -> int:
        """Whether what was last news then is not known any more. A clock that goes back ages nothing."""
        since = (self._tick - (word >> _TICK)) & _TICKS
        return self._lasts < since < _TICKS // 2

    def _place(self, mark: int) -> int:
        """The place of the span, made if need be; it is news now."""
        if not self.known:
            self._begin()
        table = self._table
        at = self._find(mark)
        if at < 0:
            row = mark & (self._rows - 1)
            way = self._tags[row] >> _NEXT & (_WAYS - 1)
            at = (row * _WAYS + way) * _PLACE
            shift = _TAG_BITS * way
            self._tags[row] = (
                self._tags[row] & (_ALL_64 ^ (_TAGS << shift | (_WAYS - 1) << _NEXT))
                | _tag(mark) << shift
                | (way + 1 & (_WAYS - 1)) << _NEXT
            )
            table[at] = mark
            way = 1
            while way < _PLACE:
                table[at + way] = 0
                way += 1
        table[at + 1] = table[at + 1] & _BITS | self._tick << _TICK
        return at

    def _tell(self, mark: int, told: int) -> int:
        """A call below the span has used that, said in 64 bits, not 0. Of more than five that differ the first are
        known; returns whether there is no place for more."""
        at = self._place(mark)
        place = at + _TOLD
        while place < at + _ENDS:
            if self._table[place] == told:
                return 0
            if self._table[place] == 0:
                self._table[place] = told
                return 0
            place += 1
        return 1

    def _rise(self, mark: int, bits: int, used: int) -> int:
        """Of 48 bits, these hold for calls below the span, and those that count have used so much more."""
        at = self._place(mark)
        self._table[at + 1] = self._table[at + 1] | bits
        self._table[at + 2] = self._table[at + 2] + used & _ALL_64
        return 0

    def _begin(self) -> int:
        self._room = bytearray(self._rows * _WAYS * _PLACE * 8 + 64)
        self._table = native.words(self._room)
        self._tags_room = bytearray(self._rows * 8 + 64)
        self._tags = native.words(self._tags_room)
        self.known = 1
        return 0


def _tag(mark: int) -> int:
    tag = mark >> _TAG
    return tag if tag else 1
