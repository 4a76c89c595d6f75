# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Counts what a span has done in the families of rows; compiled with the types in counts.pxd.

What is counted lies in one record, as `layout` says: a request, or an operation of an agent. Open conversations lie in
a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracekeeper_sidecar.wire import layout
from tracekeeper_sidecar.wire.calls import Calls
from tracekeeper_sidecar.wire.labels import Labels
from tracekeeper_sidecar.wire.rows import Family
from tracekeeper_sidecar.wire.table import Table

MOST_CONVERSATIONS = 8_000
STATUSES = ("", "other", "ok", "error")
TYPES = ("", "other", "input", "output", "cache_read", "cache_write", "reasoning")
FAMILIES = (
    "requests", "request_duration", "operations", "operation_duration", "spans", "request_calls",
    "request_calls_highest", "tokens", "token_details", "cost", "unpriced_calls", "unpriced_tokens", "reasons",
    "model_changes", "tool_calls", "trace_duration", "conversations", "conversation_duration", "conversation_cost",
    "conversation_cost_highest", "detections",
)  # fmt: skip
"""What is counted in, by the names under which it is given."""
LABELS = ("service", "agent", "workflow", "operation", "provider", "model", "error_type", "tool", "reason", "detector")
"""Labels whose values come from spans."""
Note = Callable[[float, int, int, "tuple[str, ...]", int, int, int], None]
"""A call of a model: Unix time of its end, numbers of agent and model, then user, project, conversation and
environment, nanodollars, tokens, and 1 if its price is unknown."""

_TYPE_INPUT, _TYPE_OUTPUT, _TYPE_CACHE_READ, _TYPE_CACHE_WRITE, _TYPE_REASONING = 2, 3, 4, 5, 6
_LOW_32 = 0xFFFFFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_UNKNOWN = 0xFFFFFFFFFFFFFFFF
_MINUTE = 240
_IDLE = 7200
"""In ticks of a quarter of a second, as all times here: after which a conversation has ended."""
_NANOSECONDS = 1_000_000_000.0
_MILLISECONDS = 1_000_000
"""Nanoseconds in one."""


