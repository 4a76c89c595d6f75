# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Cuts out of requests the spans of a few traces that are asked for; compiled with the types in pick.pxd.

As `keep`, but what nobody asks for is left out, and so are spans without a trace's id: nothing here holds a request up.
Each trace is asked for up to a place in the log, told by the number of spans before it.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.keep import Cut, Keep
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.traces import Traces

RECORD = 32
"""Bytes for each trace: its id (16), the verdict that its spans are to tell of (8), and the number (8), big-endian."""
_RECORD = RECORD


class Pick(Keep):
    """For one thread at a time."""

    def __init__(self, most: int) -> None:
        """No more than `most` traces are asked for."""
        Keep.__init__(self, Traces(seed=1), _nobody)
        self._verdicts = Remembered(most + 1)
        self._ends = Remembered(most + 1)
        self._end = 0

    def add(self, records: bytes) -> None:
        """Ask for these, RECORD bytes each. The last word on a trace counts. Raises ValueError for another size."""
        size = len(records)
        if size % _RECORD:
            raise ValueError(f"{size} bytes; each trace has {_RECORD}")
        at = 0
        while at < size:
            self._verdicts._note(records, at, native.word(records, at + 16))
            self._ends._note(records, at, native.word(records, at + 24))
            at += _RECORD

    def pick(self, body: bytes, end: int) -> Cut:
        """What is asked for of a request that ends at the number `end`. Raises ValueError when it is not protobuf."""
        self._end = end
        found = self.cut(body)
        assert found is not None  # Nothing blocks it.
        return found

    def _span(self, data: bytes, begin: int, end: int, run: int, pos: int) -> int:
        """See Keep._span."""
        trace = self._find(data, begin, end)
        if trace >= 0:
            hi = native.word(data, trace)
            lo = native.word(data, trace + 8)
            if not (self._has_last and hi == self._hi and lo == self._lo):
                self._verdict = self._verdicts._look(data, trace)
                if self._verdict != 0 and self._ends._look(data, trace) < self._end:
                    self._verdict = 0
                self._hi = hi
                self._lo = lo
                self._has_last = 1
            if self._verdict != 0:
                return Keep._span(self, data, begin, end, run, pos)
        self._written = native.copy(self._out, self._written, data, run, pos)
        self._run = end
        self._changed = 1
        return 0


def _nobody(trace_id: bytes) -> int:
    """Keep asks for no verdict that is not known."""
    return 0
