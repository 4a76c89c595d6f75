"""A delivery entry as somebody sees it who sends it spans beside what it reads."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_sidecar.forward.entry import Terms
from tracekeeper_sidecar.forward.sender import Sender


@dataclass(frozen=True, slots=True)
class Taker:
    """One moment of it."""

    name: str
    sender: Sender
    terms: Terms
    begin: int
    """Spans of the log before those that come to it by way of sampling; what is before has nothing to do with it, or it
    had that whole."""
    end: int
    """Spans of the log before those that it gets whole again."""
