"""One key's traces: how many come, how probably they are kept, and whether it is a minute since one was. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, sqrt

MEMORY = 4.0
"""Seconds; time constant of the moving average."""
SURPRISE = 4.0
"""Standard deviations of a Poisson process: what is further away is no noise, and is believed at once."""
FLOOR = 60.0
"""Seconds within which a key that has traces has one kept."""
SURE = 5.0
"""Expected keeps that make one certain enough: that there is none happens 7 times in a thousand (e**-5)."""
FORGET = 300.0
"""Seconds without a trace after which a key is forgotten; when it comes again it is new."""


@dataclass(slots=True)
class KeyRate:
    """Counts of the running second, and averages of those before."""

    probability: float
    threshold: int
    since: float
    """Seconds; the minute began here in which one trace is kept at least."""
    heard: float
    """Seconds; the end of the last period with a trace."""
    traces: float = 0.0
    """Traces a second."""
    weight: float = 0.0
    """Traces a second before an earlier sampler took some out; at least `traces`."""
    seen: int = 0
    """Traces of the running period."""
    seen_weight: float = 0.0
    passing: int | None = None
    """A threshold for the traces counted last, below `threshold`, because nothing was kept for a minute."""
    due: bool = True
    """The next trace is to be kept as surely as may be."""
    _fresh: bool = field(default=True)
    _expected: float = 0.0

    def expect(self, kept: float) -> None:
        """That many will be kept in the ordinary way."""
        self._expected += kept

    def passed(self, now: float) -> None:
        """Traces were let through out of turn."""
        self.due, self.since, self._expected = False, now, 0.0

    def end_period(self, now: float, elapsed: float) -> None:
        """Take what was counted in the last `elapsed` seconds into the averages."""
        usual = self.traces * elapsed
        surprise = abs(self.seen - usual) > SURPRISE * (sqrt(usual) + 1.0)
        gain = 1.0 if surprise or self._fresh else 1.0 - exp(-elapsed / MEMORY)
        self.traces += gain * (self.seen / elapsed - self.traces)
        self.weight += gain * (self.seen_weight / elapsed - self.weight)
        if self.seen:
            self.heard, self._fresh = now, False
        self.seen, self.seen_weight, self.passing = 0, 0.0, None

    def resume(self, traces: float, weight: float) -> None:
        """Begin with averages of an earlier process."""
        self.traces, self.weight, self._fresh = traces, max(traces, weight), False

    def end_minute(self, now: float, most: float) -> None:
        """After a minute: whether enough was and will be kept, with `most` the highest probability. A key that is kept
        whole stays at the minute's end, so that it is due as soon as that is over."""
        if self.due or now - self.since < FLOOR or self.probability >= most:
            return
        ahead = min(self.weight * self.probability, self.traces) * FLOOR
        self.due = min(self._expected, ahead) < SURE
        self.since, self._expected = now, 0.0

    def idle(self, now: float) -> bool:
        return now - self.heard > FORGET
