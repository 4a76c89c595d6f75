"""What a tap has seen so far: written by whoever reads the log, read by whoever tells the operator."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

MOST_SPANS, LONGEST = 1000, 600.0
"""Spans that one tap shows, and seconds for which it goes on, at most."""


@dataclass(frozen=True, slots=True)
class TapAsked:
    """What somebody wants to see of what comes from now on. Raises ValueError, in words for people."""

    spans: int
    seconds: float
    where: str
    """A condition on spans; empty takes all of them."""

    def __post_init__(self) -> None:
        if not 0 < self.spans <= MOST_SPANS:
            raise ValueError(f"spans: more than none, and at most {MOST_SPANS}")
        if not 0 < self.seconds <= LONGEST:
            raise ValueError(f"seconds: more than none, and at most {LONGEST:g}")


@dataclass(slots=True)
class Tap:
    """Counts are of spans."""

    running: bool = True
    problem: str = ""
    """Why it ended early."""
    pieces: deque[tuple[bytes, int]] = field(default_factory=deque)
    """Requests that are still to be shown, each with its spans; whoever shows one takes it out."""
    shown: int = 0
    """In all pieces that there were."""
    looked_at: int = 0
    matched: int = 0
    passed_over: int = 0
    """They came faster than a tap looks, or could not be told."""
    too_large: int = 0
    """Larger than what is shown of one span."""


class Tapper(Protocol):
    """What can tap."""

    def begin_tap(self, asked: TapAsked) -> Tap:
        """Raises ValueError, in words for people."""

    def stop_tap(self, tap: Tap) -> None:
        """End it."""
