# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Who calls whom: agents, tools and hand-offs, counted by their names; compiled with the types in detect_calls.pxd.

An agent's span ends after those of what it has called, so what does not name its agent waits with the span above it,
and goes up from there until an agent's span comes. Four different callees wait with one span at a time, and 63 calls of
each; more are counted without a caller, as are those above which no agent comes. Agents have 100 names, and tools have
100; where these are used up, those that nobody has used for a day make room.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import detect_known, detect_span, native
from tracekeeper_sidecar.wire.detect_known import IDLE, MOST_MARKS, MOST_TALKS, MOST_TRACES, Known, mixed
from tracekeeper_sidecar.wire.labels import MOST, Labels
from tracekeeper_sidecar.wire.rows import Births, Family

KINDS = ("", "other", "agent", "tool", "handoff")
"""Kinds of calls, by their numbers."""
MOST_EDGES = 400
DAY = 86_400
"""Seconds after which what was not counted makes room."""
AGENT_CALL, TOOL_CALL, HANDOFF_CALL = 2, 3, 4

_AGENT_CALL, _TOOL_CALL = AGENT_CALL, TOOL_CALL
_AGENT, _TOOL, _MCP = detect_span.AGENT, detect_span.TOOL, detect_span.MCP
_AGENTS, _TOOLS = detect_span.AGENTS, detect_span.TOOLS
_REPORTED, _PENDING = detect_known.REPORTED, detect_known.PENDING
_SERVER, _CLIENT, _CONSUMER = 2, 3, 5
_REMOTE = 0x300
_WAITS = 0x5741495453
_KNOWS = 0x4B4E4F5753
_ONE = 1 << 10
_ALL_16 = 0xFFFF
_WHO = 0x3FF


class Calls(Known):
    """For one thread at a time."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        Known.__init__(self, seed, traces, talks, marks)
        self._who = Labels()
        self._tools = Labels()
        self._agents_at = [0] * 128
        """When a name was last seen, by its number. So are the tools'."""
        self._tools_at = [0] * 128
        self._edges = Family(3, Births(), MOST_EDGES, (), False, 255 << 16)
        self._waits = 0
        """Whether anything has ever waited."""

    def edges(self) -> list[tuple[str, str, str, int]]:
        """Caller, callee, kind of call, and how many there were."""
        found = []
        for row in self._edges.rows():
            key = self._edges.key(row)
            kind = key >> 16 & 255
            caller, callee = self._who.texts[key & 255], self._callees(kind).texts[key >> 8 & 255]
            found.append((caller or "", callee or "", KINDS[kind], self._edges.numbers(row)[0]))
        return found

    def _callees(self, kind: int) -> Labels:
        return self._tools if kind == TOOL_CALL else self._who

    def _turn(self) -> None:
        Known._turn(self)
        if len(self._who) >= MOST or len(self._tools) >= MOST or len(self._edges) >= MOST_EDGES:
            self._make_room()

    def _make_room(self) -> None:
        """Names that some span has still to be counted under have been seen within the hour."""
        agents: set[int] = set()
        tools: set[int] = set()
        for row in self._edges.rows():
            if self._edges.stamp(row) + DAY < self._tick:
                self._edges.drop(row)
        for row in self._edges.rows():
            key = self._edges.key(row)
            agents.add(key & 255)
            (tools if key >> 16 & 255 == TOOL_CALL else agents).add(key >> 8 & 255)
        for number in range(128):
            if self._agents_at[number] + 2 * IDLE >= self._tick:
                agents.add(number)
            if self._tools_at[number] + 2 * IDLE >= self._tick:
                tools.add(number)
        self._who.keep(agents)
        self._tools.keep(tools)

    def _agent(self, data: bytes) -> int:
        """The number of the agent's name; 0 where there is none."""
        if not self._text(data, _AGENT):
            return 0
        number = self._who._number(data, self._said, self._until)
        self._agents_at[number] = self._tick
        return number

    def _used_tool(self, data: bytes) -> int:
        """The number of the tool's name; 0 where there is none."""
        if not self._text(data, _TOOL):
            return 0
        number = self._tools._number(data, self._said, self._until)
        self._tools_at[number] = self._tick
        return number

    def _is_request(self) -> int:
        """Whether nothing above the span is in this pod's sight."""
        return (
            self._root
            or self._parent < 0
            or self._role == _SERVER
            or self._role == _CONSUMER
            or self._flags & _REMOTE == _REMOTE
        )

    def _edge(self, caller: int, callee: int, kind: int, count: int) -> None:
        self._edges.add(caller | callee << 8 | kind << 16, count, self._tick)

    def _calls(self, data: bytes, slot: int, kind: int) -> None:
        """Counts the call that the span is, or has it wait for its agent."""
        agent = self._agent(data)
        if kind == _TOOLS:
            if self._role == _SERVER or (self._value[_MCP] >= 0 and self._role == _CLIENT):
                return  # The agent's own span of the same call counts.
            tool = self._used_tool(data)
            if tool != 0:
                if agent != 0:
                    self._edge(agent, tool, _TOOL_CALL, 1)
                else:
                    self._wait(data, slot, tool, _TOOL_CALL, 1)
        elif kind == _AGENTS and agent != 0:
            self._wait(data, slot, agent, _AGENT_CALL, 1)
            self._marks._put(self._mark_of(data, self._span_id, _KNOWS), agent + 1)

    def _mark_of(self, data: bytes, span: int, seed: int) -> int:
        """What stands for the trace's span whose id is at `span`."""
        return mixed(self._mark ^ seed, native.word(data, span)) | 1

    def _wait(self, data: bytes, slot: int, callee: int, kind: int, count: int) -> None:
        if self._is_request():
            self._edge(0, callee, kind, count)
            return
        known = self._marks._get(self._mark_of(data, self._parent, _KNOWS))
        if known != 0:
            self._edge(known - 1, callee, kind, count)
            return
        key = self._mark_of(data, self._parent, _WAITS)
        value = self._marks._get(key)
        who = callee | (kind - 1) << 8
        shift = 0
        while shift < 64:
            entry = value >> shift & _ALL_16
            if entry == 0 or (entry & _WHO == who and (entry >> 10) + count < 64):
                if entry == 0:
                    value |= who << shift
                self._marks._put(key, value + (count << 10 + shift))
                self._waits = 1
                self._traces._set(slot, _REPORTED, self._traces._get(slot, _REPORTED) | _PENDING)
                return
            shift += 16
        self._edge(0, callee, kind, count)

    def _came(self, data: bytes, slot: int, kind: int) -> None:
        """What has waited for the span is counted, if it is an agent's, and else waits for the one above."""
        if not self._traces._get(slot, _REPORTED) & _PENDING:
            return
        key = self._mark_of(data, self._span_id, _WAITS)
        value = self._marks._get(key)
        if value == 0:
            return
        self._marks._put(key, 0)
        caller = 0
        if kind == _AGENTS:
            caller = self._agent(data)
        while value != 0:
            entry = value & _ALL_16
            if caller != 0:
                self._edge(caller, entry & 255, (entry >> 8 & 3) + 1, entry >> 10)
            else:
                self._wait(data, slot, entry & 255, (entry >> 8 & 3) + 1, entry >> 10)
            value >>= 16
