# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Edits of a request: places in its body, and what comes there instead; compiled with the types in edits.pxd.

They are noted in the order of their places, in eight words each, and no object is made for one. Then the lengths of the
messages around them are worked out, from the last edit to the first, and one more pass copies what is between them.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

EDIT = 8
"""Words of an edit: where it begins and ends in the body, and two more by its sort; the number of the edit that it is
in, and one; the bytes that come and go below it; its sort."""
BEGIN, END, FROM, TO, AROUND, COME, GO, SORT = range(EDIT)
TEXT, HEAD, PLACE, NOTHING = range(4)
"""Sorts: text of the scratch at [FROM, TO) instead; a head, which has the tag TO and a content up to FROM; a place for
a text that is known only when all spans have been read; nothing at all."""
_EDIT, _BEGIN, _END, _FROM, _TO, _AROUND, _COME, _GO, _SORT = EDIT, BEGIN, END, FROM, TO, AROUND, COME, GO, SORT
_TEXT, _HEAD, _NOTHING = TEXT, HEAD, NOTHING
_FIRST, _KEPT = 256, 16384
"""Edits that there is room for at first, and at the most from one request to the next."""
ROOM = 1024
"""Bytes of scratch that one span takes at the most."""
_FIRST_SCRATCH = 4 * ROOM


class Edits:
    """Of one request at a time."""

    def __init__(self) -> None:
        self.scratch = bytearray(_FIRST_SCRATCH)
        """Where texts are made."""
        self._begin_anew()
        self.count = self.filled = self.around = self.grown = 0

    def _begin_anew(self) -> int:
        self._buffer = bytearray(8 * _EDIT * _FIRST + 64)
        self.words = native.words(self._buffer)
        self._most = _FIRST
        if len(self.scratch) > _KEPT * _EDIT:
            self.scratch = bytearray(_FIRST_SCRATCH)
        return 0

    def begin(self) -> int:
        """Before a request."""
        if self._most > _KEPT:  # The last request wanted room for many, which is rare.
            self._begin_anew()
        self.count = self.filled = self.around = 0
        return 0

    def push(self, begin: int, end: int, first: int, second: int, sort: int) -> int:
        """Notes an edit, and returns its number."""
        if self.count == self._most:
            self._grow()
        words = self.words
        place = self.count * _EDIT
        words[place + _BEGIN] = begin
        words[place + _END] = end
        words[place + _FROM] = first
        words[place + _TO] = second
        words[place + _AROUND] = self.around
        words[place + _COME] = words[place + _GO] = 0
        words[place + _SORT] = sort
        self.count += 1
        return self.count - 1

    def _grow(self) -> int:
        old = self.words
        before = self._buffer  # Which must not go before it is copied.
        size = self._most * _EDIT
        self._most *= 2
        self._buffer = bytearray(16 * size + 64)
        self.words = native.words(self._buffer)
        at = 0
        while at < size:
            self.words[at] = old[at]
            at += 1
        return len(before)

    def room(self) -> bytearray:
        """The scratch, with room for one span more."""
        if self.filled + ROOM > len(self.scratch):
            larger = bytearray(2 * len(self.scratch) + ROOM)
            native.copy(larger, 0, self.scratch, 0, self.filled)
            self.scratch = larger
        return self.scratch

    def measure(self) -> int:
        """Works out new lengths, from the inside out, and by how much the body grows. Whether anything changes. What is
        still a PLACE is nothing."""
        come = go = 0
        words = self.words
        edit = self.count - 1
        while edit >= 0:
            place = edit * _EDIT
            sort = words[place + _SORT]
            if sort == _TEXT:
                words[place + _COME] = words[place + _TO] - words[place + _FROM]
                words[place + _GO] = words[place + _END] - words[place + _BEGIN]
            elif sort == _HEAD and (words[place + _COME] != 0 or words[place + _GO] != 0):
                # From here on it is the new length that stands where the end of the content was.
                words[place + _FROM] = (
                    words[place + _FROM] - words[place + _END] + words[place + _COME] - words[place + _GO]
                )
                words[place + _COME] += 1 + native.varint_size(words[place + _FROM])
                words[place + _GO] += words[place + _END] - words[place + _BEGIN]
            else:
                words[place + _SORT] = sort = _NOTHING
            if sort != _NOTHING:
                around = words[place + _AROUND]
                if around:
                    words[(around - 1) * _EDIT + _COME] += words[place + _COME]
                    words[(around - 1) * _EDIT + _GO] += words[place + _GO]
                else:
                    come += words[place + _COME]
                    go += words[place + _GO]
            edit -= 1
        self.grown = come - go
        return come != 0 or go != 0

    def written(self, data: bytes, size: int) -> bytes:
        """The body of that size, with the edits in it."""
        out = native.blank(size)
        scratch = self.scratch
        words = self.words
        at = last = 0
        edit = 0
        while edit < self.count:
            place = edit * _EDIT
            if words[place + _SORT] != _NOTHING:
                at = native.copy(out, at, data, last, words[place + _BEGIN])
                if words[place + _SORT] == _HEAD:
                    at = native.put_head(out, at, words[place + _TO], words[place + _FROM])
                else:
                    at = native.copy(out, at, scratch, words[place + _FROM], words[place + _TO])
                last = words[place + _END]
            edit += 1
        native.copy(out, at, data, last, len(data))
        return native.sealed(out)
