# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Folds spans into the summaries of their traces; compiled with the types in fold.pxd.

One pass over a body reads of each span its ids, times, kind, status and flags, and runs on it the tests that conditions
about traces ask for; nothing is kept of the span itself, and no object is made for it. The body has passed the scanner.
Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire import calls, component, native
from tracekeeper_sidecar.wire.calls import Calls
from tracekeeper_sidecar.wire.detected import Detected
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_sidecar.wire.probability import Tracestate
from tracekeeper_sidecar.wire.traces import Traces
from tracekeeper_sidecar.wire.varint import delimited
from tracekeeper_sidecar.wire.walker import Walker
from tracekeeper_spec.condition.code import Code

_SERVER = 2
_CONSUMER = 5
_ERROR = 2
_REMOTE = 0x300
_LOW_32 = 0xFFFFFFFF
_NONE = -1
_ATTRIBUTE = 9 << 3 | 2
_COST, _INPUT, _OUTPUT = component.COST, component.INPUT, component.OUTPUT
_LLM, _EMBEDDING = component.LLM, component.EMBEDDING
_SILENT, _UNKNOWN_SOURCE = calls.SILENT, calls.UNKNOWN
_MOST_TOKENS = calls.MOST_TOKENS

_CRITICAL = delimited(1, b"tracekeeper.priority") + delimited(2, delimited(1, b"critical"))
_CRITICAL_SIZE = len(_CRITICAL)
_DETECTED = delimited(1, b"tracekeeper.detected")
_DETECTED_SIZE = len(_DETECTED)
_IS_CRITICAL, _IS_DETECTED = 1, 2


class Spent(Calls):
    """What a call of a model has cost, and its tokens, as its span says."""

    def __init__(self) -> None:
        Calls.__init__(self)
        self._cost = self._tokens = 0

    def _is_call(self, data: bytes, begin: int, end: int) -> int:
        """Whether the span at [begin, end) calls a model: then nanodollars and tokens are noted, -1 where they are not
        known."""
        if not self._read(data, begin, end):
            return 0
        kind = self._kind_by(data, self._operation_kind(data))
        if kind != _LLM and kind != _EMBEDDING:
            return 0
        said = self._said_price(data)
        self._cost = _NONE
        if said == _SILENT:
            self._cost = self._dollars(data, _COST)
        elif said != _UNKNOWN_SOURCE:
            self._cost = self._nano
        came = self._number(data, _INPUT)
        went = self._number(data, _OUTPUT)
        self._tokens = _NONE
        if (came >= 0 or went >= 0) and came <= _MOST_TOKENS and went <= _MOST_TOKENS:
            self._tokens = max(came, 0) + max(went, 0)
        return 1


