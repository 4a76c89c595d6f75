"""Gathers what is kept here and may be left out elsewhere, until others are told. Pure; times are Unix seconds.

Told is what is kept by a lower threshold than the *floor*, at which all sidecars keep anyway. What nobody fetches has
two bounds: a number of traces, and an age at which others hardly have their spans any more. What goes beyond is
dropped, and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tracekeeper_sidecar.coordination import KeptBatch

MOST = 65_536
"""Traces that wait."""
BATCH = 2048
"""Traces of one batch, at most."""
MOMENT = 1.0
"""Seconds between the first and the last trace of a batch, at most, so that the first one's time says enough."""
OLD = 60.0
"""Seconds after which nothing is told any more, because nobody was there to tell."""

Reason = tuple[int, int, bool]
"""Number of the rule, threshold, erase."""


@dataclass(slots=True)
class _Gathered:
    reason: Reason
    decided: float
    ids: bytearray = field(default_factory=bytearray)


class Spread:
    """Owned by the stage."""

    def __init__(self, name: Callable[[int], str], now: Callable[[], float]) -> None:
        """`name` says what a rule is called."""
        self.listening = False
        """Whether there has ever been somebody to tell; nothing is gathered before."""
        self.told = 0
        """Traces handed out."""
        self.dropped = 0
        self.now = now
        """Unix time."""
        self._name = name
        self._wake: Callable[[], None] = lambda: None
        self._filling: dict[Reason, _Gathered] = {}
        self._waiting: deque[_Gathered] = deque()
        """The oldest first; those that are being filled are in it, too."""
        self._count = 0

    def call_when_kept(self, wake: Callable[[], None]) -> None:
        """Call it whenever something waits and nothing did before; at once, if something does."""
        self._wake = wake
        if self._count:
            wake()

    def add(self, trace_id: bytes, rule: int, threshold: int, erase: bool = False) -> None:
        """Others are to keep this trace."""
        reason, now = (rule, threshold, erase), self.now()
        found = self._filling.get(reason)
        if found is None or now - found.decided > MOMENT or len(found.ids) >= 16 * BATCH:
            found = self._filling[reason] = _Gathered(reason, now)
            self._waiting.append(found)
        found.ids += trace_id
        self._count += 1
        if self._count > MOST:
            self._drop()
        if self._count == 1:
            self._wake()

    def take(self) -> list[KeptBatch]:
        """All that waits and is not too old; it is gone from here then."""
        oldest, batches = self.now() - OLD, []
        for found in self._waiting:
            if found.decided < oldest:
                self.dropped += len(found.ids) // 16
                continue
            rule, threshold, erase = found.reason
            self.told += len(found.ids) // 16
            batches.append(KeptBatch(self._name(rule), threshold, erase, found.decided, bytes(found.ids)))
        self._waiting.clear()
        self._filling.clear()
        self._count = 0
        return batches

    def _drop(self) -> None:
        """Of two that are too many the older one has the worse chances."""
        found = self._waiting.popleft()
        if self._filling.get(found.reason) is found:
            del self._filling[found.reason]
        self._count -= len(found.ids) // 16
        self.dropped += len(found.ids) // 16
