# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What waits to be counted, because it is not known yet for which agent: chains of records, one chain for each trace;
compiled with the types in held.pxd."""

from __future__ import annotations

from tracekeeper_sidecar.wire import layout, native
from tracekeeper_sidecar.wire.table import put_word

RECORD = 8 * layout.WIDTH
"""Bytes of a record, as kept: little-endian. Its first word is the number of the next in its chain and one."""
_CHUNK = 256
_NONE = -1


class Held:
    """Room for a number of records. For one thread at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self._free = _NONE
        self._used = self._room = 0
        self._buffer = bytearray(64)
        self._words = native.words(self._buffer)

    def _take(self) -> int:
        """A record, with whatever it holds; -1 if there is no room."""
        if self._free >= 0:
            place = self._free
            self._free = self._words[place * layout.WIDTH] - 1
        elif self._used < self.most:
            if self._used == self._room:
                self._grow()
            place = self._used
            self._used += 1
        else:
            return _NONE
        self.count += 1
        return place

    def _give_back(self, place: int) -> None:
        self._words[place * layout.WIDTH] = self._free + 1
        self._free = place
        self.count -= 1
        if self.count == 0:
            self._free = _NONE
            self._used = 0

    def _grow(self) -> int:
        old = self._words
        before = self._buffer  # Which must not go before it is copied.
        words = self._room * layout.WIDTH
        self._room = max(_CHUNK, 2 * self._room)
        self._buffer = bytearray(RECORD * self._room + 64)
        self._words = native.words(self._buffer)
        at = 0
        while at < words:
            self._words[at] = old[at]
            at += 1
        return len(before)

    def _pack(self, place: int, out: bytearray, at: int) -> int:
        """Writes the record, and returns where it ends."""
        word = 0
        while word < layout.WIDTH:
            at = put_word(out, at, self._words[place * layout.WIDTH + word], 8)
            word += 1
        return at

    def _unpack(self, record: bytes) -> int:
        """Puts a record back, at the end of no chain; returns its place, or -1."""
        place = self._take()
        if place >= 0:
            for word in range(1, layout.WIDTH):
                self._words[place * layout.WIDTH + word] = int.from_bytes(record[8 * word : 8 * word + 8], "little")
            self._words[place * layout.WIDTH] = 0
        return place
