"""What has been counted, at one moment: what the exposition and the pushes are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tracekeeper_sidecar.metrics import Metric


class Exemplar(NamedTuple):
    """One span that a bucket has counted."""

    trace_id: bytes
    """16 bytes."""
    span_id: bytes
    """8 bytes."""
    value: float
    """What was observed, in the metric's unit."""
    at: float
    """Unix time."""


class Histogram(NamedTuple):
    """The value of a histogram's row."""

    counts: tuple[int, ...]
    """Observations of each bucket alone, not of those below it: one more than the metric has bounds."""
    total: float
    """Sum of all observations, in the metric's unit."""
    exemplars: tuple[Exemplar | None, ...]
    """The newest of each bucket, as many as `counts`; empty where the metric has none."""


class Row(NamedTuple):
    """One series of a family; of a histogram, those of all its buckets."""

    labels: tuple[str, ...]
    """Values of the metric's labels, in the declared order; the first is `alerts`."""
    value: float | Histogram
    born: int
    """A number that each new row of this process is given, and no row has twice: those with higher ones are younger.
    Rows that a restart has brought back have 0: they were shown before."""


class Reading(NamedTuple):
    """An immutable copy of all that is counted."""

    families: Mapping[Metric, tuple[Row, ...]]
    """In the order in which they are declared; families without rows are there, and empty."""
    youngest: int = 0
    """What no row's number (`Row.born`) is above."""


class Metered(Protocol):
    """Who counts."""

    def read(self) -> Reading:
        """A copy of this moment, made in less than 5 ms; to be called on the event loop."""
        ...
