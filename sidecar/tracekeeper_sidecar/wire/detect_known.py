# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What detectors remember of open traces and conversations, within fixed bounds; compiled with the types in
detect_known.pxd.

A trace has a record of its own, with sums. Whatever goes by more than the trace (by an agent, by a call's arguments, by
a span) is one number by a hash of all that. What nobody has touched for half an hour to an hour is forgotten, and what
is the longest untouched before that where there is no room.

A trace's record behind its id, in words of 64 bits: its earliest start and latest end; tokens (48 bits), and answers
that were cut off; calls of models, of tools and of MCP (24, 20, 20); calls of tools that failed one after another, and
at all (10, 20), and the same of MCP; how often each detector has reported (five bits each), two flags, and hand-offs
that nobody has declared. A detector with a second limit has the five bits of one whose reports are counted elsewhere.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import labels, native
from tracekeeper_sidecar.wire.came import Came
from tracekeeper_sidecar.wire.detect_found import CONTEXT, PING_PONG
from tracekeeper_sidecar.wire.detect_span import Said
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.table import Table

IDLE = 1800
"""Seconds after which a trace or a conversation of which nothing more has come is forgotten."""
MOST_TRACES = 16_384
MOST_TALKS = 8_192
MOST_MARKS = 1 << 16
"""Numbers by hashes, and as many again that are older."""

STARTED = 2
ENDED = 3
SPENT = 4
CALLS = 5
FAILED = 6
REPORTED = 7
CONVERSED = 1 << 45
PENDING = 1 << 46
UNDECLARED_BITS = 48
RATE, SHARE = CONTEXT, PING_PONG
"""Places of the reports of tokens by the minute, and of the share of failures."""

_IDLE = IDLE
_SWEEP = 10
_STARTED, _ENDED, _REPORTED = STARTED, ENDED, REPORTED
_LATEST = 0xFFFFFF00
_MOST_LEVEL = 20
_FIVE = 31
_NONE = -1
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_PRIME = 0x9FB21C651E98DF25
_STIR = 0x9E3779B97F4A7C15


class Known(Said):
    """For one thread at a time. Times are Unix seconds."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        """For so many traces, conversations and numbers at most. `seed` is one that nobody knows."""
        Said.__init__(self)
        self.forgotten = 0
        """Traces that had to make room for others."""
        self._traces = Table(traces, seed)
        self._talks = Table(talks, seed ^ 1)
        self._marks = Remembered(marks)
        self._requests = Came(seed ^ 2)
        self._seed = seed
        self._tick = self._swept = self._turned = 0
        self._hi = self._lo = self._mark = 0
        self._slot = _NONE

    @property
    def traces(self) -> int:
        """Traces that are remembered."""
        return int(self._traces.count)

    @property
    def conversations(self) -> int:
        """Conversations that are remembered."""
        return int(self._talks.count)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return int(self._traces.memory) + int(self._talks.memory) + int(self._marks.memory)

    def _set_time(self, now: int) -> None:
        """Forgets what is too old at that time."""
        self._slot = _NONE
        tick = max(0, min(now, _LATEST - _IDLE))
        self._tick = tick
        if self._swept <= tick < self._swept + _SWEEP:
            return
        self._swept = tick
        if not self._turned <= tick < self._turned + _IDLE:
            if not self._turned <= tick < self._turned + 2 * _IDLE:
                self._marks.turn()
            self._turned = tick
            self._turn()
        self._traces._begin()
        slot = self._traces._next(tick)
        while slot >= 0:
            self._traces._leave(slot)
            slot = self._traces._next(tick)
        self._talks._begin()
        slot = self._talks._next(tick)
        while slot >= 0:
            self._talks._leave(slot)
            slot = self._talks._next(tick)

    def _turn(self) -> None:
        """Half an hour is over."""
        self._marks.turn()

    def _known(self, data: bytes) -> int:
        """The slot of the span's trace; -1 if nothing is known of it."""
        hi = native.word(data, self._trace)
        lo = native.word(data, self._trace + 8)
        if self._slot < 0 or hi != self._hi or lo != self._lo:
            self._slot = self._traces._locate(hi, lo)
            self._hi = hi
            self._lo = lo
            self._mark = mixed(hi ^ self._seed, lo)
        return self._slot

    def _open(self, data: bytes) -> int:
        """The slot of the span's trace, which is remembered from now on; its times are those of its spans."""
        slot = self._known(data)
        if slot < 0:
            if self._traces.count >= self._traces.limit:
                self._traces._leave(self._traces._victim())
                self.forgotten += 1
            slot = self._traces._add(self._hi, self._lo, self._tick)
            self._slot = slot
        if self._start != 0 and (
            self._traces._get(slot, _STARTED) == 0 or self._start < self._traces._get(slot, _STARTED)
        ):
            self._traces._set(slot, _STARTED, self._start)
        if self._end > self._traces._get(slot, _ENDED):
            self._traces._set(slot, _ENDED, self._end)
        self._traces._look_at(slot, self._tick + _IDLE)
        return slot

    def _due(self, slot: int, detector: int, seen: int, limit: int) -> int:
        """Whether the detector is to report that it has seen so much in the trace: when it reaches the limit, twice the
        limit, four times the limit, and so on."""
        if seen < limit:
            return 0
        word = self._traces._get(slot, _REPORTED)
        shift = 5 * detector
        level = word >> shift & _FIVE
        if level >= _MOST_LEVEL or seen < limit << level:
            return 0
        while level < _MOST_LEVEL and seen >= limit << level:
            level += 1
        word &= _ALL_64 ^ (_FIVE << shift)
        self._traces._set(slot, _REPORTED, word | level << shift)
        return 1

    def _hashed(self, data: bytes, slot: int, seed: int) -> int:
        """A hash of the slot's text; 0 where there is none."""
        if not self._text(data, slot):
            return 0
        return labels.hashed(data, self._said, self._until, self._seed ^ seed) | 1

    def _counted(self, key: int) -> int:
        """How often this has been asked, this time included."""
        count = self._marks._get(key | 1) + 1
        self._marks._put(key | 1, count)
        return count


def mixed(one: int, other: int) -> int:
    """One word of two, of which neither can be told."""
    found = ((((one * _PRIME) & _ALL_64) ^ other) * _STIR) & _ALL_64
    found ^= found >> 29
    found = (found * _PRIME) & _ALL_64
    return found ^ found >> 32
