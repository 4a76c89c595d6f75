# cython: annotation_typing=False, boundscheck=False, wraparound=False, language_level=3
"""Counts the requests that an application has served, by the spans that it sends; compiled with the types in meter.pxd.

A request is a span of kind SERVER or CONSUMER, or a local root: one without a parent, or whose parent is in another
process. It failed when its status is an error. The counts are made before anything is thrown away, and of what was
acknowledged alone: an export that is refused comes again.
"""

from __future__ import annotations

from typing import Final

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets, in seconds; one more bucket is for all that take longer."""

_NANOSECONDS = [int(bound * 1_000_000_000) for bound in BOUNDS]
_BUCKETS = len(BOUNDS)


class Sight:
    """What the scanner has seen of one export: its number of spans, and the requests among them."""

    def __init__(self) -> None:
        self.spans = 0
        self.critical = False
        """Whether a span says that it must not wait: its `tracekeeper.priority` is `critical`."""
        self.requests = 0
        self.errors = 0
        self.nanoseconds = 0
        """Duration of all requests together."""
        self._counts = [0] * 16

    def note(self, nanoseconds: int, error: int) -> None:
        """Count a request."""
        self.requests += 1
        self.errors += error
        self.nanoseconds += nanoseconds
        bucket = 0
        while bucket < _BUCKETS and nanoseconds > _NANOSECONDS[bucket]:
            bucket += 1
        self._counts[bucket] += 1


class Meter:
    """The counts of a process, from its start on."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.nanoseconds = 0
        self._counts = [0] * 16

    def add(self, sight: Sight) -> None:
        """Count what an export held; call it once that is acknowledged."""
        if sight.requests == 0:
            return
        self.requests += sight.requests
        self.errors += sight.errors
        self.nanoseconds += sight.nanoseconds
        bucket = 0
        while bucket <= _BUCKETS:
            self._counts[bucket] += sight._counts[bucket]
            bucket += 1

    def buckets(self) -> list[int]:
        """Requests in each bucket, as many as there are bounds and one more."""
        return [self._counts[bucket] for bucket in range(_BUCKETS + 1)]