class Folder(Walker):
    """Fills a table. For one thread at a time."""

    def __init__(
        self,
        table: Traces,
        span_tests: Sequence[Code] = (),
        root_tests: Sequence[Code] = (),
        keys: Keys | None = None,
        sums: bool = False,
    ) -> None:
        """Test number n of each row sets bit n; at most 32 of each. `sums`: what traces have cost is asked for, or
        tokens."""
        if len(span_tests) > 32 or len(root_tests) > 32:
            raise ValueError(f"{len(span_tests)} tests of spans and {len(root_tests)} of roots; at most 32 of each")
        Walker.__init__(self)
        self.refused = 0
        """Spans of traces for which the table had no room, since it was made."""
        self._table = table
        self._span_tests = [Matcher(code) for code in span_tests]
        self._root_tests = [Matcher(code) for code in root_tests]
        self._spans_tested = len(self._span_tests)
        self._roots_tested = len(self._root_tests)
        self._keys = Keys(()) if keys is None else keys
        self._keyed = keys is not None
        self._spender = Spent()
        self._named_by = Detected()
        self._sums = sums
        self._sizes = self._skipped = 0
        self._note_sizes()
        self._tracestate = Tracestate()
        self._name = self._name_size = self._message = self._message_size = self._code = 0
        self._now = self._hi = self._lo = 0
        self._slot = _NONE
        self._begin = self._end = 0

    def _note_sizes(self) -> None:
        """Which attributes are no test's business, nor can be the one that says that a span is critical."""
        test = 0
        while test < self._spans_tested:
            matcher = self._span_tests[test]
            if matcher._span_keys:
                self._sizes |= matcher.key_sizes
            test += 1
        if self._sizes == 0:
            self._skipped = _CRITICAL_SIZE

    def fold(self, body: bytes, time_ms: int) -> int:
        """Takes in the spans of a request that came at `time_ms` (Unix time, milliseconds), and returns how many.

        Raises ValueError, before anything is taken in, when the body is not protobuf.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        self._now = self._table._tick(time_ms)
        self._slot = _NONE
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if self.number == 1 and self.wire == 2:
                self._resource(body, self.value, stop)
            pos = stop
        return total

    def _resource(self, data: bytes, begin: int, end: int) -> None:
        test = 0
        while test < self._spans_tested:
            matcher = self._span_tests[test]
            matcher.enter(data, begin, end)
            test += 1
        test = 0
        while test < self._roots_tested:
            matcher = self._root_tests[test]
            matcher.enter(data, begin, end)
            test += 1
        self._begin = begin
        self._end = end
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                self._scope(data, self.value, stop)
            pos = stop

    def _scope(self, data: bytes, pos: int, end: int) -> None:
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                self._span(data, self.value, stop)
            pos = stop

    def _span(self, data: bytes, begin: int, end: int) -> None:
        trace = _NONE
        start = finish = kind = flags = 0
        self._code = 0
        root = 1
        marks = 0
        state = state_end = found = found_end = 0
        self._name = self._name_size = self._message = self._message_size = 0
        test = 0
        while test < self._spans_tested:
            matcher = self._span_tests[test]
            matcher.start()
            test += 1
        pos = begin
        while pos < end:
            # Half of a span's fields are short attributes.
            if data[pos] == _ATTRIBUTE and pos + 1 < end and data[pos + 1] < self._skipped:
                pos += 2 + data[pos + 1]
                continue
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            number = self.number
            if self.wire == 2:
                if number == 9:
                    if stop - self.value == _CRITICAL_SIZE and native.same(data, self.value, _CRITICAL, _CRITICAL_SIZE):
                        marks |= _IS_CRITICAL
                    elif stop - self.value > _DETECTED_SIZE and native.same(
                        data, self.value, _DETECTED, _DETECTED_SIZE
                    ):
                        found = self.value
                        found_end = stop
                    if self._sizes and not self.is_unwanted(data, self.value, stop, self._sizes):
                        self._offer(data, self.value, stop)
                elif number == 1:
                    if trace < 0 and stop - self.value == 16:
                        trace = self.value
                elif number == 3:
                    state = self.value
                    state_end = stop
                elif number == 4:
                    root = self.value == stop
                elif number == 5:
                    self._name = self.value
                    self._name_size = stop - self.value
                elif number == 15:
                    self._status(data, self.value, stop)
            elif self.wire == 1:
                if number == 7:
                    start = self.as_fixed(data, self.value)
                elif number == 8:
                    finish = self.as_fixed(data, self.value)
            elif self.wire == 0:
                if number == 6:
                    kind = self.read & _LOW_32
            elif number == 16:
                flags = data[self.value] | data[self.value + 1] << 8
            pos = stop
        if trace < 0:
            return
        if found_end > found and self._is_detected(data, found, found_end):
            marks |= _IS_DETECTED
        slot = self._open(native.word(data, trace), native.word(data, trace + 8))
        if slot < 0:
            self.refused += 1
            return
        rank = 0
        if root:
            rank = 2
        elif flags & _REMOTE == _REMOTE or kind == _SERVER or kind == _CONSUMER:
            rank = 1
        known = self._table._rank(slot)
        came = 0
        if state_end > state:
            self._tracestate.read(data, state, state_end)
            came = self._tracestate.threshold
            if self._tracestate.randomness >= 0:
                self._table._set_randomness(slot, self._tracestate.randomness)
        key = 0
        if self._keyed:
            self._table._came(slot, came)
            if rank > known or self._table._is_new(slot):
                key = self._keys._read(data, self._begin, self._end, begin, end)
                self._table._set_key(slot, key)
        if self._sums and not self._table._verdict_of(slot) and self._spender._is_call(data, begin, end):
            self._table._spend(slot, self._spender._cost, self._spender._tokens)
        tests = 0
        if self._spans_tested:
            tests = self._tested(data, begin, end, slot, kind, start, finish, root)
        status = 0
        if self._code <= _ERROR:
            status = self._code
        self._table._span(slot, start, finish, status == _ERROR, marks, tests)
        if rank > 0 and rank >= known:
            self._table._root(slot, rank, status, self._root_tested(data, begin, end), key)
        self._table._timed(slot, self._now)

    def _is_detected(self, data: bytes, pos: int, end: int) -> int:
        """Whether the KeyValue at [pos, end) names a detector: the key alone anybody may write, and a trace is kept."""
        if self._key_value(data, pos, end) < 0:
            return 0
        return self._named_by._named(data, self._pair_value, self._pair_value_end) != 0

    def _open(self, hi: int, lo: int) -> int:
        """The slot of that trace; -1 if there is no room for it. Spans of a trace often come one after another."""
        if self._slot >= 0 and hi == self._hi and lo == self._lo:
            return self._slot
        slot = self._table._locate(hi, lo)
        if slot < 0:
            slot = self._table._add(hi, lo, self._now)
        self._hi = hi
        self._lo = lo
        self._slot = slot
        return slot

    def _status(self, data: bytes, pos: int, end: int) -> None:
        """Notes the code and the message of the Status at [pos, end)."""
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 3 and self.wire == 0:
                self._code = self.read & _LOW_32
            elif self.number == 2 and self.wire == 2:
                self._message = self.value
                self._message_size = stop - self.value
            pos = stop

    def _offer(self, data: bytes, pos: int, end: int) -> None:
        """Shows an attribute to the tests of spans."""
        test = 0
        while test < self._spans_tested:
            matcher = self._span_tests[test]
            matcher.offer(data, pos, end)
            test += 1

    def _tested(
        self, data: bytes, begin: int, end: int, slot: int, kind: int, start: int, finish: int, root: int
    ) -> int:
        """A bit for each test that holds for the span. What held for another span of the trace is not asked again."""
        known = self._table._tests(slot)
        found = 0
        bit = 1
        test = 0
        while test < self._spans_tested:
            if not known & bit:
                matcher = self._span_tests[test]
                matcher.fill(
                    self._name,
                    self._name_size,
                    self._message,
                    self._message_size,
                    kind,
                    self._code,
                    start,
                    finish,
                    root,
                )
                if matcher._asked(data, begin, end):
                    found |= bit
            bit <<= 1
            test += 1
        return found

    def _root_tested(self, data: bytes, begin: int, end: int) -> int:
        found = 0
        bit = 1
        test = 0
        while test < self._roots_tested:
            matcher = self._root_tests[test]
            if matcher.test(data, begin, end):
                found |= bit
            bit <<= 1
            test += 1
        return found
