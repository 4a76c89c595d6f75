# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What open traces have cost, and their tokens, in two words each beside their records; compiled with the types in
sums.pxd.

Most traces call no model, and most configs do not ask: a slab gets these columns with the first call in one of its
traces.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.slabs import Slabs

_SLAB = 4096
_SLAB_BITS = 12
_SLABS = 4095
_MOST = 2**63 - 1
_TOLD = 1 << 63
_NONE = -1


class Sums(Slabs):
    """Records of traces, with sums."""

    def __init__(self, seed: int) -> None:
        Slabs.__init__(self, seed)
        self._spent_state = bytearray(_SLABS + 1)
        self._spent_buffers: dict[int, bytearray] = {}
        self._spent_table = bytearray(8 * (_SLABS + 1))
        self._spent_words = native.pointers(self._spent_table)

    def _spend(self, slot: int, cost: int, tokens: int) -> int:
        """A call of a model has cost so many nanodollars, and taken so many tokens; below 0 where that is not known."""
        slab = slot >> _SLAB_BITS
        at = (slot & (_SLAB - 1)) * 2
        if self._spent_state[slab] == 0:
            self._widen(slab)
        words = self._spent_words[slab]
        if cost >= 0:
            words[at] = min((words[at] & _MOST) + cost, _MOST) | _TOLD
        if tokens >= 0:
            words[at + 1] = min((words[at + 1] & _MOST) + tokens, _MOST) | _TOLD
        return 0

    def _spent(self, slot: int, which: int) -> int:
        """The sum of nanodollars (0) or of tokens (1); -1 where nothing is known."""
        slab = slot >> _SLAB_BITS
        if self._spent_state[slab] == 0:
            return _NONE
        word = self._spent_words[slab][(slot & (_SLAB - 1)) * 2 + which]
        if word & _TOLD:
            return word & _MOST
        return _NONE

    def _begin_sums(self, slot: int) -> None:
        """Of a new trace nothing is known."""
        if self._spent_state[slot >> _SLAB_BITS]:
            words = self._spent_words[slot >> _SLAB_BITS]
            words[(slot & (_SLAB - 1)) * 2] = words[(slot & (_SLAB - 1)) * 2 + 1] = 0

    def _widen(self, slab: int) -> int:
        buffer = bytearray(_SLAB * 16 + 64)
        self._spent_buffers[slab] = buffer
        self._spent_words[slab] = native.words(buffer)
        self._spent_state[slab] = 1
        return 0

    def _drop(self, slab: int) -> None:
        self._spent_state[slab] = 0
        self._spent_buffers.pop(slab, None)
        Slabs._drop(self, slab)
