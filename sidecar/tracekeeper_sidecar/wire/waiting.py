# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What waits to be counted, with its trace; compiled with the types in waiting.pxd.

A request waits until its trace is quiet: how many calls it has made is known only then. What no agent is named for
waits for the agent's span, whose child it is, because that ends later; or until the trace is quiet, and is the one
agent's then that the trace has had; or a minute. What finds no room in memory is counted as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracekeeper_sidecar.wire import component, held, layout, table
from tracekeeper_sidecar.wire.counts import LABELS, Counts
from tracekeeper_sidecar.wire.held import Held
from tracekeeper_sidecar.wire.rows import Family
from tracekeeper_sidecar.wire.table import Table, put_word

TICK = 250
"""Milliseconds."""
SINCE = 1_577_836_800_000
"""Unix time in milliseconds at which ticks begin: 2020."""
_TICK, _SINCE = TICK, SINCE
MOST_TRACES = 20_000
MOST_HELD = 16_384
_EVERYTHING, _CHILDREN = 0, 1
_NONE = -1
_LOW_32 = 0xFFFFFFFF
_LATEST = 0xFFFFFFF0
_QUIET, _WAIT, _LONGEST_WAIT, _IDLE = 8, 40, 240, 7200
"""In ticks: after a request's last span, after the last one of a trace whose request has not come, that something is
held, and after which a trace has ended."""
_LONGEST_CHAIN = 1000
_SLAB = 4096
_SLAB_BITS = 12
LAST_KIND = component.WORKFLOWS
"""The last kind of components that the version before knows: it takes no record of another."""
_LAST_KIND = LAST_KIND
_OTHER = component.OTHER
_KIND_BYTE = 8 * layout.KEY + 2
_MILLISECONDS = 1_000_000
"""Nanoseconds in one."""
_LONGEST = 2_592_000_000_000_000
"""Nanoseconds that a trace takes: 30 days."""
_OF_TRACE = ("service", "agent", "workflow")
_OF_KEY = ("service", "agent", "", "operation", "provider", "model", "", "error_type")
_OF_MORE = ("", "tool", "workflow", "reason")
"""Labels by their bytes in `layout.WHO`, `layout.KEY` and `layout.MORE`."""


