"""Thresholds of consistent probability sampling, and the ones that were in force before.

As in OpenTelemetry's "Tracestate: probability sampling": a trace has a random number R of 56 bits, and is kept when
R >= T. T is an int from 0 (everything) to 2**56 (nothing), and the probability is 1 - T / 2**56.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from math import isnan
from typing import Final

from tracekeeper_sidecar.wire import probability

ALL: Final = probability.NEVER
"""One more than the largest random number: the threshold that keeps nothing."""
PRECISION = 16
"""Bits of a chosen probability. More would be noise, and only make `th` in the tracestate of each span longer."""
MOST_CHANGES = 4096
"""Changes of threshold remembered per history."""

probability_of = probability.probability
"""The share of traces that a threshold keeps."""


def threshold_of(share: float) -> int:
    """The threshold that keeps the `share` (0 to 1; beyond them the nearer one) or up to 1/32768 of it more.

    Not less, so that a lower bound holds. The hexadecimal form has few digits: 1/100 is `th:fd70a` and not
    `th:fd70a3d70a3d71`. Raises ValueError for NaN.
    """
    if isnan(share):
        raise ValueError("a probability must be a number from 0 to 1, not NaN")
    kept = ALL - probability.threshold(min(1.0, max(0.0, share)))
    spare = max(0, kept.bit_length() - PRECISION)
    return max(0, ALL - (-(-kept >> spare) << spare))


class History:
    """The thresholds of one key over time: answers what held when, so that a late span of a trace that was sampled out
    can be answered without remembering the trace. Holds `length` seconds, and `MOST_CHANGES` changes at most."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._times: deque[float] = deque(maxlen=MOST_CHANGES)
        self._thresholds: deque[int] = deque(maxlen=MOST_CHANGES)

    def __len__(self) -> int:
        return len(self._times)

    def note(self, now: float, threshold: int) -> None:
        """From `now` on `threshold` holds. Times must not go back; one that does counts as the last one."""
        if self._thresholds and self._thresholds[-1] == threshold:
            return
        self._times.append(max(now, self._times[-1]) if self._times else now)
        self._thresholds.append(threshold)
        # The last change before the beginning stays: it is what held there.
        while len(self._times) > 1 and self._times[1] <= now - self._length:
            self._times.popleft()
            self._thresholds.popleft()

    def at(self, time: float) -> int | None:
        """What held at `time`; None when that is before what is remembered."""
        index = bisect_right(self._times, time)
        return self._thresholds[index - 1] if index else None
