# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""The open traces: 64 bytes for each, four for when it is due, and some eight in the index; compiled with traces.pxd.

Records lie in slabs and keep their number, the *slot*, until they are removed; see `slabs`. What is due is found by
running over a column of times.

A record, in words of 64 bits: the trace id in two, big-endian; flags (the top byte) over the trace's randomness (56
bits, see `probability`); the earliest start and the latest end; then in halves of 32 bits: when its first span came,
spans, spans in error, which span tests held, which root tests, its key below the lowest threshold that its spans came
with (in 16 bits, see `probability`). A decided trace keeps its verdict where the start was, and counts as spans what is
still to be cut.

A *verdict* is one number: the threshold in the low 57 bits, then five bits for the rule, and two flags; see `verdict`.
"""

from __future__ import annotations

import os

from tracekeeper_sidecar.wire import native, probability
from tracekeeper_sidecar.wire.summary import Summary
from tracekeeper_sidecar.wire.sums import Sums

KEEP = 1 << 62
"""In a verdict: the trace is kept."""
ERASE = 1 << 63
"""In a verdict: it is not kept by probability, so that its spans must not say one."""
THRESHOLD = (1 << 57) - 1
"""In a verdict: its threshold."""
RULES = 32
"""Numbers that the rule in a verdict can have, from 0 on."""
SHUTDOWN = 2**62
"""As the time for `due`: whatever is open."""
_SHUTDOWN = SHUTDOWN

_SLAB = 4096
_SLAB_BITS = 12
_SLABS = 4095
_DUE = _SLAB * 16
_NEVER = 0xFFFFFFFF
_LATEST = 0xBFFFFFFF
_MIDDLE = 0x80000000
_LONGEST = 0x1FFFFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_LOW_56 = 0xFFFFFFFFFFFFFF
_NONE = -1
_ERROR = 2
_MOST = 2**63 - 1

_KEY = 0xFFFF
_CAME = 16
_RANK = 56
_STATUS = 58
_ROOT_BITS = 0xF << 56
_STATUS_BITS = 3 << 58
_CRITICAL = 1 << 60
_DECIDED = 1 << 61
_EXPLICIT = 1 << 62
_PASSED = 1 << 63
_DETECTED = 1 << 63
"""While it is open; the same bit says of a decided one that spans of it have passed."""
_IS_CRITICAL, _IS_DETECTED = 1, 2


def verdict(rule: int, threshold: int, *, keep: bool, erase: bool = False) -> int:
    """What becomes of a trace, as one number, never 0: by which rule (0 to 31), at which threshold (0 to 2**56)."""
    if not 0 <= rule < RULES or not 0 <= threshold <= 1 << 56 or not (keep or threshold):
        raise ValueError(f"rule {rule} at threshold {threshold}; must be 0 to {RULES - 1} and 0 to 2**56, and 0 keeps")
    return threshold | rule << 57 | (KEEP if keep else 0) | (ERASE if erase else 0)


def rule_of(verdict: int) -> int:
    """The number of the rule in a verdict."""
    return verdict >> 57 & RULES - 1


class Traces(Sums):
    """The table. For one thread at a time."""

    def __init__(
        self,
        *,
        wait_ms: int = 30_000,
        quiet_ms: int = 2_000,
        max_spans: int = 100_000,
        early: int = 1,
        limit: int = 4_000_000,
        seed: int | None = None,
    ) -> None:
        Sums.__init__(self, int.from_bytes(os.urandom(8)) if seed is None else seed)
        self.open = 0
        """Traces that are not decided; `count` has these too."""
        self._base = self._based = self._position = 0
        self.configure(wait_ms=wait_ms, quiet_ms=quiet_ms, max_spans=max_spans, early=early, limit=limit)

    def configure(self, *, wait_ms: int, quiet_ms: int, max_spans: int, early: int = 1, limit: int = 4_000_000) -> None:
        """When a trace is due: `wait_ms` after its first span; with a root of rank `early` or higher (3: never)
        `quiet_ms` after the last that came; at once with `max_spans` spans. No more than `limit` traces are held.

        Counts for traces from their next span on."""
        self._wait = min(max(wait_ms, 0), _LONGEST)
        self._quiet = min(max(quiet_ms, 0), _LONGEST)
        self._max_spans = max_spans
        self._early = early
        self._limit = min(limit, _SLABS * _SLAB)

    # For Python.

    def find(self, trace_id: bytes) -> int:
        """The trace's slot, or -1."""
        return self._locate(_word(trace_id, 0), _word(trace_id, 8))

    def insert(self, trace_id: bytes, time_ms: int) -> int:
        """The slot of the trace, which is made if there is none; -1 if the table is full."""
        hi = _word(trace_id, 0)
        lo = _word(trace_id, 8)
        slot = self._locate(hi, lo)
        if slot < 0:
            slot = self._add(hi, lo, self._tick(time_ms))
        return slot

    def decide(self, slot: int, verdict: int) -> None:
        """Settles what becomes of the trace; it stays until its spans have been cut."""
        self._decide(self._checked(slot), verdict)

    def follow(self, slot: int, verdict: int) -> None:
        """The same for a trace of which spans have been cut before, by that verdict."""
        self._decide(self._checked(slot), verdict)
        self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] |= _PASSED

    def verdict(self, slot: int) -> int | None:
        """None while it is open."""
        return self._verdict_of(self._checked(slot)) or None

    def remove(self, slot: int) -> None:
        """Forget the trace; its slot may be given to another."""
        self._remove(self._checked(slot))

    def trace_id(self, slot: int) -> bytes:
        self._checked(slot)
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        return words[at].to_bytes(8) + words[at + 1].to_bytes(8)

    def randomness(self, slot: int) -> int:
        """The trace's R: 56 bits."""
        self._checked(slot)
        return self._random(slot)

    def key(self, slot: int) -> int:
        self._checked(slot)
        return self._key(slot)

    def weight(self, slot: int) -> float:
        """How many traces it stands for, where an earlier sampler took some out; 1 where it has no key."""
        self._checked(slot)
        return probability.stands_for(self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 15] >> _CAME)

    def spans(self, slot: int) -> int:
        self._checked(slot)
        return self._spans(slot)

    def start(self, slot: int) -> int:
        """The earliest start of its spans, Unix time in nanoseconds, while it is open; 0 if none has said any."""
        self._checked(slot)
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 3]

    def summary(self, slot: int) -> Summary:
        """All that is known of the trace. Raises IndexError where there is none."""
        self._checked(slot)
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        top = words[at + 2]
        decided = top & _DECIDED != 0
        return Summary(
            self.trace_id(slot),
            top & _LOW_56,
            0 if decided else words[at + 3],
            words[at + 4],
            self._base + halves[2 * at + 10],
            halves[2 * at + 11],
            halves[2 * at + 12],
            halves[2 * at + 13],
            halves[2 * at + 14],
            top >> _RANK & 3,
            top >> _STATUS & 3,
            top & _CRITICAL != 0,
            halves[2 * at + 15] & _KEY,
            words[at + 3] if decided else None,
        )

    def due(self, now_ms: int, most: int = 4096) -> list[int]:
        """Slots of open traces that are due, at most so many; where it stops the next call goes on. Fewer than `most`
        means that all have been looked at once. Those that are left open come again."""
        found: list[int] = []
        now = _NEVER - 1
        latest = _NEVER - 1
        if now_ms < _SHUTDOWN:
            now = self._tick(now_ms)
            latest = now + self._wait + self._quiet
        # The slab where it begins comes a second time at the end: up to where it began.
        left = self._top
        slab = self._position >> _SLAB_BITS
        at = self._position & (_SLAB - 1)
        if slab >= self._top:
            slab = at = 0
        begin = at
        while left >= 0 and self._top > 0:
            if slab >= self._top:
                slab = 0
            if self._state[slab]:
                halves = self._halves[slab]
                used = self._used[slab]
                if left == 0 and begin < used:
                    used = begin
                while at < used:
                    when = halves[_DUE + at]
                    if when != _NEVER:
                        if when <= now:
                            found.append(slab << _SLAB_BITS | at)
                            if len(found) >= most:
                                self._position = (slab << _SLAB_BITS | at) + 1
                                return found
                        elif when > latest:
                            halves[_DUE + at] = now + self._wait  # The clock was put back.
                    at += 1
            at = 0
            slab += 1
            left -= 1
        return found

    def pack(self, slots: list[int]) -> bytes:
        """Trace id and verdict of these decided traces, 24 bytes each, big-endian: for a journal."""
        out = bytearray(24 * len(slots))
        at = 0
        for slot in slots:
            self._checked(slot)
            words = self._words[slot >> _SLAB_BITS]
            place = (slot & (_SLAB - 1)) * 8
            if not words[place + 2] & _DECIDED:
                raise ValueError(f"the trace in slot {slot} is not decided")
            _put_word(out, at, words[place])
            _put_word(out, at + 8, words[place + 1])
            _put_word(out, at + 16, words[place + 3])
            at += 24
        return bytes(out)

    # For fold, keep and verdict.

    def _span(self, slot: int, start: int, end: int, error: int, marks: int, tests: int) -> None:
        """Counts a span. Of the marks bit 0 is set if it is critical, and bit 1 if something was detected."""
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        if halves[2 * at + 11] != _NEVER:
            halves[2 * at + 11] += 1
        if words[at + 2] & _DECIDED:
            return
        if start != 0 and (words[at + 3] == 0 or start < words[at + 3]):
            words[at + 3] = start
        if end > words[at + 4]:
            words[at + 4] = end
        if error and halves[2 * at + 12] != _NEVER:
            halves[2 * at + 12] += 1
        if marks & _IS_CRITICAL:
            words[at + 2] |= _CRITICAL
        if marks & _IS_DETECTED:
            words[at + 2] |= _DETECTED
        halves[2 * at + 13] |= tests

    def _timed(self, slot: int, now: int) -> None:
        """Says when it is due, now that a span has come."""
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        place = _DUE + (slot & (_SLAB - 1))
        if words[at + 2] & _DECIDED:
            return
        when = halves[2 * at + 10] + self._wait
        if halves[2 * at + 11] >= self._max_spans:
            when = 0
        elif (words[at + 2] >> _RANK & 3) >= self._early and now + self._quiet < when:
            when = now + self._quiet
        halves[place] = when

    def _root(self, slot: int, rank: int, status: int, tests: int, key: int) -> None:
        """Takes a span as the root; of two with the same rank the first one says what the key is, and both are tested,
        and in error if one of them is."""
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        known = words[at + 2] >> _RANK & 3
        if words[at + 2] & _DECIDED or rank < known:
            return
        if rank > known:
            words[at + 2] &= _ALL_64 ^ _ROOT_BITS
            words[at + 2] |= (rank << _RANK) | (status << _STATUS)
            halves[2 * at + 14] = tests
            self._set_key(slot, key)
            return
        halves[2 * at + 14] |= tests
        if status > (words[at + 2] >> _STATUS & 3):
            words[at + 2] &= _ALL_64 ^ _STATUS_BITS
            words[at + 2] |= status << _STATUS

    def _rank(self, slot: int) -> int:
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] >> _RANK & 3

    def _verdict_of(self, slot: int) -> int:
        """0 while it is open."""
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        if words[at + 2] & _DECIDED:
            return words[at + 3]
        return 0

    def _has_passed(self, slot: int) -> int:
        """Whether spans of it have been cut already."""
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] & _PASSED != 0

    def _tests(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 13]

    def _root_tests(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 14]

    def _errors(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 12]

    def _spans(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 11]

    def _key(self, slot: int) -> int:
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 15] & _KEY

    def _random(self, slot: int) -> int:
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] & _LOW_56

    def _is_critical(self, slot: int) -> int:
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] & _CRITICAL != 0

    def _is_detected(self, slot: int) -> int:
        """Whether something was detected in the open trace."""
        return self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] & _DETECTED != 0

    def _status_of(self, slot: int) -> int:
        """That of the root, by its number in OTLP; without a root it is in error if a span is."""
        top = self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2]
        if top >> _RANK & 3:
            return top >> _STATUS & 3
        if self._errors(slot) != 0:
            return _ERROR
        return 0

    def _duration(self, slot: int) -> int:
        """Nanoseconds from its earliest start to its latest end; 0 if these are not known or the wrong way round."""
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        if words[at + 3] == 0 or words[at + 4] <= words[at + 3]:
            return 0
        if words[at + 4] - words[at + 3] > _MOST:
            return _MOST
        return words[at + 4] - words[at + 3]

    def _is_new(self, slot: int) -> int:
        """Whether no span of it is counted yet."""
        return self._halves[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 16 + 11] == 0

    def _set_key(self, slot: int, key: int) -> None:
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 16 + 15
        halves[at] = (halves[at] >> _CAME << _CAME) | key

    def _came(self, slot: int, threshold: int) -> None:
        """A span says that it was kept at this threshold, or none; before it is counted. The lowest is what let the
        trace come: any trace with R above it would have."""
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 16 + 15
        brief = probability.brief(threshold)
        if halves[at - 4] == 0 or brief < halves[at] >> _CAME:
            halves[at] = (halves[at] & _KEY) | (brief << _CAME)

    def _set_randomness(self, slot: int, randomness: int) -> None:
        """What a span says explicitly; the first one counts."""
        words = self._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8 + 2
        if not words[at] & (_EXPLICIT | _DECIDED):
            words[at] &= _ALL_64 ^ _LOW_56
            words[at] |= randomness | _EXPLICIT

    def _decide(self, slot: int, verdict: int) -> None:
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        if not words[at + 2] & _DECIDED:
            self.open -= 1
            words[at + 2] &= _ALL_64 ^ _DETECTED
        words[at + 2] |= _DECIDED
        words[at + 3] = verdict
        halves[_DUE + (slot & (_SLAB - 1))] = _NEVER

    def _cut(self, slot: int) -> None:
        """One span less to be cut; after the last one the trace goes."""
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 16 + 11
        if halves[at] > 1:
            halves[at] -= 1
            self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] |= _PASSED
        else:
            self._remove(slot)

    def _add(self, hi: int, lo: int, now: int) -> int:
        """A new trace, of which no span is counted yet; -1 if there is no room."""
        if self.count >= self._limit:
            return _NONE
        slot = self._enter(hi, lo)
        self.open += 1
        words = self._words[slot >> _SLAB_BITS]
        halves = self._halves[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        words[at + 2] = lo & _LOW_56
        words[at + 3] = words[at + 4] = words[at + 5] = words[at + 6] = words[at + 7] = 0
        halves[2 * at + 10] = now
        self._begin_sums(slot)
        halves[_DUE + (slot & (_SLAB - 1))] = now + self._wait
        return slot

    def _remove(self, slot: int) -> None:
        if not self._words[slot >> _SLAB_BITS][(slot & (_SLAB - 1)) * 8 + 2] & _DECIDED:
            self.open -= 1
        self._leave(slot)

    def _checked(self, slot: int) -> int:
        """`slot`; raises IndexError where there is no trace."""
        slab = slot >> _SLAB_BITS
        at = slot & (_SLAB - 1)
        if slot < 0 or slab >= self._top or self._state[slab] == 0 or at >= self._used[slab]:
            raise IndexError(f"no trace in slot {slot}")
        if self._halves[slab][_DUE + at] == _NEVER and not self._words[slab][at * 8 + 2] & _DECIDED:
            raise IndexError(f"no trace in slot {slot}")
        return slot

    # Times: in milliseconds since a base that lies 25 days back when it is set.

    def _tick(self, time_ms: int) -> int:
        time = time_ms - self._base
        if not self._based or time < 0 or time > _LATEST:
            self._rebase(time_ms)
            time = _MIDDLE
        return time

    def _rebase(self, time_ms: int) -> None:
        shift = time_ms - _MIDDLE - self._base
        self._base += shift
        self._based = 1
        slab = 0
        while slab < self._top:
            at = 0
            while self._state[slab] and at < self._used[slab]:
                halves = self._halves[slab]
                halves[at * 16 + 10] = _within(halves[at * 16 + 10] - shift)
                if halves[_DUE + at] != _NEVER:
                    halves[_DUE + at] = _within(halves[_DUE + at] - shift)
                at += 1
            slab += 1


def _within(time: int) -> int:
    return min(max(time, 0), _LATEST)


def _word(data: bytes, at: int) -> int:
    """Half of a trace id. Raises ValueError where it is not there."""
    if len(data) < at + 8:
        raise ValueError(f"{len(data)} bytes; a trace id has 16")
    return native.word(data, at)


def _put_word(out: bytearray, at: int, value: int) -> None:
    shift = 56
    while shift >= 0:
        out[at] = value >> shift & 255
        at += 1
        shift -= 8
