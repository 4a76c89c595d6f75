# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Traces that another sidecar keeps, against what is known of them here; compiled with the types in told.pxd.

Most of what is told is about traces that never come here: such a one costs two look-ups and a place in a bounded
memory, and no object. A trace is known here when it is in the table, or when its verdict is remembered.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.remembered import MOST, Remembered
from tracekeeper_sidecar.wire.traces import Traces

_ID = 16
_KEEP = 1 << 62
_THRESHOLD = (1 << 57) - 1


class Met:
    """What traces that were told of are here."""

    def __init__(self, unknown: int, kept: int, open_ids: bytes, overturned: bytes, passed: bytes) -> None:
        self.unknown = unknown
        """How many are not known here: what comes of them later is to follow."""
        self.kept = kept
        """How many are kept here anyway."""
        self.open_ids = open_ids
        """Ids, 16 bytes each, of those that are not decided yet."""
        self.overturned = overturned
        """Those that were to be left out, and now are not: 24 bytes each, as `Traces.pack` makes them. The table and
        the memory of verdicts know it already."""
        self.passed = passed
        """The same for those among them of which spans have been left out already."""


class Told:
    """Remembers for traces that are not known here, at least the `most` told last, by what verdict others keep them.
    For one thread at a time."""

    def __init__(self, most: int = MOST) -> None:
        self.any = False
        """Whether there is something to look up."""
        self._known = Remembered(most)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return self._known.memory

    def get(self, trace_id: bytes) -> int:
        """By what verdict others keep it; 0 if none is remembered."""
        return self._known.get(trace_id)

    def take(self, ids: bytes, verdict: int, table: Traces, remembered: Remembered) -> Met:
        """Others keep these traces (16 bytes each) by that verdict. Of two on one trace the lower threshold counts.

        Raises ValueError for another size, or for a verdict that does not keep."""
        size = len(ids)
        if size % _ID or not verdict & _KEEP:
            raise ValueError(f"{size} bytes of ids, {_ID} each, and a verdict of {verdict:#x}, which must keep them")
        open_ids = bytearray()
        overturned = bytearray()
        passed = bytearray()
        packed = verdict.to_bytes(8)
        unknown = kept = at = 0
        while at < size:
            slot = table._locate(native.word(ids, at), native.word(ids, at + 8))
            known = 0
            if slot >= 0:
                known = table._verdict_of(slot)
            decided = known != 0
            if not decided:
                known = remembered._look(ids, at)
            if known & _KEEP:
                kept += 1
            elif known != 0:
                remembered._note(ids, at, verdict)
                overturned += ids[at : at + 16] + packed
                if decided:
                    table._decide(slot, verdict)
                if not decided or table._has_passed(slot):
                    passed += ids[at : at + 16] + packed
            elif slot >= 0:
                open_ids += ids[at : at + 16]
            else:
                unknown += 1
                self.any = True
                known = self._known._look(ids, at)
                if known == 0 or verdict & _THRESHOLD < known & _THRESHOLD:
                    self._known._note(ids, at, verdict)
            at += 16
        return Met(unknown, kept, bytes(open_ids), bytes(overturned), bytes(passed))
