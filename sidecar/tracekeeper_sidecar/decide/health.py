"""What can be said about sampling at a moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

PINNED = 60.0
"""Seconds after which it is no burst that is at the least probability."""


@dataclass(frozen=True, slots=True)
class StageHealth:
    """One moment of sampling."""

    open_traces: int
    table_bytes: int
    undecided: int
    """Spans acknowledged that no frame of the kept log counts yet."""
    lag: float
    """Seconds since the oldest of them was acknowledged, as far as it is known; 0 when there is none."""
    kept: Counter[str] = field(default_factory=Counter)
    """Traces, by rule, since the start. So is `left_out`."""
    left_out: Counter[str] = field(default_factory=Counter)
    late: int = 0
    overloaded: bool = False
    overloads: Counter[str] = field(default_factory=Counter)
    """Times that it began, by cause."""
    overload_seconds: float = 0.0
    """For which it has lasted, since the start."""
    hurried: bool = False
    """The log is nearly full: traces are decided by the rules as they are, whole or not."""
    hurries: int = 0
    """Times that this began."""
    probability: float = 1.0
    """The lowest in use."""
    pinned: float = 0.0
    """Seconds for which `minProbability` has kept more than the target asks for."""
    share: float | None = None
    """Traces a second that the default may keep here; None where its probability is fixed. So is `floor`."""
    floor: float | None = None
    """The probability below which no sidecar goes that shares the target."""
    sidecars: int = 1
    """That share the target, as last told."""
    told: Counter[str] = field(default_factory=Counter)
    """Traces that other sidecars keep, by what they were here."""
    spread: Counter[str] = field(default_factory=Counter)
    """Traces that others are to keep, by what became of that: handed_over, dropped."""
    problem: str = ""

    @property
    def at_floor(self) -> bool:
        """Whether the default can keep no less, and the target is not met, for longer than a burst lasts."""
        return self.pinned >= PINNED
