"""What a request of another protocol has become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tracekeeper_sidecar.wire.openai_trace import Trace

MOST_PROBLEMS: Final = 5
"""Items that an error text names."""


@dataclass(slots=True)
class Converted:
    """OTLP, and what could not be made into it."""

    payload: bytes
    """A serialised ExportTraceServiceRequest; empty where no span is left."""
    refused: int = 0
    """Spans that are not in it because they could not be understood."""
    problem: str = ""
    """What was wrong with them, in words."""
    traces: dict[str, Trace] = field(default_factory=dict)
    """What has been said of traces, by their ids in that protocol."""
    heard: set[str] = field(default_factory=set)
    """Ids of the traces that its spans belong to, where traces are spoken of apart from them."""


def told(problems: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    shown = "; ".join(problems[:MOST_PROBLEMS])
    more = len(problems) - MOST_PROBLEMS
    return f"{shown}; and {more} more" if more > 0 else shown