class Counts(Calls):
    """For one thread at a time."""

    def __init__(self, families: Mapping[str, Family], seed: int) -> None:
        """`families` has what FAMILIES names. With a `seed` that nobody knows, no choice of ids makes it slow."""
        Calls.__init__(self)
        self.families = dict(families)
        self.labels = {name: Labels() for name in LABELS}
        self._talks = Table(MOST_CONVERSATIONS, seed)
        self._note: Note | None = None
        self._tick = 0
        self._record = [0] * 16
        self._said_by: tuple[str, ...] = ("", "", "", "")
        """User, project, conversation and environment of the record, while somebody wants to know."""
        self._bind(self.families, self.labels)

    def _bind(self, families: Mapping[str, Family], known: Mapping[str, Labels]) -> None:
        self._requests = families["requests"]
        self._request_duration = families["request_duration"]
        self._operation_rows = families["operations"]
        self._operation_duration = families["operation_duration"]
        self._spans = families["spans"]
        self._request_calls = families["request_calls"]
        self._calls_highest = families["request_calls_highest"]
        self._tokens = families["tokens"]
        self._token_details = families["token_details"]
        self._costs = families["cost"]
        self._unpriced_calls = families["unpriced_calls"]
        self._unpriced_tokens = families["unpriced_tokens"]
        self._reason_rows = families["reasons"]
        self._changes = families["model_changes"]
        self._tool_calls = families["tool_calls"]
        self._trace_duration = families["trace_duration"]
        self._conversations = families["conversations"]
        self._conversation_duration = families["conversation_duration"]
        self._conversation_cost = families["conversation_cost"]
        self._conversation_highest = families["conversation_cost_highest"]
        self._detections = families["detections"]
        self._services, self._agents, self._workflows = known["service"], known["agent"], known["workflow"]
        self._operations, self._providers, self._models = known["operation"], known["provider"], known["model"]
        self._error_types, self._tools, self._reasons = known["error_type"], known["tool"], known["reason"]
        self._detectors = known["detector"]

    def tell(self, note: Note | None) -> None:
        """Tell of each call of a model what it has cost, or nobody."""
        self._note = note

    def _count(self, agent: int, workflow: int, hi: int, lo: int) -> None:
        """Counts the record, for that agent and workflow if it names none itself."""
        record = self._record
        key = record[layout.KEY]
        more = record[layout.MORE]
        if key >> 8 & 255:
            agent = key >> 8 & 255
        if more >> 16 & 255:
            workflow = more >> 16 & 255
        key = key & ~0xFF00 | agent << 8
        service = key & 255
        who = key & 0xFFFF
        outcome = key >> 48
        took, span, tick = record[layout.TOOK], record[layout.SPAN], self._tick
        when = record[layout.ENDED] // _MILLISECONDS
        if more & layout.IS_REQUEST:
            self._requests.add(who | workflow << 16 | outcome << 24, 1, tick)
            self._request_duration.observe(who | workflow << 16, took, hi, lo, span, when, tick)
            return
        kind = key >> 16 & 255
        model = key >> 40 & 255
        self._operation_rows.add(key, 1, tick)
        self._operation_duration.observe(who | kind << 16 | model << 24, took, hi, lo, span, when, tick)
        if more & layout.IS_CALL:
            self._count_call(service, who, workflow, key >> 32 & 0xFFFF)
        if more & layout.IS_TOOL and not more & layout.IS_TWICE:
            self._tool_calls.add(who | (more >> 8 & 255) << 16 | outcome << 24, 1, tick)
        if record[layout.TALK] != 0:
            self._converse(service, agent)

    def _count_call(self, service: int, who: int, workflow: int, answerer: int) -> None:
        """`answerer` is provider and model."""
        record = self._record
        cost = record[layout.COST]
        tick = self._tick
        came = record[layout.TOKENS_1] & _LOW_32
        went = record[layout.TOKENS_1] >> 32
        key = who | workflow << 16 | answerer << 24
        if came != 0:
            self._tokens.add(key | _TYPE_INPUT << 40, came, tick)
        if went != 0:
            self._tokens.add(key | _TYPE_OUTPUT << 40, went, tick)
        brief = service | answerer << 8
        if record[layout.TOKENS_2] & _LOW_32 != 0:
            self._token_details.add(brief | _TYPE_CACHE_READ << 24, record[layout.TOKENS_2] & _LOW_32, tick)
        if record[layout.TOKENS_2] >> 32 != 0:
            self._token_details.add(brief | _TYPE_CACHE_WRITE << 24, record[layout.TOKENS_2] >> 32, tick)
        if record[layout.TOKENS_3] != 0:
            self._token_details.add(brief | _TYPE_REASONING << 24, record[layout.TOKENS_3], tick)
        if record[layout.MORE] >> 24 & 255:
            self._reason_rows.add(who | (answerer >> 8) << 16 | (record[layout.MORE] >> 24 & 255) << 24, 1, tick)
        if cost == _UNKNOWN:
            self._unpriced_calls.add(brief, 1, tick)
            self._unpriced_tokens.add(brief, came + went, tick)
            cost = 0
        else:
            self._costs.add(key, cost, tick)
        if self._note is not None:
            unpriced = record[layout.COST] == _UNKNOWN
            ended = record[layout.ENDED] / _NANOSECONDS
            self._note(ended, who >> 8, answerer >> 8, self._said_by, cost, came + went, unpriced)

    def _converse(self, service: int, agent: int) -> None:
        """Counts the record in its conversation."""
        record = self._record
        hi = record[layout.TALK]
        slot = self._talks._locate(hi, hi ^ _ALL_64)
        if slot < 0:
            if self._talks.count >= MOST_CONVERSATIONS:
                self._end_talk(self._talks._victim())
            slot = self._talks._add(hi, hi ^ _ALL_64, self._tick)
        start = record[layout.ENDED] - min(record[layout.TOOK], record[layout.ENDED])
        if start != 0 and (self._talks._get(slot, layout.START) == 0 or start < self._talks._get(slot, layout.START)):
            self._talks._set(slot, layout.START, start)
        if record[layout.ENDED] > self._talks._get(slot, layout.END):
            self._talks._set(slot, layout.END, record[layout.ENDED])
        who = self._talks._get(slot, layout.WHO)
        if who & 255 == 0:
            who |= service
        if who >> 8 & 255 == 0:
            who |= agent << 8
        key = who & 0xFFFF
        if not who >> 24 & layout.CONVERSED:
            who |= layout.CONVERSED << 24
            self._conversations.add(key, 1, self._tick)
        self._talks._set(slot, layout.WHO, who)
        if record[layout.MORE] & layout.IS_CALL and record[layout.COST] != _UNKNOWN:
            cost = self._talks._get(slot, layout.CHAIN) + record[layout.COST]
            self._talks._set(slot, layout.CHAIN, cost)
            self._conversation_cost.add(key, record[layout.COST], self._tick)
            self._conversation_highest.raise_to(key, cost, self._tick // _MINUTE, self._tick)
        self._talks._look_at(slot, self._tick + _IDLE)

    def _end_talk(self, slot: int) -> None:
        start = self._talks._get(slot, layout.START)
        end = self._talks._get(slot, layout.END)
        if start != 0 and end >= start:
            self._conversation_duration.observe(
                self._talks._get(slot, layout.WHO) & 0xFFFF, end - start, 0, 0, 0, 0, self._tick
            )
        self._talks._leave(slot)
