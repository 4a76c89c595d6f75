# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Cuts out of a request the spans of traces that are kept; compiled with the types in keep.pxd.

One pass looks for each span's trace and writes what is kept: order, scope and resource stay as they are, byte for byte,
but for the `th` in a span's tracestate, which says with what probability it was kept (see `probability`). No object is
made per span. Where a trace is not decided yet nothing is cut: the request has to wait for it.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from collections.abc import Callable

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.probability import Tracestate
from tracekeeper_sidecar.wire.traces import Traces
from tracekeeper_sidecar.wire.walker import Walker

_RULES = 32
_KEEP = 1 << 62
_ERASE = 1 << 63
_THRESHOLD = (1 << 57) - 1
_RULE = 57
_NONE = -1
_ATTRIBUTE = 9 << 3 | 2
_BLOCKED = -1
_GROWTH = 40
"""Bytes that a span may grow by, at most, with its share of the lengths around it."""
_HELD = 4194304


class Cut:
    """What has become of a request."""

    def __init__(self, body: bytes, kept: int, left_out: list[int]) -> None:
        self.body = body
        """With the spans that are kept alone; the very same request if nothing had to change, empty if none is kept."""
        self.kept = kept
        self.left_out = left_out
        """Spans by the number of the rule that their trace was dropped by."""


