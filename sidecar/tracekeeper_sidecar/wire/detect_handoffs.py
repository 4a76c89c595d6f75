# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Detectors of hand-offs: back and forth, round in a ring, and to agents that nobody has declared; compiled with the
types in detect_handoffs.pxd.
"""

from __future__ import annotations

from collections import OrderedDict
from zlib import crc32

from tracekeeper_sidecar.wire import detect_calls, detect_known, detect_span
from tracekeeper_sidecar.wire.detect_found import PING_PONG, RING, UNDECLARED
from tracekeeper_sidecar.wire.detect_known import MOST_MARKS, MOST_TALKS, MOST_TRACES, mixed
from tracekeeper_sidecar.wire.detect_models import Models, hashed

MOST_NAMES = 500
"""Agents whose declarations are known, and those whose hand-offs wait for one."""
MOST_WAITING = 8
"""Hand-offs of an agent that wait until it declares to whom it may."""

_PING_PONG, _UNDECLARED, _RING = PING_PONG, UNDECLARED, RING
_AGENT, _TOOL, _CONVERSATION, _FROM, _TO, _HANDOFFS = (
    detect_span.AGENT, detect_span.TOOL, detect_span.CONVERSATION, detect_span.FROM, detect_span.TO,
    detect_span.HANDOFFS,
)  # fmt: skip
_REPORTED, _UNDECLARED_BITS = detect_known.REPORTED, detect_known.UNDECLARED_BITS
_HANDOFF_CALL = detect_calls.HANDOFF_CALL
_LOW_14, _LOW_16, _LOW_48 = (1 << 14) - 1, (1 << 16) - 1, (1 << 48) - 1
_MOST_TIMES = 60_000
_MOST_LEVEL = 15
_LONGEST = 128
_OF_HANDOFFS, _OF_DECLARED = 14, 15


class Handoffs(Models):
    """For one thread at a time."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        Models.__init__(self, seed, traces, talks, marks)
        self._declared: dict[str, frozenset[str]] = {}
        self._told: OrderedDict[tuple[int, str], frozenset[str]] = OrderedDict()
        """What agents say themselves, by the hash of their service and their name."""
        self._unjudged: OrderedDict[tuple[int, str], tuple[int, list[str]]] = OrderedDict()
        """By the same: the trace, and to whom was handed over in it, while the agent has declared nothing."""

    def _handed_over(self, data: bytes, begin: int, end: int, slot: int) -> None:
        if not self._text(data, _TO):
            return
        to = self._decoded(data, _TO)
        from_ = self._decoded(data, _FROM) or self._decoded(data, _AGENT)
        self._edge(self._who.number(from_), self._who.number(to), _HANDOFF_CALL, 1)
        self._passed(data, begin, end, from_, to, 0)
        self._judge(data, begin, end, slot, from_, to)

    def _transferred(self, data: bytes, begin: int, end: int, slot: int) -> None:
        """A tool that is a hand-off by its name, as LangGraph has them."""
        name, from_ = self._decoded(data, _TOOL), self._decoded(data, _AGENT)
        for back, before in enumerate(("transfer_to_", "transfer_back_to_")):
            if name.startswith(before) and from_:
                to = name[len(before) :]
                self._passed(data, begin, end, from_, to, back)
                self._judge(data, begin, end, slot, from_, to)
                return

    def _passed(self, data: bytes, begin: int, end: int, from_: str, to: str, back: int) -> None:
        """A number has hashes of who has handed over last and to whom, and of who had before that; how often it went on
        like that, whether round in a ring, and how often that was told: three times 14, 16, 1 and 4 bits. Who goes
        `back` to whom has sent it has done as it was told: that goes on with a row, and does not count."""
        whose = self._hashed(data, _CONVERSATION, 1)
        if whose == 0:
            whose = self._mark
        one = mixed(crc32(from_.encode()), 7) % _LOW_14 + 1
        other = mixed(crc32(to.encode()), 7) % _LOW_14 + 1
        key = mixed(whose, _OF_HANDOFFS) | 1
        value = self._marks._get(key)
        last = before = times = ring = 0
        if one == value >> 14 & _LOW_14 and one != other:
            last = value & _LOW_14
            before = value >> 28 & _LOW_14
            if other == last or other == before:
                times = value >> 42 & _LOW_16
                ring = value >> 58 & 1
                if other != last:
                    ring = 1
        level = value >> 59
        if not back and times < _MOST_TIMES:
            times += 1
        limit = self._limits[10]
        if level < _MOST_LEVEL and times >= limit and times >= limit << level:
            while level < _MOST_LEVEL and times >= limit << level:
                level += 1
            self._note(data, begin, end, _PING_PONG, times, limit, from_, to, _RING if ring else 0)
        self._marks._put(key, one | other << 14 | last << 28 | times << 42 | ring << 58 | level << 59)

    # What is declared.

    def _judge(self, data: bytes, begin: int, end: int, slot: int, from_: str, to: str) -> None:
        """Whether the agent may hand over to that one."""
        allowed = self._declared.get(from_)
        if allowed is None:
            allowed = self._told.get((self._service, from_))
        if allowed is None:
            self._wait_for_word(from_, to)
        elif to not in allowed:
            self._undeclared(data, begin, end, slot, from_, to)

    def _undeclared(self, data: bytes, begin: int, end: int, slot: int, from_: str, to: str) -> None:
        word = self._traces._get(slot, _REPORTED)
        count = (word >> _UNDECLARED_BITS) + 1
        if count <= _MOST_TIMES:
            self._traces._set(slot, _REPORTED, word & _LOW_48 | count << _UNDECLARED_BITS)
        if self._due(slot, _UNDECLARED, count, self._limits[11]):
            self._note(data, begin, end, _UNDECLARED, count, self._limits[11], from_, to, 0)

    def _wait_for_word(self, from_: str, to: str) -> None:
        """An agent's span declares, and ends after its hand-offs."""
        key = (self._service, from_)
        trace, names = self._unjudged.get(key, (0, []))
        if trace != self._mark:
            trace, names = self._mark, []
        if len(names) < MOST_WAITING and to not in names:
            names.append(to)
        self._unjudged[key] = trace, names
        self._unjudged.move_to_end(key)
        if len(self._unjudged) > MOST_NAMES:
            self._unjudged.popitem(last=False)

    def _learn(self, data: bytes, begin: int, end: int, slot: int) -> None:
        """An agent says to whom it may hand over: a list of texts. What it says last holds."""
        pos = self._value[_HANDOFFS]
        stop = self._value_end[_HANDOFFS]
        key = mixed(self._hashed(data, _AGENT, 6) ^ self._service, _OF_DECLARED) | 1
        said = hashed(data, pos, stop) | 1
        if self._marks._get(key) == said:
            return
        self._marks._put(key, said)
        names = self._list(data, pos, stop)
        if names is None:
            return
        agent = self._decoded(data, _AGENT)
        own = (self._service, agent)
        self._told[own] = frozenset(names)
        self._told.move_to_end(own)
        if len(self._told) > MOST_NAMES:
            self._told.popitem(last=False)
        trace, waiting = self._unjudged.pop(own, (0, []))
        if trace == self._mark and agent not in self._declared:
            for to in waiting:
                if to not in names:
                    self._undeclared(data, begin, end, slot, agent, to)

    def _list(self, data: bytes, pos: int, end: int) -> list[str] | None:
        """The texts of the AnyValue at [pos, end); None if it is damaged."""
        names: list[str] = []
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return None
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop and len(names) < MOST_NAMES:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return None
                    if self.number == 1 and self.wire == 2 and self._string(data, self.value, after):
                        text = bytes(data[self._said : min(self._until, self._said + _LONGEST)])
                        names.append(text.decode(errors="ignore"))
                    at = after
            pos = stop
        return names
