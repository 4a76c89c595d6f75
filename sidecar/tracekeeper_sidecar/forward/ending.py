"""What became of a stretch of the log in one delivery entry, for somebody who follows a span. Nobody does as a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from tracekeeper_sidecar.model import NOTHING


class Ending(NamedTuple):
    """One moment of an entry's account. What was settled before in the same stretch has had an ending of its own."""

    delivery: str
    begin: int
    end: int
    """Spans of the log before the stretch, and before what follows it."""
    delivered: Mapping[str, int] = NOTHING
    """Spans by backend."""
    dropped: Mapping[str, int] = NOTHING
    """Spans by reason."""
    sampled_out: Mapping[str, int] = NOTHING
    """Spans by rule."""
    unmatched: int = 0


Watcher: TypeAlias = Callable[[Ending], None]
"""Told of each ending, on the event loop; must not raise."""
