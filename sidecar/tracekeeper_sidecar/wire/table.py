# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Records of six words by an id of two, each with a time to look at it; compiled with the types in table.pxd.

Open traces and open conversations lie in such tables. What comes when one is full takes the place of one that would
have been looked at soon.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire.slabs import Slabs

_SLAB = 4096
_SLAB_BITS = 12
_DUE = _SLAB * 16
_NEVER = 0xFFFFFFFF
_NONE = -1
_LOOKED_AT = 24
RECORD = 68
"""Bytes, as kept: eight words and the time, little-endian."""


class Table(Slabs):
    """For one thread at a time. Times are ticks, in any unit, of 32 bits."""

    def __init__(self, limit: int, seed: int) -> None:
        Slabs.__init__(self, seed)
        self.limit = limit
        self._hand = 0
        self._at = 0

    def _get(self, slot: int, word: int) -> int:
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + word]

    def _set(self, slot: int, word: int, value: int) -> None:
        self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + word] = value

    def _when(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][_DUE + (slot & (_SLAB - 1))]

    def _look_at(self, slot: int, tick: int) -> None:
        self._halves[slot >> _SLAB_BITS][_DUE + (slot & (_SLAB - 1))] = tick

    def _add(self, hi: int, lo: int, tick: int) -> int:
        """A new record of zeros; there is room."""
        slot = self._enter(hi, lo)
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        words[at + 2] = words[at + 3] = words[at + 4] = words[at + 5] = words[at + 6] = words[at + 7] = 0
        self._look_at(slot, tick)
        return slot

    def _victim(self) -> int:
        """Of the next few records, round and round, the one that is to be looked at first; -1 if there is none."""
        found = _NONE
        soonest = _NEVER
        looked_at = 0
        while looked_at < _LOOKED_AT or (found < 0 and looked_at < self._top * _SLAB + _SLAB):
            slab = self._hand >> _SLAB_BITS
            at = self._hand & (_SLAB - 1)
            if slab >= self._top:
                if self._top == 0:
                    return _NONE
                self._hand = 0
            elif self._state[slab] == 0 or at >= self._used[slab]:
                self._hand = (slab + 1) << _SLAB_BITS
            else:
                due = self._halves[slab][_DUE + at]
                if due < soonest:
                    soonest = due
                    found = self._hand
                self._hand += 1
            looked_at += 1
        return found

    def _begin(self) -> None:
        """Before `_next`."""
        self._at = 0

    def _next(self, tick: int) -> int:
        """The next record that is to be looked at by then; -1 after the last. Records may be removed in between."""
        slab = self._at >> _SLAB_BITS
        while slab < self._top:
            at = self._at & (_SLAB - 1)
            if self._state[slab] != 0:
                halves = self._halves[slab]
                used = self._used[slab]
                while at < used:
                    due = halves[_DUE + at]
                    if due <= tick and due != _NEVER:
                        self._at = (slab << _SLAB_BITS) + at + 1
                        return (slab << _SLAB_BITS) + at
                    at += 1
            slab += 1
            self._at = slab << _SLAB_BITS
        return _NONE

    # What is kept of it; nothing of this is hot.

    def _pack(self, slot: int, out: bytearray, at: int) -> int:
        """Writes the record, little-endian, and returns where it ends."""
        words = self._words[slot >> _SLAB_BITS]
        place = (slot & (_SLAB - 1)) * 8
        word = 0
        while word < 8:
            at = put_word(out, at, words[place + word], 8)
            word += 1
        return put_word(out, at, self._when(slot), 4)

    def _unpack(self, record: bytes) -> int:
        """Puts a record back; returns its slot, or -1 if it is there already, or there is no room."""
        words = [int.from_bytes(record[8 * word : 8 * word + 8], "little") for word in range(8)]
        if self.count >= self.limit or self._locate(words[0], words[1]) >= 0:
            return _NONE
        slot = self._add(words[0], words[1], int.from_bytes(record[64:68], "little"))
        for word in range(2, 8):
            self._set(slot, word, words[word])
        return slot


def put_word(out: bytearray, at: int, value: int, size: int) -> int:
    """Writes so many bytes of `value`, little-endian, and returns where they end."""
    while size > 0:
        out[at] = value & 255
        value >>= 8
        at += 1
        size -= 1
    return at
