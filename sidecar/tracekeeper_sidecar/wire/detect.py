# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Looks for agents in trouble: one pass over a request, and no object for a span that shows nothing; compiled with the
types in detect.pxd.

Spans are taken in the order in which they come, which is that in which they end, nearly. What it remembers is in
`detect_known`. Of a request that comes again nothing is counted; what was found in it is found again.
"""

from __future__ import annotations

from collections import OrderedDict

from tracekeeper_sidecar.wire import detect_known, detect_span, labels, native
from tracekeeper_sidecar.wire.detect_found import FAILURES, GAVE_UP, LOOP, MOST_FOUND, Found, Limits, Link
from tracekeeper_sidecar.wire.detect_handoffs import Handoffs
from tracekeeper_sidecar.wire.detect_known import MOST_MARKS, MOST_TALKS, MOST_TRACES, mixed
from tracekeeper_sidecar.wire.detect_models import hashed
from tracekeeper_sidecar.wire.waits import is_to_wait

MOST_KEPT = MOST_FOUND
"""Findings and links that are kept, in case that their requests come again."""
MASKED = b"REDACTED"
"""In what Redact and instrumentations (`__REDACTED__` is OpenInference's) write in place of texts, which may differ."""

_MOST_FOUND = MOST_FOUND
_LOOP, _FAILURES, _GAVE_UP = LOOP, FAILURES, GAVE_UP
_AGENT, _TOOL, _ARGUMENTS, _CONVERSATION, _MCP, _MESSAGES, _HANDOFFS, _DETECTED = (
    detect_span.AGENT, detect_span.TOOL, detect_span.ARGUMENTS, detect_span.CONVERSATION, detect_span.MCP,
    detect_span.MESSAGES, detect_span.HANDOFFS, detect_span.DETECTED,
)  # fmt: skip
_LLM, _EMBEDDING, _TOOLS, _AGENTS = detect_span.LLM, detect_span.EMBEDDING, detect_span.TOOLS, detect_span.AGENTS
_CALLS_WORD, _FAILED, _REPORTED = detect_known.CALLS, detect_known.FAILED, detect_known.REPORTED
_CONVERSED, _IDLE, _SHARE = detect_known.CONVERSED, detect_known.IDLE, detect_known.SHARE
_CLIENT, _SERVER = 3, 2
_ERROR = 2
_NOT_KNOWN, _NEW, _AGAIN = range(3)
_ONE, _LOW_10, _LOW_20 = 1, (1 << 10) - 1, (1 << 20) - 1
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_MOST_RUN = 1000
_OF_LOOPS = 11
_QUOTE, _COLON, _COMMA, _BRACE = 34, 58, 44, 125
_LONGEST = 512
"""Bytes of arguments that are looked through for what only counts attempts."""
_LONGEST_KEY = 16
_COUNTING = frozenset(
    (b"attempt", b"attempts", b"nonce", b"request_id", b"requestId", b"retries", b"retry", b"retry_count", b"timestamp",
     b"tries", b"try")
)  # fmt: skip
"""Keys of arguments whose values differ in calls that are the same."""
_FIRST_LETTERS = sum({1 << (key[0] & 31) for key in _COUNTING})


class Watch(Handoffs):
    """For one thread at a time."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        """Bounds are for tests."""
        Handoffs.__init__(self, seed, traces, talks, marks)
        self.links: list[Link] = []
        """By the last `take`, as `found`."""
        self.foreign: list[tuple[int, int]] = []
        """Where spans were that said already what was detected, when they came."""
        self.again = 0
        """Whether the last request has come before."""
        self.kept = 0
        """Findings and links that are kept in case that their requests come again."""
        self._state = _NOT_KNOWN
        self._spans = self._request = 0
        self._kept: OrderedDict[int, list[Found | Link]] = OrderedDict()
        self._before: dict[int, list[Found | Link]] = {}
        self._linked = 1
        self._trusting = 0
        self._failed_at = 0

    def configure(self, limits: Limits, declared: dict[str, frozenset[str]], linked: bool, trusting: bool) -> None:
        """Look like this from now on. `declared` says to whom an agent may hand over; whoever is `trusting` leaves be
        what spans say already."""
        for place, limit in enumerate(limits):
            self._limits[place] = limit
        self._failed_at = max(1, -(-limits.failed_share * limits.failed_calls // 1000))
        self._declared = declared
        self._linked = linked
        self._trusting = trusting

    def take(self, body: bytes, now: int, spans: int) -> int:
        """Look at a request of so many spans that came at that time (Unix seconds); whether anything is to be written
        on its spans."""
        self.found = []
        self.links = []
        self.foreign = []
        self._set_time(now)
        self._state = _NOT_KNOWN
        self._nth = 0
        self._spans = spans
        size = len(body)
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                self._resource(body, self.value, stop)
            pos = stop
        self.again = self._state == _AGAIN
        if len(self.found) + len(self.links) > 0:
            if self._state == _NEW:
                self._keep_said()
            return 1
        return len(self.foreign) > 0

    def _resource(self, data: bytes, begin: int, end: int) -> None:
        self._enter(data, begin, end)
        self._service = hashed(data, self._said, self._until)
        self._pair = 0
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        break
                    if self.number == 2 and self.wire == 2:
                        self._span(data, self.value, after)
                    at = after
            pos = stop

    def _span(self, data: bytes, begin: int, end: int) -> None:
        if not self._read(data, begin, end):
            return
        self._nth += 1
        if self._value[_DETECTED] >= 0 and not self._trusting:
            self.foreign.append((begin, end))
        if self._state != _NEW:
            if self._state == _NOT_KNOWN:
                self._meet(data)
            if self._state == _AGAIN:
                self._say_again(begin, end)
                return
        kind = self._kind_of(data)
        if kind == 0:
            if self._value[_CONVERSATION] >= 0 and self._is_request():
                self._converse(data, begin, end, self._open(data))
            if self._root and self._known(data) >= 0:
                self._ended(data, begin, end, self._slot)
            if self._waits and self._known(data) >= 0:
                self._came(data, self._slot, kind)
            return
        slot = self._open(data)
        if kind == _LLM or kind == _EMBEDDING:
            self._call(data, begin, end, slot)
        elif kind == _TOOLS:
            self._tool(data, begin, end, slot)
        elif kind == _AGENTS:
            self._invoked(data, begin, end, slot)
        else:
            self._handed_over(data, begin, end, slot)
        if self._waits:
            self._came(data, slot, kind)
        if self._value[_CONVERSATION] >= 0 and (kind == _AGENTS or self._is_request()):
            self._converse(data, begin, end, slot)

    # Requests that come again.

    def _meet(self, data: bytes) -> None:
        """The first span of a request: has this come before?"""
        hi = native.word(data, self._trace)
        lo = native.word(data, self._trace + 8)
        # Its bytes do not tell: steps before may have written more into it than when it came first.
        mark = mixed(mixed(mixed(hi ^ self._seed, lo), native.word(data, self._span_id)), self._end ^ self._spans)
        self._request = mark
        self._state = _NEW
        if self._requests.again(mark):
            self._state = _AGAIN
            self._before = {}
            for said in self._kept.get(mark, ()):
                self._before.setdefault(said.nth, []).append(said)

    def _keep_said(self) -> None:
        said: list[Found | Link] = [*self.found, *self.links]
        if len(said) > MOST_KEPT:
            return
        self.kept -= len(self._kept.pop(self._request, ()))
        self._kept[self._request] = said
        self.kept += len(said)
        while self.kept > MOST_KEPT:
            self.kept -= len(self._kept.popitem(last=False)[1])

    def _say_again(self, begin: int, end: int) -> None:
        for said in self._before.get(self._nth, ()):
            if isinstance(said, Found):
                self.found.append(said._replace(begin=begin, end=end))
            else:
                self.links.append(said._replace(begin=begin, end=end))

    # Tools and agents.

    def _tool(self, data: bytes, begin: int, end: int, slot: int) -> None:
        if self._role == _SERVER:
            return  # The other side of a call that is counted where it is made.
        mcp = self._value[_MCP] >= 0 and self._role == _CLIENT
        words = self._traces._get(slot, _CALLS_WORD)
        shift = 24
        if mcp:
            shift = 44
        calls = words >> shift & _LOW_20
        if calls < _LOW_20:
            calls += 1
            words += _ONE << shift
            self._traces._set(slot, _CALLS_WORD, words)
        self._fanned_out(data, begin, end, slot, words)
        self._result(data, begin, end, slot, mcp, calls)
        name = self._hashed(data, _TOOL, 3)
        if name != 0:
            self._repeated(data, begin, end, slot, mixed(name, mcp), _ARGUMENTS, _TOOL)
        self._calls(data, slot, _TOOLS)
        if self._text(data, _TOOL) and self._until - self._said > 12 and native.same(data, self._said, b"transfer_", 9):
            self._transferred(data, begin, end, slot)

    def _result(self, data: bytes, begin: int, end: int, slot: int, mcp: int, calls: int) -> None:
        """Failures one after another, and at all: 10 and 20 bits, and the same for MCP above."""
        words = self._traces._get(slot, _FAILED)
        shift = 0
        if mcp:
            shift = 30
        run = words >> shift & _LOW_10
        failed = words >> shift + 10 & _LOW_20
        words &= _ALL_64 ^ (_LOW_10 << shift)
        if self._code != _ERROR:
            self._traces._set(slot, _FAILED, words)
            return
        if run < _MOST_RUN:
            run += 1
        if failed < _LOW_20:
            failed += 1
            words += _ONE << shift + 10
        self._traces._set(slot, _FAILED, words | run << shift)
        limits = self._limits
        many = run < limits[7] and calls >= limits[9] and failed * 1000 >= calls * limits[8]
        if self._due(slot, _FAILURES, run, limits[7]):
            self._note(data, begin, end, _FAILURES, run, limits[7], self._decoded(data, _TOOL), "", 0)
            if failed >= self._failed_at:
                self._due(slot, _SHARE, failed, self._failed_at)  # These are told.
        elif many and self._due(slot, _SHARE, failed, self._failed_at):
            tool = self._decoded(data, _TOOL)
            self._note(data, begin, end, _FAILURES, failed, self._failed_at, tool, str(calls), 0)

    def _ended(self, data: bytes, begin: int, end: int, slot: int) -> None:
        """The span is the trace's root, which ends last: were failures the last that tools had to say?"""
        words = self._traces._get(slot, _FAILED)
        run = words & _LOW_10
        if words >> 30 & _LOW_10 > run:
            run = words >> 30 & _LOW_10
        if run >= self._limits[16] and self._due(slot, _FAILURES, run, self._limits[16]):
            self._note(data, begin, end, _FAILURES, run, self._limits[16], "", "", _GAVE_UP)

    def _repeated(self, data: bytes, begin: int, end: int, slot: int, name: int, arguments: int, called: int) -> None:
        """The same call again, maybe. Without arguments, or with none in them, nobody can tell."""
        limit = self._limits[1]
        said = 0
        if self._text(data, arguments) and self._until - self._said > 4:
            if arguments == _ARGUMENTS:
                said = self._signature(data, self._said, self._until)
            else:
                said = self._hashed(data, arguments, 4)
            limit = self._limits[0]
        key = mixed(mixed(self._mark ^ _OF_LOOPS, name ^ self._hashed(data, _AGENT, 5)), said)
        count = self._counted(key)
        if count < limit:
            return
        if said and self._is_meant(data, arguments, called):
            limit = self._limits[1]
        if self._due(slot, _LOOP, count, limit):
            self._note(data, begin, end, _LOOP, count, limit, self._decoded(data, called), "same" if said else "", 0)

    def _signature(self, data: bytes, pos: int, end: int) -> int:
        """A hash of the arguments at [pos, end), JSON mostly, without the values that only tell attempts apart."""
        found = self._seed ^ 4
        if end - pos <= _LONGEST:
            at = native.index(data, _QUOTE, pos, end)
            while at >= 0:
                stop = native.index(data, _QUOTE, at + 1, end)
                if stop < 0:
                    break
                if (
                    stop - at > 3
                    and stop - at <= _LONGEST_KEY
                    and stop + 1 < end
                    and data[stop + 1] == _COLON
                    and _FIRST_LETTERS >> (data[at + 1] & 31) & 1
                    and bytes(data[at + 1 : stop]) in _COUNTING
                ):
                    found = mixed(found, labels.hashed(data, pos, stop, self._seed))
                    pos = stop
                    while pos < end and data[pos] != _COMMA and data[pos] != _BRACE:
                        pos += 1
                    stop = native.index(data, _QUOTE, pos, end)
                at = stop
        return mixed(found, labels.hashed(data, pos, end, self._seed)) | 1

    def _is_meant(self, data: bytes, arguments: int, called: int) -> int:
        """Whether calls with these arguments need not be the same, or are made again and again by those who wait."""
        self._text(data, arguments)
        if MASKED in bytes(data[self._said : self._until]):
            return 1
        return called == _TOOL and is_to_wait(self._decoded(data, _TOOL))

    def _invoked(self, data: bytes, begin: int, end: int, slot: int) -> None:
        self._calls(data, slot, _AGENTS)
        if self._root:
            self._ended(data, begin, end, slot)
        if self._value[_AGENT] < 0:
            return
        self._repeated(data, begin, end, slot, 1, _MESSAGES, _AGENT)
        if self._value[_HANDOFFS] >= 0:
            self._learn(data, begin, end, slot)

    # Conversations.

    def _converse(self, data: bytes, begin: int, end: int, slot: int) -> None:
        """The first time that a trace names its conversation: what was before it?"""
        word = self._traces._get(slot, _REPORTED)
        if word & _CONVERSED or not self._linked:
            return
        self._traces._set(slot, _REPORTED, word | _CONVERSED)
        one = self._hashed(data, _CONVERSATION, 8)
        other = self._hashed(data, _CONVERSATION, 9)
        if one == 0:
            return
        talk = self._talks._locate(one, other)
        if talk < 0:
            if self._talks.count >= self._talks.limit:
                self._talks._leave(self._talks._victim())
            talk = self._talks._add(one, other, self._tick)
        elif self._talks._get(talk, 2) == self._hi and self._talks._get(talk, 3) == self._lo:
            pass
        elif len(self.links) >= _MOST_FOUND:
            self.left += 1
        else:
            trace = int(self._talks._get(talk, 2)).to_bytes(8) + int(self._talks._get(talk, 3)).to_bytes(8)
            self.links.append(Link(begin, end, trace, int(self._talks._get(talk, 4)).to_bytes(8), self._nth))
        self._talks._set(talk, 2, self._hi)
        self._talks._set(talk, 3, self._lo)
        self._talks._set(talk, 4, native.word(data, self._span_id))
        self._talks._look_at(talk, self._tick + _IDLE)
