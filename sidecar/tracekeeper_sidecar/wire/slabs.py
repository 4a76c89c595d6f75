# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Where the records of traces lie, and how they are found by trace id; compiled with the types in slabs.pxd.

Records lie in slabs of 4096, one cache line each, with a column of 32 bits beside them. An index of 64 shards leads
from a trace id to its record, by open addressing. So what grows at a time is one slab, or one shard, never all of it;
and a slab that has no record any more is given back.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

_SLAB = 4096
_SLAB_BITS = 12
_SLABS = 4095
_DUE = _SLAB * 16
_NEVER = 0xFFFFFFFF
_SHARDS = 64
_FIRST_SHARD = 64
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_MIX = 0x9E3779B97F4A7C15
_STIR = 0xD6E8FEB86659FD93
_NONE = -1
_FREE = 2


class Slabs:
    """Records of 64 bytes, which begin with the trace id, in two big-endian words."""

    def __init__(self, seed: int) -> None:
        """With a `seed` that nobody knows, no choice of trace ids makes it slow."""
        self.count = 0
        """Records."""
        self._top = 0
        self._spare = _NONE
        self._seed = seed
        self._buffers: list[bytearray | None] = []
        # Of each slab: 0 it has no memory, 1 it is full, 2 there is room.
        self._state = bytearray(_SLABS + 1)
        self._tables = [bytearray(8 * (_SLABS + 1)) for _ in range(2)]
        self._words = native.pointers(self._tables[0])
        self._halves = native.half_pointers(self._tables[1])
        self._columns = [bytearray(4 * (_SLABS + 1) + 64) for _ in range(3)]
        self._used = native.halves(self._columns[0])
        self._live = native.halves(self._columns[1])
        self._head = native.halves(self._columns[2])
        self._shards: list[bytearray] = []
        self._index_table = bytearray(8 * _SHARDS)
        self._index = native.half_pointers(self._index_table)
        self._mask = [0] * 64
        self._filled = [0] * 64
        for shard in range(_SHARDS):
            self._shards.append(bytearray())
            self._resize(shard, _FIRST_SHARD)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return sum(len(buffer) for buffer in self._buffers if buffer) + sum(len(shard) for shard in self._shards)

    # Slabs: of each, `used` records were ever in use, `live` are, and `head` is the first free one among the others.

    def _take(self) -> int:
        """A free slot, in the first slab that has one."""
        slab = native.where(self._state, _FREE, self._top)
        if slab < 0:
            slab = self._new_slab()
        halves = self._halves[slab]
        if self._head[slab] != 0:
            at = self._head[slab] - 1
            self._head[slab] = halves[at * 16]
        else:
            at = self._used[slab]
            self._used[slab] += 1
        self._live[slab] += 1
        if self._live[slab] == _SLAB:
            self._state[slab] = 1
        if slab == self._spare:
            self._spare = _NONE
        return slab << _SLAB_BITS | at

    def _give_back(self, slot: int) -> None:
        slab = slot >> _SLAB_BITS
        at = slot & (_SLAB - 1)
        halves = self._halves[slab]
        words = self._words[slab]
        words[at * 8 + 2] = 0
        halves[at * 16] = self._head[slab]
        halves[_DUE + at] = _NEVER
        self._head[slab] = at + 1
        self._live[slab] -= 1
        self._state[slab] = _FREE
        if self._live[slab] == 0:
            self._used[slab] = 0
            self._head[slab] = 0
            if self._spare >= 0:
                self._drop(max(slab, self._spare))
                slab = min(slab, self._spare)
            self._spare = slab

    def _new_slab(self) -> int:
        slab = native.where(self._state, 0, _SLABS + 1)
        buffer = bytearray(_SLAB * 68 + 64)
        if slab == self._top:
            self._top += 1
            self._buffers.append(buffer)
        else:
            self._buffers[slab] = buffer
        self._words[slab] = native.words(buffer)
        self._halves[slab] = native.halves(buffer)
        self._used[slab] = self._live[slab] = self._head[slab] = 0
        self._state[slab] = _FREE
        return slab

    def _drop(self, slab: int) -> None:
        self._state[slab] = 0
        self._buffers[slab] = None
        while self._top > 0 and self._state[self._top - 1] == 0:
            self._top -= 1
            self._buffers.pop()

    # The index: of each entry the low 24 bits are a slot and one, the high eight bits of the hash.

    def _hash(self, hi: int, lo: int) -> int:
        mixed = ((lo ^ self._seed) * _MIX) & _ALL_64
        mixed ^= mixed >> 32
        mixed = ((mixed ^ hi) * _STIR) & _ALL_64
        mixed ^= mixed >> 29
        return (mixed * _MIX) & _ALL_64

    def _locate(self, hi: int, lo: int) -> int:
        """The slot of that trace, or -1."""
        key = self._hash(hi, lo)
        shard = key >> 58
        tag = key >> 50 & 0xFF
        index = self._index[shard]
        mask = self._mask[shard]
        at = key & mask
        entry = index[at]
        while entry != 0:
            if entry >> 24 == tag:
                slot = (entry & 0xFFFFFF) - 1
                words = self._words[slot >> _SLAB_BITS]
                place = (slot & (_SLAB - 1)) * 8
                if words[place] == hi and words[place + 1] == lo:
                    return slot
            at = (at + 1) & mask
            entry = index[at]
        return _NONE

    def _enter(self, hi: int, lo: int) -> int:
        """A slot for a record that is not there yet; its words are whatever they were, but for the id."""
        key = self._hash(hi, lo)
        shard = key >> 58
        if 4 * (self._filled[shard] + 1) > 3 * (self._mask[shard] + 1):
            self._resize(shard, 2 * (self._mask[shard] + 1))
        slot = self._take()
        self._place(shard, key, slot)
        self._filled[shard] += 1
        self.count += 1
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        words[at] = hi
        words[at + 1] = lo
        return slot

    def _place(self, shard: int, key: int, slot: int) -> None:
        index = self._index[shard]
        mask = self._mask[shard]
        at = key & mask
        while index[at] != 0:
            at = (at + 1) & mask
        index[at] = (key >> 50 & 0xFF) << 24 | (slot + 1)

    def _home(self, slot: int) -> int:
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        return self._hash(words[at], words[at + 1])

    def _leave(self, slot: int) -> None:
        """Takes a record out."""
        key = self._home(slot)
        shard = key >> 58
        index = self._index[shard]
        mask = self._mask[shard]
        hole = key & mask
        while index[hole] & 0xFFFFFF != slot + 1:
            hole = (hole + 1) & mask
        # What stands behind the hole, up to the next free place, moves up if it may.
        at = (hole + 1) & mask
        while index[at] != 0:
            home = self._home((index[at] & 0xFFFFFF) - 1) & mask
            if (at - home) & mask >= (at - hole) & mask:
                index[hole] = index[at]
                hole = at
            at = (at + 1) & mask
        index[hole] = 0
        self._filled[shard] -= 1
        self.count -= 1
        self._give_back(slot)
        if mask >= _FIRST_SHARD and 8 * self._filled[shard] < mask:
            self._resize(shard, (mask + 1) >> 1)

    def _resize(self, shard: int, size: int) -> None:
        old = self._index[shard]
        before = self._shards[shard]
        count = (len(before) - 64) // 4
        buffer = bytearray(4 * size + 64)
        self._shards[shard] = buffer
        self._index[shard] = native.halves(buffer)
        self._mask[shard] = size - 1
        at = 0
        while at < count:
            entry = old[at]
            if entry != 0:
                slot = (entry & 0xFFFFFF) - 1
                self._place(shard, self._home(slot), slot)
            at += 1
