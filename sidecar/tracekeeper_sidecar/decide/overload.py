"""When rules over whole traces can no longer be afforded: a state machine with hysteresis. Pure; time is a parameter.

           a load reaches its bound
    Whole ─────────────────────────▶ ByTraceID      new traces are decided at once by their id (R >= T), no rule asked
      ▲                                 │
      └─────────────────────────────────┘
        all loads below `leave_below` of their bounds for `leave_after` seconds

A decision by trace id is one that every sidecar with the same threshold comes to; a decision by chance or by counting
would tear traces apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Deciding(StrEnum):
    """How new traces are decided."""

    WHOLE = "Whole"
    """When they are whole, by the rules."""
    BY_TRACE_ID = "ByTraceID"
    """At their first span, by probability."""


class Cause(StrEnum):
    """What is too much, as a metric's label."""

    TRACES = "open_traces"
    BYTES = "bytes"
    LAG = "lag"


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """Bounds; each is reached at its number."""

    open_traces: int = 1_000_000
    """Traces without a decision."""
    bytes: int = 96 << 20
    """Memory of the table of open traces: well within what the sidecar may take in all."""
    lag: float = 60.0
    """Seconds that the cut may be behind the time at which everything could be decided."""
    leave_below: float = 0.7
    """Share of every bound below which the load must be to go back."""
    leave_after: float = 10.0
    """Seconds that it must be so."""


@dataclass(frozen=True, slots=True)
class Load:
    """What there is now, in the units of OverloadSettings."""

    open_traces: int
    bytes: int
    lag: float


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state."""

    now: Deciding
    cause: Cause | None
    """What reached its bound; None when it is over."""
    reason: str
    """Why, in words for people."""


class Overload:
    """Owned by one thread."""

    def __init__(
        self, settings: OverloadSettings, now: float, on_change: Callable[[Change], None] = lambda _: None
    ) -> None:
        self.settings = settings
        self.deciding = Deciding.WHOLE
        self.entered: Counter[str] = Counter()
        """Times that the state became ByTraceID, by cause."""
        self.seconds = 0.0
        """Spent in ByTraceID."""
        self._on_change = on_change
        self._at = now
        self._calm_since: float | None = None

    @property
    def active(self) -> bool:
        """New traces are to be decided by their id."""
        return self.deciding is Deciding.BY_TRACE_ID

    def observe(self, now: float, load: Load) -> bool:
        """Look at the load, some times a second; answers `active`. A time that goes back counts as the last one."""
        now = max(now, self._at)
        if self.active:
            self.seconds += now - self._at
        self._at = now
        cause, share = self._worst(load)
        if not self.active:
            if share >= 1.0:
                self._calm_since = None
                self.entered[cause] += 1
                self._change(Deciding.BY_TRACE_ID, cause, self._words(cause, load))
        elif share >= self.settings.leave_below:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= self.settings.leave_after:
            below, after = self.settings.leave_below, self.settings.leave_after
            self._change(
                Deciding.WHOLE,
                None,
                f"for {after:g} s the load has been below {below:.0%} of its bounds: rules hold again",
            )
        return self.active

    def _worst(self, load: Load) -> tuple[Cause, float]:
        """The load nearest to its bound, or furthest beyond it."""
        settings = self.settings
        shares = {
            Cause.TRACES: load.open_traces / settings.open_traces,
            Cause.BYTES: load.bytes / settings.bytes,
            Cause.LAG: load.lag / settings.lag,
        }
        return max(shares.items(), key=lambda item: item[1])

    def _words(self, cause: Cause, load: Load) -> str:
        settings = self.settings
        what = {
            Cause.TRACES: f"{load.open_traces:,} traces wait for their decision, the bound is {settings.open_traces:,}",
            Cause.BYTES: f"open traces take {load.bytes >> 20} MiB, the bound is {settings.bytes >> 20} MiB",
            Cause.LAG: f"sampling is {load.lag:.0f} s behind, the bound is {settings.lag:g} s",
        }[cause]
        return f"{what}: new traces are sampled by their id alone, rules do not see them, until the load is down"

    def _change(self, deciding: Deciding, cause: Cause | None, reason: str) -> None:
        self.deciding = deciding
        self._on_change(Change(deciding, cause, reason))
