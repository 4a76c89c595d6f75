# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Which detectors a span's `tracekeeper.detected` names; compiled with the types in detected.pxd."""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.walker import Walker
from tracekeeper_spec.detect import Detector

NAMES = [detector.value.encode() for detector in Detector]
"""By their numbers."""
_NAMES = NAMES
_COUNT = len(NAMES)


class Detected(Walker):
    """For one thread at a time."""

    def __init__(self) -> None:
        Walker.__init__(self)

    def _named(self, data: bytes, pos: int, end: int) -> int:
        """A bit for each detector that the AnyValue at [pos, end) names, a list of texts. Anybody may write such a
        list: what else is in it is passed over, and a name counts once."""
        found = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return found
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return found
                    if self.number == 1 and self.wire == 2:
                        found |= self._one(data, self.value, after)
                    at = after
            pos = stop
        return found

    def _one(self, data: bytes, pos: int, end: int) -> int:
        found = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 1 and self.wire == 2:
                size = stop - self.value
                number = 0
                while number < _COUNT:
                    name = _NAMES[number]
                    if len(name) == size and native.same(data, self.value, name, size):
                        found = 1 << number
                    number += 1
            pos = stop
        return found
