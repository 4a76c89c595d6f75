# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Looks for agents in trouble: one pass over a request, and no object for a span that shows nothing; compiled with the
types in detect.pxd.

Spans are taken in the order in which they come, which is that in which they end, nearly. What it remembers is in
`detect_known`.
"""

from __future__ import annotations

from collections import OrderedDict

from tracekeeper_sidecar.wire import detect_calls, detect_known, detect_span, labels, native
from tracekeeper_sidecar.wire.detect_calls import Calls
from tracekeeper_sidecar.wire.detect_found import (
    CONTEXT,
    CUT_OFF,
    FAILURES,
    FAN_OUT,
    LOOP,
    MODEL,
    PING_PONG,
    TOKENS,
    UNDECLARED,
    Found,
    Limits,
    Link,
)
from tracekeeper_sidecar.wire.detect_known import MOST_MARKS, MOST_TALKS, MOST_TRACES, mixed
from tracekeeper_sidecar.wire.models import same_model

MOST_NAMES = 500
"""Agents whose hand-offs are known, and models whose answers are."""

_LOOP, _CONTEXT, _TOKENS, _FAILURES, _PING_PONG = LOOP, CONTEXT, TOKENS, FAILURES, PING_PONG
_UNDECLARED, _FAN_OUT, _CUT_OFF = UNDECLARED, FAN_OUT, CUT_OFF
_AGENT, _TOOL, _ARGUMENTS, _CONVERSATION = (
    detect_span.AGENT, detect_span.TOOL, detect_span.ARGUMENTS, detect_span.CONVERSATION
)  # fmt: skip
_INPUT, _OUTPUT, _ASKED, _ANSWERED, _REASONS = (
    detect_span.INPUT, detect_span.OUTPUT, detect_span.ASKED, detect_span.ANSWERED, detect_span.REASONS
)  # fmt: skip
_PROVIDER, _REPEATED, _MCP, _MESSAGES = (
    detect_span.PROVIDER, detect_span.REPEATED, detect_span.MCP, detect_span.MESSAGES
)  # fmt: skip
_FROM, _TO, _HANDOFFS = detect_span.FROM, detect_span.TO, detect_span.HANDOFFS
_LLM, _EMBEDDING, _TOOLS, _AGENTS, _HANDS_OVER = (
    detect_span.LLM, detect_span.EMBEDDING, detect_span.TOOLS, detect_span.AGENTS, detect_span.HANDS_OVER
)  # fmt: skip
_STARTED, _ENDED, _SPENT, _CALLS_WORD, _FAILED, _REPORTED = (
    detect_known.STARTED, detect_known.ENDED, detect_known.SPENT, detect_known.CALLS, detect_known.FAILED,
    detect_known.REPORTED,
)  # fmt: skip
_CONVERSED, _PENDING, _UNDECLARED_BITS, _IDLE = (
    detect_known.CONVERSED, detect_known.PENDING, detect_known.UNDECLARED_BITS, detect_known.IDLE
)  # fmt: skip
_HANDOFF_CALL = detect_calls.HANDOFF_CALL
_CLIENT, _SERVER = 3, 2
_ERROR = 2
_NONE = -1
_MINUTE = 60_000_000_000
_ONE, _LOW_10, _LOW_20, _LOW_24 = 1, (1 << 10) - 1, (1 << 20) - 1, (1 << 24) - 1
_LOW_28, _LOW_48 = (1 << 28) - 1, (1 << 48) - 1
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_MOST_RUN = 1000
_LONGEST_NAME = 256
_OF_LOOPS, _OF_CONTEXT, _OF_MODELS, _OF_HANDOFFS, _OF_DECLARED = 11, 12, 13, 14, 15


class Watch(Calls):
    """For one thread at a time."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        """Bounds are for tests."""
        Calls.__init__(self, seed, traces, talks, marks)
        self.found: list[Found] = []
        """By the last `take`. So are the links."""
        self.links: list[Link] = []
        self._limits = [0] * 16
        self._linked = 1
        self._declared: dict[str, frozenset[str]] = {}
        self._told: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._answers: OrderedDict[int, str] = OrderedDict()
        self._pair = self._service = 0
        self._failed_at = 0

    def configure(self, limits: Limits, declared: dict[str, frozenset[str]], linked: bool) -> None:
        """Look like this from now on. `declared` says to whom an agent may hand over."""
        for place, limit in enumerate(limits):
            self._limits[place] = limit
        self._failed_at = max(1, -(-limits.failed_share * limits.failed_calls // 1000))
        self._declared = declared
        self._linked = linked

    def take(self, body: bytes, now: int) -> int:
        """Look at a request that came at that time (Unix seconds); whether anything was found, or is to be linked."""
        self.found = []
        self.links = []
        self._set_time(now)
        size = len(body)
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                self._resource(body, self.value, stop)
            pos = stop
        return len(self.found) + len(self.links) > 0

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
        kind = self._kind_of(data)
        if kind == 0:
            if self._value[_CONVERSATION] >= 0 and self._is_request():
                self._converse(data, begin, end, self._open(data))
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

    def _note(
        self, data: bytes, begin: int, end: int, detector: int, seen: int, limit: int, subject: str, other: str
    ) -> None:
        agent = self._decoded(data, _AGENT)
        self.found.append(Found(begin, end, self._end, detector, seen, limit, agent, subject, other))

    # Calls of models.

    def _call(self, data: bytes, begin: int, end: int, slot: int) -> None:
        limits = self._limits
        words = self._traces._get(slot, _CALLS_WORD)
        if words & _LOW_24 < _LOW_24:
            words += 1
            self._traces._set(slot, _CALLS_WORD, words)
        self._fanned_out(data, begin, end, slot, words)
        if self._value[_ANSWERED] >= 0:
            self._answered(data, begin, end)
        asked = self._tokens(data, _INPUT)
        answered = self._tokens(data, _OUTPUT)
        if self._value[_REASONS] >= 0 and self._is_cut_off(data):
            if answered < 0 or answered >= limits[15]:
                self._cut_off(data, begin, end, slot)
        if self._value[_REPEATED] >= 0 or (asked < 0 and answered < 0):
            return
        word = self._traces._get(slot, _SPENT)
        spent = word & _LOW_48
        if asked > 0:
            spent += asked
        if answered > 0:
            spent += answered
        spent = min(spent, _LOW_48)
        self._traces._set(slot, _SPENT, word & (_ALL_64 ^ _LOW_48) | spent)
        if spent >= limits[5] and self._due(slot, _TOKENS, spent, limits[5]):
            self._note(data, begin, end, _TOKENS, spent, limits[5], "", "")
        elif spent >= limits[6]:
            took = self._traces._get(slot, _ENDED) - self._traces._get(slot, _STARTED)
            if self._traces._get(slot, _ENDED) <= self._traces._get(slot, _STARTED) or took < _MINUTE:
                took = _MINUTE
            rate = int(float(spent) * 60e9 / float(took))
            if self._due(slot, _TOKENS, rate, limits[6]):
                self._note(data, begin, end, _TOKENS, rate, limits[6], "minute", "")
        if asked > 0 and asked * 16 >= limits[2]:
            self._grown(data, begin, end, slot, asked)

    def _fanned_out(self, data: bytes, begin: int, end: int, slot: int, words: int) -> None:
        calls = words >> 24 & _LOW_20
        if words >> 44 > calls:
            calls = words >> 44
        calls += words & _LOW_24
        if calls >= self._limits[12] and self._due(slot, _FAN_OUT, calls, self._limits[12]):
            self._note(data, begin, end, _FAN_OUT, calls, self._limits[12], "", "")

    def _grown(self, data: bytes, begin: int, end: int, slot: int, asked: int) -> None:
        """A number has where growth began, the last input, and how often it has grown since: 28, 28 and 8 bits."""
        limits = self._limits
        whose = self._hashed(data, _CONVERSATION, 1)
        if whose == 0:
            whose = self._mark
        key = mixed(mixed(whose, self._hashed(data, _AGENT, 2) ^ self._service), _OF_CONTEXT) | 1
        asked = min(asked, _LOW_28)
        value = self._marks._get(key)
        first = value & _LOW_28
        last = value >> 28 & _LOW_28
        times = value >> 56
        if last == 0 or asked * 10 < last * 11:
            first = asked
            times = 0
        elif times < 250:
            times += 1
        self._marks._put(key, first | asked << 28 | times << 56)
        if times >= limits[4] and asked >= limits[2] and asked * 1000 >= first * limits[3]:
            if self._due(slot, _CONTEXT, asked, limits[2]):
                self._note(data, begin, end, _CONTEXT, asked, limits[2], str(first), str(times))

    def _is_cut_off(self, data: bytes) -> int:
        """Whether one of the reasons says that the answer had become too long."""
        pos = self._value[_REASONS]
        end = self._value_end[_REASONS]
        if self._string(data, pos, end):
            return self._is_too_long(data)
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return 0
                    if self.number == 1 and self.wire == 2 and self._string(data, self.value, after):
                        if self._is_too_long(data):
                            return 1
                    at = after
            pos = stop
        return 0

    def _is_too_long(self, data: bytes) -> int:
        return (
            self._is(data, b"length", 6)
            or self._is(data, b"max_tokens", 10)
            or self._is(data, b"MAX_TOKENS", 10)
            or self._is(data, b"max_output_tokens", 17)
        )

    def _cut_off(self, data: bytes, begin: int, end: int, slot: int) -> None:
        spent = self._traces._get(slot, _SPENT)
        count = (spent >> 48) + 1
        if count <= 60_000:
            self._traces._set(slot, _SPENT, spent & _LOW_48 | count << 48)
        if self._due(slot, _CUT_OFF, count, self._limits[14]):
            self._note(data, begin, end, _CUT_OFF, count, self._limits[14], self._decoded(data, _ANSWERED), "")

    def _answered(self, data: bytes, begin: int, end: int) -> None:
        """A number has a hash of the model that has answered, and how often it has changed: 48 and 16 bits."""
        if self._limits[13] != 1 or not self._text(data, _ANSWERED):
            return
        answered = hashed(data, self._said, self._until)
        at = self._said
        size = self._until - at
        if not self._text(data, _ASKED) or size > _LONGEST_NAME or self._until - self._said > _LONGEST_NAME:
            return
        asked = hashed(data, self._said, self._until)
        pair = asked ^ answered >> 1
        if pair == self._pair:
            return  # As the call before.
        self._pair = pair
        key = mixed(asked ^ self._seed, self._service ^ _OF_MODELS) | 1
        value = self._marks._get(key)
        if value & _LOW_48 == answered & _LOW_48 and value != 0:
            return
        if value == 0 and asked == answered and size == self._until - self._said:
            self._marks._put(key, answered & _LOW_48 | 1 << 48)
            self._remember_answer(key, bytes(data[at : at + size]))
            return
        self._other_model(data, begin, end, key, value, answered & _LOW_48)

    def _remember_answer(self, key: int, name: bytes) -> None:
        self._answers[key] = name.decode(errors="replace")
        self._answers.move_to_end(key)
        if len(self._answers) > MOST_NAMES:
            self._answers.popitem(last=False)

    def _other_model(self, data: bytes, begin: int, end: int, key: int, value: int, answered: int) -> None:
        """Another model has answered than the one before, or than the one that was asked."""
        asked_name, name = self._decoded(data, _ASKED), self._decoded(data, _ANSWERED)
        before = self._answers.get(key, "")
        count = value >> 48
        if value == 0:
            before = asked_name
            # What is asked for at Azure is the name of a deployment, which says nothing of the model.
            changed = not self._decoded(data, _PROVIDER).startswith("azure") and not same_model(asked_name, name)
            count = 1
        else:
            changed = before != "" and before != name
            if asked_name in (before, name) and same_model(before, name):
                changed = False  # Some answers say which version it is, and some do not.
                if name == asked_name:
                    return
        if changed:
            count = min(count + 1, 60_000)
        self._marks._put(key, answered | count << 48)
        self._remember_answer(key, name.encode())
        changes = count - 1
        if changed and changes & (changes - 1) == 0:
            self._note(data, begin, end, MODEL, changes, 1, before, name)

    # Tools, agents, and hand-offs.

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
        if self._due(slot, _FAILURES, run, self._limits[7]):
            self._note(data, begin, end, _FAILURES, run, self._limits[7], self._decoded(data, _TOOL), "")
        elif calls >= self._limits[9] and failed * 1000 >= calls * self._limits[8]:
            if self._due(slot, _FAILURES, failed, self._failed_at):
                self._note(data, begin, end, _FAILURES, failed, self._failed_at, self._decoded(data, _TOOL), str(calls))

    def _repeated(self, data: bytes, begin: int, end: int, slot: int, name: int, arguments: int, called: int) -> None:
        """The same call again, maybe. Without arguments, or with none in them, nobody can tell."""
        limit = self._limits[1]
        said = 0
        if self._text(data, arguments) and self._until - self._said > 4:
            said = self._hashed(data, arguments, 4)
            limit = self._limits[0]
        key = mixed(mixed(self._mark ^ _OF_LOOPS, name ^ self._hashed(data, _AGENT, 5)), said)
        count = self._counted(key)
        if self._due(slot, _LOOP, count, limit):
            self._note(data, begin, end, _LOOP, count, limit, self._decoded(data, called), "same" if said else "")

    def _invoked(self, data: bytes, begin: int, end: int, slot: int) -> None:
        self._calls(data, slot, _AGENTS)
        if self._value[_AGENT] < 0:
            return
        self._repeated(data, begin, end, slot, 1, _MESSAGES, _AGENT)
        if self._value[_HANDOFFS] >= 0:
            self._learn(data)

    def _handed_over(self, data: bytes, begin: int, end: int, slot: int) -> None:
        if not self._text(data, _TO):
            return
        to = self._decoded(data, _TO)
        from_ = self._decoded(data, _FROM) or self._decoded(data, _AGENT)
        self._edge(self._who.number(from_), self._who.number(to), _HANDOFF_CALL, 1)
        self._passed(data, begin, end, slot, from_, to)

    def _transferred(self, data: bytes, begin: int, end: int, slot: int) -> None:
        """A tool that is a hand-off by its name, as LangGraph has them."""
        name, from_ = self._decoded(data, _TOOL), self._decoded(data, _AGENT)
        for before in ("transfer_to_", "transfer_back_to_"):
            if name.startswith(before) and from_:
                self._passed(data, begin, end, slot, from_, name[len(before) :])
                return

    def _passed(self, data: bytes, begin: int, end: int, slot: int, from_: str, to: str) -> None:
        """A number has hashes of who has handed over last and to whom, and how often back and forth: 24, 24 and 16
        bits."""
        whose = self._hashed(data, _CONVERSATION, 1)
        if whose == 0:
            whose = self._mark
        one = mixed(hash(from_) & _ALL_64, 7) & _LOW_24
        other = mixed(hash(to) & _ALL_64, 7) & _LOW_24
        key = mixed(whose, _OF_HANDOFFS) | 1
        value = self._marks._get(key)
        times = 1
        if value & _LOW_24 == other and value >> 24 & _LOW_24 == one and one != other:
            times = min((value >> 48) + 1, 60_000)
        self._marks._put(key, one | other << 24 | times << 48)
        if self._due(slot, _PING_PONG, times, self._limits[10]):
            self._note(data, begin, end, _PING_PONG, times, self._limits[10], from_, to)
        allowed = self._declared.get(from_)
        if allowed is None:
            allowed = self._told.get(from_)
        if allowed is not None and to not in allowed:
            word = self._traces._get(slot, _REPORTED)
            count = (word >> _UNDECLARED_BITS) + 1
            if count <= 60_000:
                self._traces._set(slot, _REPORTED, word & _LOW_48 | count << _UNDECLARED_BITS)
            if self._due(slot, _UNDECLARED, count, self._limits[11]):
                self._note(data, begin, end, _UNDECLARED, count, self._limits[11], from_, to)

    def _learn(self, data: bytes) -> None:
        """An agent says to whom it may hand over: a list of texts. The first that it says in half an hour holds."""
        pos = self._value[_HANDOFFS]
        end = self._value_end[_HANDOFFS]
        key = mixed(self._hashed(data, _AGENT, 6), _OF_DECLARED) | 1
        said = hashed(data, pos, end) | 1
        if self._marks._get(key) == said:
            return
        self._marks._put(key, said)
        agent = self._decoded(data, _AGENT)
        names: list[str] = []
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop and len(names) < MOST_NAMES:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return
                    if self.number == 1 and self.wire == 2 and self._string(data, self.value, after):
                        names.append(
                            bytes(data[self._said : min(self._until, self._said + 128)]).decode(errors="ignore")
                        )
                    at = after
            pos = stop
        self._told[agent] = frozenset(names)
        self._told.move_to_end(agent)
        if len(self._told) > MOST_NAMES:
            self._told.popitem(last=False)

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
        elif self._talks._get(talk, 2) != self._hi or self._talks._get(talk, 3) != self._lo:
            trace = int(self._talks._get(talk, 2)).to_bytes(8) + int(self._talks._get(talk, 3)).to_bytes(8)
            self.links.append(Link(begin, end, trace, int(self._talks._get(talk, 4)).to_bytes(8)))
        self._talks._set(talk, 2, self._hi)
        self._talks._set(talk, 3, self._lo)
        self._talks._set(talk, 4, native.word(data, self._span_id))
        self._talks._look_at(talk, self._tick + _IDLE)


def hashed(data: bytes, pos: int, end: int) -> int:
    """64 bits for what is at [pos, end); 0 where there is nothing."""
    if pos >= end:
        return 0
    return labels.hashed(data, pos, end, 10)