class Keep(Walker):
    """Cuts requests, one after the other. For one thread at a time."""

    def __init__(self, table: Traces, unknown: Callable[[bytes], int]) -> None:
        """`unknown` is asked for the verdict on a trace that the table does not have; 0 if there is none yet."""
        Walker.__init__(self)
        self.blocked_by: bytes | None = None
        """After `cut` gave nothing: the id of the trace that is not decided."""
        self._table = table
        self._unknown = unknown
        self._tracestate = Tracestate()
        self._room = self._out = bytearray()
        self._seen = bytearray(64)
        self._written = self._hi = self._lo = self._verdict = self._count = 0
        self._has_last = self._changed = 0
        self._slot = _NONE
        self._run = _NONE
        self._dropped = [0] * 32

    def cut(self, body: bytes) -> Cut | None:
        """The request with the spans that are kept; None while a trace in it is not decided, see `blocked_by`.

        Once it is cut its spans are not counted any more as to be cut, and traces of which it had the last one leave
        the table. Raises ValueError when the body is not protobuf.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        self._prepare(size + total * _GROWTH, 4 * total + 64)
        kept = self._request(body, size)
        found = None
        if kept >= 0:
            written = body
            if self._changed or kept < total:
                written = bytes(memoryview(self._room)[: self._written])
            found = Cut(written, kept, [self._dropped[rule] for rule in range(_RULES)])
            self._settle()
        if len(self._room) > _HELD:
            self._room = self._out = bytearray()
        return found

    def _settle(self) -> None:
        seen = native.halves(self._seen)
        index = 0
        while index < self._count:
            self._table._cut(seen[index])
            index += 1

    def _prepare(self, room: int, seen: int) -> None:
        if len(self._room) < room:
            self._room = bytearray(room)
        self._seen = bytearray(seen)
        self._out = self._room
        self._written = self._count = self._changed = self._has_last = 0
        self.blocked_by = None
        rule = 0
        while rule < _RULES:
            self._dropped[rule] = 0
            rule += 1

    def _request(self, data: bytes, end: int) -> int:
        """Writes what is kept of it, and returns how many spans; _BLOCKED where one is not decided."""
        pos = kept = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                inner = self._part(data, self.value, stop, 10, 1)
                if inner < 0:
                    return _BLOCKED
                kept += inner
            else:
                self._written = native.copy(self._out, self._written, data, pos, stop)
            pos = stop
        if kept == 0:
            self._written = 0
        return kept

    def _part(self, data: bytes, begin: int, end: int, tag: int, level: int) -> int:
        """The same for ResourceSpans (level 1) or ScopeSpans (level 0), with its tag and length."""
        head = self._written
        # Most often the length takes as many bytes as it did, so that what is written need not be moved.
        value = head + 1 + native.varint_size(end - begin)
        self._written = value
        run = pos = begin
        kept = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                if level > 0:
                    inner = self.value
                    self._written = native.copy(self._out, self._written, data, run, pos)
                    run = stop
                    done = self._part(data, inner, stop, 18, 0)
                else:
                    inner = self.value
                    done = self._span(data, inner, stop, run, pos)
                    if self._run >= 0:
                        run = self._run
                if done < 0:
                    return _BLOCKED
                kept += done
            pos = stop
        self._written = native.copy(self._out, self._written, data, run, end)
        if kept == 0:
            self._written = head
            return 0
        size = self._written - value
        actual = head + 1 + native.varint_size(size)
        if actual != value:
            self._written = native.move(self._out, actual, value, self._written)
        native.put_head(self._out, head, tag, size)
        return kept

    def _span(self, data: bytes, begin: int, end: int, run: int, pos: int) -> int:
        """1 if the span at [begin, end), whose tag is at `pos`, is kept, 0 if not, or _BLOCKED. What stands from `run`
        to it is written first if it cannot be copied together with it; `_run` says from where the next ones begin."""
        self._run = _NONE
        trace = self._find(data, begin, end)
        if trace < 0:
            return 1
        if not self._judge(native.word(data, trace), native.word(data, trace + 8)):
            self.blocked_by = bytes(data[trace : trace + 16])
            return _BLOCKED
        if self._slot >= 0:
            self._note()
        if not self._verdict & _KEEP:
            self._dropped[self._verdict >> _RULE & 31] += 1
            self._written = native.copy(self._out, self._written, data, run, pos)
            self._run = end
            self._changed = 1
            return 0
        state = state_end = 0
        state_at = end
        inner = begin
        while inner < end:
            # Half of a span's fields are short attributes.
            if data[inner] == _ATTRIBUTE and inner + 1 < end and data[inner + 1] < 128:
                inner += 2 + data[inner + 1]
                continue
            stop = self.next(data, inner, end)
            if stop < 0:
                return 1
            if self.number == 3 and self.wire == 2:
                state_at = inner
                state = self.value
                state_end = stop
            inner = stop
        size = self._tracestate.write(data, state, state_end, self._verdict & _THRESHOLD, self._verdict & _ERASE != 0)
        if size < 0:
            return 1
        self._written = native.copy(self._out, self._written, data, run, pos)
        self._run = end
        self._changed = 1
        self._rewrite(data, begin, end, state_at, state_end, size)
        return 1

    def _rewrite(self, data: bytes, begin: int, end: int, state_at: int, state_end: int, size: int) -> None:
        """Writes the span with another tracestate, in the place of the one at [state_at, state_end) if it has one."""
        room = self._tracestate.room
        if state_end == 0:
            state_end = end
        total = end - begin - (state_end - state_at)
        if size > 0:
            total += 1 + native.varint_size(size) + size
        at = native.put_head(self._out, self._written, 18, total)
        at = native.copy(self._out, at, data, begin, state_at)
        if size > 0:
            at = native.put_head(self._out, at, 26, size)
            at = native.copy(self._out, at, room, 0, size)
        self._written = native.copy(self._out, at, data, state_end, end)

    def _judge(self, hi: int, lo: int) -> int:
        """Whether the trace is decided; its verdict, and its slot if it has one, are noted."""
        if self._has_last and hi == self._hi and lo == self._lo:
            return 1
        slot = self._table._locate(hi, lo)
        if slot >= 0:
            self._verdict = self._table._verdict_of(slot)
        else:
            self._verdict = self._unknown(hi.to_bytes(8) + lo.to_bytes(8))
        if self._verdict == 0:
            return 0
        self._slot = slot
        self._hi = hi
        self._lo = lo
        self._has_last = 1
        return 1

    def _note(self) -> None:
        seen = native.halves(self._seen)
        seen[self._count] = self._slot
        self._count += 1
