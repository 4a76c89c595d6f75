"""Thresholds of consistent probability sampling, as short as they need be. Pure.

As in OpenTelemetry's "Tracestate: probability sampling": a trace has a random number R of 56 bits, and is kept when
R >= T. T is an int from 0 (everything) to 2**56 (nothing), and the probability is 1 - T / 2**56.
"""

from __future__ import annotations

from math import isnan
from typing import Final

from tracekeeper_sidecar.wire import probability

ALL: Final = probability.NEVER
"""One more than the largest random number: the threshold that keeps nothing."""
PRECISION = 16
"""Bits of a chosen probability. More would be noise, and only make `th` in the tracestate of each span longer."""

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