class Waiting(Counts):
    """For one thread at a time. Times are Unix milliseconds."""

    def __init__(self, families: Mapping[str, Family], seed: int) -> None:
        """As in Counts."""
        Counts.__init__(self, families, seed)
        self._traces = Table(MOST_TRACES, seed ^ 1)
        self._held = Held(MOST_HELD)
        self._spare = [0] * 16
        self._names: dict[int, tuple[str, ...]] = {}
        """User, project, conversation and environment of held calls, by their place, while somebody wants to know."""
        self.later_kinds: list[tuple[int, int]] = []
        """Of what was packed last: where a kind is that the version before does not know, and which. There it is
        `other`, as it is for that version."""
        self._hi = self._lo = 0
        self._slot = _NONE

    @property
    def open_traces(self) -> int:
        """Traces of which more may come."""
        return int(self._traces.count)

    @property
    def held(self) -> int:
        """Records that wait."""
        return int(self._held.count)

    def settle(self, time_ms: int, everything: bool = False) -> int:
        """Count what has waited long enough at that time, or all of it; returns how many traces have ended."""
        self._set_time(time_ms)
        self._slot = _NONE
        until = self._tick
        if everything:
            until = _LATEST
        ended = 0
        self._traces._begin()
        slot = self._traces._next(until)
        while slot >= 0:
            ended += self._look(slot, everything)
            slot = self._traces._next(until)
        self._talks._begin()
        slot = self._talks._next(self._tick)
        while slot >= 0:
            self._end_talk(slot)
            slot = self._talks._next(self._tick)
        return ended

    def _set_time(self, time_ms: int) -> None:
        tick = (max(time_ms, _SINCE) - _SINCE) // _TICK
        self._tick = min(tick, _LATEST // 2)

    def _plan(self, slot: int) -> None:
        """When the trace is to be looked at."""
        words = self._traces._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        times = words[at + layout.TIMES]
        when = (times >> 32) + _IDLE
        if words[at + layout.WHO] >> 24 & layout.REQUESTED:
            when = (times >> 32) + _QUIET
        elif words[at + layout.CHAIN] != 0:
            when = (times >> 32) + _WAIT
        times &= _LOW_32
        if times != 0 and times + _LONGEST_WAIT < when:
            when = times + _LONGEST_WAIT
        self._traces._look_at(slot, when)

    def _hold(self, slot: int) -> None:
        """Lets the record wait with its trace; where there is no room it is counted as it is."""
        chain = self._traces._get(slot, layout.CHAIN)
        place = _NONE
        if chain >> 32 < _LONGEST_CHAIN:
            place = self._held._take()
        if place < 0:
            who = self._traces._get(slot, layout.WHO)
            self._count(self._agent_of(who), who >> 16 & 255, self._hi, self._lo)
            return
        word = 1
        while word < layout.WIDTH:
            self._held._words[place * layout.WIDTH + word] = self._record[word]
            word += 1
        self._held._words[place * layout.WIDTH] = chain & _LOW_32
        self._traces._set(slot, layout.CHAIN, (chain >> 32) + 1 << 32 | place + 1)
        times = self._traces._get(slot, layout.TIMES)
        if times & _LOW_32 == 0:
            self._traces._set(slot, layout.TIMES, times | self._tick)
        if self._note is not None and self._record[layout.MORE] & layout.IS_CALL:
            self._names[place] = self._said_by

    def _agent_of(self, who: int) -> int:
        """For whom something was done that nobody is named for."""
        if self._record[layout.MORE] & layout.IS_REQUEST or not who >> 24 & layout.SEVERAL:
            return who >> 8 & 255
        return 0

    def _release(self, slot: int, which: int, agent: int) -> None:
        """Counts what is held: what the span in `_spare` is the parent of (_CHILDREN), or everything."""
        who = self._traces._get(slot, layout.WHO)
        hi = self._traces._get(slot, 0)
        lo = self._traces._get(slot, 1)
        kept = left = 0
        words = self._held._words
        place = (self._traces._get(slot, layout.CHAIN) & _LOW_32) - 1
        while place >= 0:
            at = place * layout.WIDTH
            after = words[at] - 1
            mine = 0
            if which == _EVERYTHING:
                mine = 1
            if which == _CHILDREN and words[at + layout.PARENT] == self._spare[layout.SPAN]:
                if not words[at + layout.MORE] & layout.IS_REQUEST and not words[at + layout.KEY] >> 8 & 255:
                    mine = 1
            if mine:
                word = 1
                while word < layout.WIDTH:
                    self._record[word] = words[at + word]
                    word += 1
                if self._note is not None:
                    self._said_by = self._names.pop(place, ("", "", "", ""))
                if which == _EVERYTHING:
                    agent = self._agent_of(who)
                self._held._give_back(place)
                self._count(agent, who >> 16 & 255, hi, lo)
            else:
                words[at] = kept
                kept = place + 1
                left += 1
            place = after
        self._traces._set(slot, layout.CHAIN, left << 32 | kept)
        if left == 0:
            self._traces._set(slot, layout.TIMES, self._traces._get(slot, layout.TIMES) & ~_LOW_32)

    def _look(self, slot: int, everything: int) -> int:
        """Does what is due for a trace; whether it has ended."""
        times = self._traces._get(slot, layout.TIMES)
        quiet = self._tick - (times >> 32)
        since = times & _LOW_32
        late = since != 0 and since + _LONGEST_WAIT <= self._tick
        requested = self._traces._get(slot, layout.WHO) >> 24 & layout.REQUESTED
        if everything or quiet >= _IDLE or (requested and (late or quiet >= _QUIET)):
            self._end_trace(slot)
            return 1
        if late or quiet >= _WAIT:
            self._release(slot, _EVERYTHING, 0)
        self._plan(slot)
        return 0

    def _end_trace(self, slot: int) -> None:
        self._slot = _NONE
        self._record[layout.SPAN] = 0
        self._release(slot, _EVERYTHING, 0)
        who = self._traces._get(slot, layout.WHO)
        start = self._traces._get(slot, layout.START)
        end = self._traces._get(slot, layout.END)
        hi = self._traces._get(slot, 0)
        lo = self._traces._get(slot, 1)
        span = self._record[layout.SPAN]
        if who >> 24 & layout.REQUESTED:
            calls = self._traces._get(slot, layout.CALLS)
            self._request_calls.observe(who & 0xFFFFFF, calls, hi, lo, span, end // _MILLISECONDS, self._tick)
        if start != 0 and end > start and end - start <= _LONGEST:
            took = end - start
            self._trace_duration.observe(who & 0xFFFF, took, hi, lo, span, end // _MILLISECONDS, self._tick)
        self._traces._leave(slot)

    # What is kept of it.

    def pack(self) -> bytes:
        """What waits: numbers of traces, held records and conversations, then all of them; see `unpack`."""
        self.later_kinds = []
        out = bytearray(12 + table.RECORD * (self._traces.count + self._talks.count) + held.RECORD * self._held.count)
        at = put_word(out, 0, self._traces.count, 4)
        at = put_word(out, at, self._held.count, 4)
        at = put_word(out, at, self._talks.count, 4)
        self._traces._begin()
        slot = self._traces._next(_LATEST)
        while slot >= 0:
            at = self._traces._pack(slot, out, at)
            place = (self._traces._get(slot, layout.CHAIN) & _LOW_32) - 1
            while place >= 0:
                kind = self._held._words[place * layout.WIDTH + layout.KEY] >> 16 & 255
                if kind > _LAST_KIND:
                    self.later_kinds.append((at + _KIND_BYTE, kind))
                at = self._held._pack(place, out, at)
                if kind > _LAST_KIND:
                    out[at - held.RECORD + _KIND_BYTE] = _OTHER
                place = self._held._words[place * layout.WIDTH] - 1
            slot = self._traces._next(_LATEST)
        self._talks._begin()
        slot = self._talks._next(_LATEST)
        while slot >= 0:
            at = self._talks._pack(slot, out, at)
            slot = self._talks._next(_LATEST)
        return bytes(out)

    def names(self) -> list[tuple[str, ...] | None]:
        """User, project, conversation and environment of each held record, in the order of `pack`."""
        found = []
        self._traces._begin()
        slot = self._traces._next(_LATEST)
        while slot >= 0:
            place = (self._traces._get(slot, layout.CHAIN) & _LOW_32) - 1
            while place >= 0:
                found.append(self._names.get(place))
                place = self._held._words[place * layout.WIDTH] - 1
            slot = self._traces._next(_LATEST)
        return found

    def unpack(self, packed: bytes, names: list[tuple[str, ...] | None]) -> None:
        """Go on with what an earlier process had packed, before anything is counted. Raises ValueError where that
        cannot be."""
        traces, records, talks = [int.from_bytes(packed[at : at + 4], "little") for at in (0, 4, 8)]
        if len(packed) != 12 + table.RECORD * (traces + talks) + held.RECORD * records or len(names) not in (
            0,
            records,
        ):
            raise ValueError(f"{len(packed)} bytes for {traces} traces, {records} records and {talks} conversations")
        at, seen = 12, 0
        for _ in range(traces):
            slot = self._traces._unpack(packed[at : at + table.RECORD])
            at += table.RECORD
            if slot < 0:
                raise ValueError("a trace is there twice, or one too many")
            left = self._traces._get(slot, layout.CHAIN) >> 32
            chain = left << 32
            before = _NONE
            while left > 0:
                place = self._held._unpack(packed[at : at + held.RECORD])
                at += held.RECORD
                if place < 0 or seen >= records:
                    raise ValueError("a record is held too many")
                known = names[seen] if names else None
                if known is not None:
                    self._names[place] = known
                if before < 0:
                    chain |= place + 1
                else:
                    self._held._words[before * layout.WIDTH] = place + 1
                before, seen, left = place, seen + 1, left - 1
            self._traces._set(slot, layout.CHAIN, chain)
        for _ in range(talks):
            if self._talks._unpack(packed[at : at + table.RECORD]) < 0:
                raise ValueError("a conversation is there twice, or one too many")
            at += table.RECORD

    def used(self) -> dict[str, set[int]]:
        """Numbers of labels that open traces, what is held and conversations have."""
        found: dict[str, set[int]] = {name: set() for name in LABELS}
        words = self._held._words
        for records in (self._traces, self._talks):
            records._begin()
            slot = records._next(_LATEST)
            while slot >= 0:
                _add_used(found, int(records._get(slot, layout.WHO)), _OF_TRACE)
                place = (self._traces._get(slot, layout.CHAIN) & _LOW_32) - 1 if records is self._traces else _NONE
                while place >= 0:
                    at = place * layout.WIDTH
                    _add_used(found, int(words[at + layout.KEY]), _OF_KEY)
                    _add_used(found, int(words[at + layout.MORE]), _OF_MORE)
                    place = words[at] - 1
                slot = records._next(_LATEST)
        return found


def _add_used(found: dict[str, set[int]], word: int, names: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        if name:
            found[name].add(word >> 8 * place & 255)
