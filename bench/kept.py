"""Which traces of a tail sampler's load arrived, and whether whole: a dictionary's entry for each."""

from __future__ import annotations

from spans import SPANS_PER_TRACE
from traces import ORDINARY, found

WHOLE = (1 << SPANS_PER_TRACE) - 1


class Kept:
    """Counts as spans arrive, in whatever order and however often."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._whole = self._forced = self._repeated = 0

    def add(self, body: bytes) -> int:
        """Book the spans of a request; returns how many."""
        spans = found(body)
        for kind, trace, place in spans:
            had, bit = self._places.get(trace, 0), 1 << (place - 1)
            self._places[trace] = had | bit
            if had & bit:
                self._repeated += 1
            elif had | bit == WHOLE:
                self._whole += 1
                self._forced += kind[0] != ORDINARY
        return len(spans)

    def counts(self) -> dict[str, int]:
        """Traces of which anything came, those that came whole, of these those that had to; spans that came twice."""
        counts = {"whole": self._whole, "forced": self._forced, "repeated": self._repeated}
        return {"traces": len(self._places)} | counts
