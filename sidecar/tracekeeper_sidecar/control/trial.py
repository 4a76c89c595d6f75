"""What has become of a test span so far: written by whoever has sent it, read by whoever tells the operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

LONGEST = 600.0
"""Seconds for which one is followed, at most."""

Outcome = Literal["Waiting", "Delivered", "SampledOut", "NotMatched", "Dropped", "Unclear", "Gone"]
WAITING: Final = "Waiting"


@dataclass(frozen=True, slots=True)
class TrialEntry:
    """The span in one delivery entry."""

    name: str
    outcome: Outcome = WAITING
    backend: str = ""
    """Names of those that took it."""
    seconds: float = 0.0
    """From when it was sent to that outcome, or to now while it waits."""
    words: str = ""
    """What is in the way, or why it was not delivered."""


@dataclass(slots=True)
class Trial:
    """One test span."""

    running: bool = True
    problem: str = ""
    """Why it was not sent, or why no more can be said."""
    trace_id: bytes = b""
    stored: float = 0.0
    """Seconds from when it was sent to when it was acknowledged; 0 before."""
    sampled: bool = False
    """Sampling was told to keep it."""
    delivery: dict[str, TrialEntry] = field(default_factory=dict)

    @property
    def outcomes(self) -> object:
        """What somebody waits for; equal while only times and words are new."""
        found = tuple((entry.name, entry.outcome) for entry in self.delivery.values())
        return self.running, bool(self.stored), found


class Prober(Protocol):
    """What can send a test span."""

    def begin_trial(self, timeout: float) -> Trial:
        """Send one and say for so many seconds what becomes of it. Raises ValueError, in words for people."""
