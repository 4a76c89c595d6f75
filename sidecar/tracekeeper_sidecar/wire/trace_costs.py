# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What the calls of open traces have cost so far; compiled with the types in trace_costs.pxd."""

from __future__ import annotations

from tracekeeper_sidecar.wire.table import Table

MOST = 20_000
"""Traces whose calls are added up at a time."""
IDLE = 3600
"""Seconds after its last call for which the sum of a trace is remembered."""
_MOST, _IDLE = MOST, IDLE
_SWEEP = 60
_SUM = 2
"""Word of nanodollars, which goes no further than it can."""
_CALLS = 3
"""Word of calls with a price, and from bit 32 on of those without."""
_GREATEST = 2**63 - 1
_LOW_32 = 0xFFFFFFFF
_NONE = -1


class TraceCosts:
    """For one thread at a time."""

    def __init__(self, seed: int) -> None:
        """With a `seed` that nobody knows, no choice of ids makes it slow."""
        self.table = Table(_MOST, seed)
        self.forgotten = 0
        """Traces whose sum went for want of room."""
        self._tick = self._swept = 0
        self._hi = self._lo = 0
        self._slot = _NONE

    @property
    def count(self) -> int:
        """Traces whose calls are added up."""
        return int(self.table.count)

    def begin(self, second: int) -> int:
        """Before a request that came in that second (Unix time)."""
        self._tick = min(second, _LOW_32 - _IDLE - 1)
        self._slot = _NONE
        if self._tick > self._swept + _SWEEP or self._tick < self._swept:
            self._sweep()
        return 0

    def add(self, hi: int, lo: int, priced: int, cost: int) -> int:
        """A call of that trace has cost so many nanodollars, or has no price."""
        slot = self._slot
        if slot < 0 or hi != self._hi or lo != self._lo:  # Calls of a trace often come one after another.
            slot = self._open(hi, lo)
        if priced:
            self.table._set(slot, _SUM, min(self.table._get(slot, _SUM) + cost, _GREATEST))
            self.table._set(slot, _CALLS, self.table._get(slot, _CALLS) + 1)
        else:
            self.table._set(slot, _CALLS, self.table._get(slot, _CALLS) + (1 << 32))
        return 0

    def find(self, hi: int, lo: int) -> int:
        """Where that trace is, for `sum_of`, `priced` and `unknown`; -1 where it has no call."""
        if self.table.count == 0:
            return _NONE
        return self.table._locate(hi, lo)

    def sum_of(self, slot: int) -> int:
        """Nanodollars of its calls that have a price."""
        return self.table._get(slot, _SUM)

    def priced(self, slot: int) -> int:
        """How many these are."""
        return self.table._get(slot, _CALLS) & _LOW_32

    def unknown(self, slot: int) -> int:
        """How many have none."""
        return self.table._get(slot, _CALLS) >> 32

    def _open(self, hi: int, lo: int) -> int:
        slot = self.table._locate(hi, lo)
        if slot < 0:
            if self.table.count >= self.table.limit:
                self.table._leave(self.table._victim())
                self.forgotten += 1
            slot = self.table._add(hi, lo, self._tick + _IDLE)
        self.table._look_at(slot, self._tick + _IDLE)
        self._hi = hi
        self._lo = lo
        self._slot = slot
        return slot

    def _sweep(self) -> int:
        """Forgets the traces of which nothing has come for long."""
        self._swept = self._tick
        self.table._begin()
        slot = self.table._next(self._tick)
        while slot >= 0:
            self.table._leave(slot)
            slot = self.table._next(self._tick)
        return 0
