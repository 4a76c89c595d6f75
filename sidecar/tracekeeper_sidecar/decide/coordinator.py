"""Sampling's side of the link to other sidecars: what it reports and tells, and what follows from what it is told.

What another sidecar keeps is kept here, too. It depends on how far the trace is here:

    not known            remembered; whatever comes of it follows
    open                 kept when it is due, or at once where nothing can lower its threshold
    left out, not cut    the verdict is turned over
    left out and cut     the same, and what has been cut is handed to whoever can read it from the log's history
    kept                 nothing

What is told is never told on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.coordination import KeptBatch, Report
from tracekeeper_sidecar.decide.decider import Decider
from tracekeeper_sidecar.decide.rules import Numbers
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import Traces, verdict

logger = logging.getLogger(__name__)

MOST_HANDED = 1 << 16
"""Traces handed to rescue that are remembered as such, at least."""
LONGEST_KEY = 256
"""Characters of a key in a report."""

OnRescue = Callable[[bytes, Position, float], None]
"""Takes traces of which spans were left out: 24 bytes each, as `Traces.pack` makes them; the place up to which the log
has been cut, before which these spans are; and the Unix time at which another sidecar decided to keep them."""


def drop(packed: bytes, until: Position, decided: float) -> None:
    """An OnRescue for where nobody can."""


class State(NamedTuple):
    """What sampling works with at the moment."""

    table: Traces
    until: Position
    """Everything before it has been cut."""


class Coordinator:
    """A `coordination.Hub`. Owned by the stage, on its event loop."""

    def __init__(
        self,
        clock: Clock,
        decider: Decider,
        remembered: Remembered,
        told: Told,
        numbers: Numbers,
        spread: Spread,
        state: Callable[[], State],
        record: Callable[[bytes], None],
        on_rescue: OnRescue,
    ) -> None:
        """`record` takes verdicts, packed, that are to be remembered across restarts."""
        self.met: Counter[str] = Counter(unknown=0, open=0, overturned=0, passed=0, kept=0)
        """Traces that were told of, by what they were here; see `Told.take`."""
        self.handed = Remembered(MOST_HANDED)
        """Traces that were handed to rescue."""
        self._clock, self._decider, self._remembered, self._told = clock, decider, remembered, told
        self._numbers, self._spread, self._state = numbers, spread, state
        self._record, self._on_rescue = record, on_rescue

    def report(self) -> Report | None:
        """See `coordination.Hub`."""
        adaptive, keys = self._decider.adaptive, self._decider.keys
        if adaptive is None or keys is None:
            return None
        self._decider.tick(self._clock.monotonic(), self._clock.now())  # While nothing comes nobody else does it.
        coming = adaptive.coming()
        rates: dict[str, float] = {}
        fewer: dict[str, float] = {}
        for key, rate in adaptive.rates().items():
            # Two that read the same, or have no values, share a name: it divides the target all the same.
            name = ", ".join(keys.names(key))[:LONGEST_KEY]
            if rate > 0.0:
                rates[name] = rates.get(name, 0.0) + rate
                fewer[name] = fewer.get(name, 0.0) + coming[key]
        return Report(rates, adaptive.lowest, {name: rate for name, rate in fewer.items() if rate < rates[name]})

    def kept(self) -> list[KeptBatch]:
        """See `coordination.Hub`."""
        return self._spread.take()

    def call_when_kept(self, wake: Callable[[], None]) -> None:
        """See `coordination.Hub`."""
        self._spread.call_when_kept(wake)

    def on_share(self, share: float, sidecars: int, floor: float) -> None:
        """See `coordination.Hub`. It holds from the next second on."""
        now = self._clock.monotonic()
        if not self._decider.share.grant(now, share, sidecars, floor):
            logger.warning("no part of a target: %r traces a second, %r sidecars, floor %r", share, sidecars, floor)
        self._decider.note_floor(now)

    def on_attached(self, attached: bool) -> None:
        """See `coordination.Hub`."""
        self._spread.listening = self._spread.listening or attached
        self._decider.note_floor(self._clock.monotonic())

    def on_kept(self, batch: KeptBatch) -> None:
        """See `coordination.Hub`."""
        number = self._numbers.number(batch.rule)
        table, until = self._state()
        try:
            keep = verdict(number, batch.threshold, keep=True, erase=batch.erase)
            met = self._told.take(batch.ids, keep, table, self._remembered)
        except ValueError as error:
            logger.warning("what another sidecar keeps is not understood: %s", error)
            return
        self.met["unknown"] += met.unknown
        self.met["kept"] += met.kept
        self.met["passed"] += len(met.passed) // 24
        self.met["overturned"] += (len(met.overturned) - len(met.passed)) // 24
        self.met["open"] += len(met.open_ids) // 16
        decided = met.overturned + self._keep_open(table, met.open_ids, keep)
        if decided:
            self._record(decided)
        if met.passed:
            self.handed.add(met.passed)
            self._on_rescue(met.passed, until, batch.decided)

    def _keep_open(self, table: Traces, ids: bytes, keep: int) -> bytes:
        """Packed, those that are decided with it at once."""
        packed = keep.to_bytes(8)
        each = (ids[at : at + 16] for at in range(0, len(ids), 16))
        return b"".join(
            [
                trace_id + packed
                for trace_id in each
                if self._decider.promise(table, table.find(trace_id), trace_id, keep)
            ]
        )
