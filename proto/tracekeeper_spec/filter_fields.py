"""The schema of `processors[].filter`."""

from __future__ import annotations

from tracekeeper_spec.filter import Filter
from tracekeeper_spec.schema import Condition, Field, ListOf, Object

FILTER = Object(
    Filter,
    (
        Field(
            "drop",
            ListOf(Condition(), 16, min_items=1),
            "A span for which one of these conditions holds is answered OK and thrown away. Its children stay, and "
            "then have a parent that no backend knows.",
            required=True,
        ),
    ),
)
