"""The rows of all dialects that a config wants, by the keys that lead to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.dialects import DIALECTS, TELLING
from tracekeeper_sidecar.process.normalize.row import SPAN_NAME, Dialect, KindRow, MessageRow, Row
from tracekeeper_sidecar.wire import normalize as wire

EVENT: Final = "event "
_MOST_PLANS: Final = 256
_MOST_PLANNED: Final = 64
_MOST_TEXT: Final = 4096
"""Plans that are remembered, and the keys of one with their characters: some megabytes together, whatever is sent."""

_SLOTS: Final = {
    keys.OPERATION: wire.OPERATION,
    keys.INPUT: wire.INPUT,
    keys.OUTPUT: wire.OUTPUT,
    keys.CACHE_READ: wire.PART,
    keys.CACHE_WRITE: wire.PART,
    keys.CACHE_CREATION: wire.PART,
    keys.REASONING: wire.PART,
    keys.TOOL_NAME: wire.TOOL,
    keys.RESPONSE_ID: wire.RESPONSE,
    keys.BASIS: wire.BASIS,
    keys.DIALECT: wire.DIALECT,
    keys.INPUT_MESSAGES: wire.MESSAGES,
    keys.OUTPUT_MESSAGES: wire.MESSAGES,
    keys.REPEATED: wire.REPEATED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A row, whose it is, and which comes first: the lowest."""

    rank: int
    row: Row
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Plan:
    """What the table has for spans with the same keys: those of one library mostly have."""

    rows: list[Found]
    """In the order of their rank, those of the span's name apart."""
    kinds: list[str]
    """Keys that may say what a span is."""
    exact: frozenset[str]
    """Keys that have messages."""
    below: dict[str, list[str]]
    """Keys with an index, by what they begin with."""
    tellers: frozenset[str]
    """Dialects that alone have one of the keys."""


class Table:
    """Made once for a config."""

    def __init__(self, dialects: Collection[str] = (), messages: bool = True) -> None:
        """`dialects` by their names; all, if there are none. Without `messages` none are translated."""
        chosen = [dialect for dialect in DIALECTS if not dialects or dialect.name in dialects]
        self.dialects = {dialect.name: dialect for dialect in chosen}
        self.telling = [self.dialects[name] for name in TELLING if name in self.dialects]
        self.rows: dict[str, list[Found]] = {}
        self.named: list[Found] = []
        """Rows of the span's name."""
        self.kinds: dict[str, list[tuple[KindRow, Dialect]]] = {}
        self.messages: dict[str, list[tuple[MessageRow, Dialect]]] = {}
        """By key, by an event's name with `event ` before it, and by the beginning of keys with an index."""
        self.indexed: tuple[str, ...] = ()
        """Beginnings of keys with an index, or of parts of an answer."""
        self._plans: dict[tuple[str, ...], Plan] = {}
        silent = {key for dialect in chosen for key in dialect.silent}
        rank = 0
        for dialect in chosen:
            for row in dialect.rows:
                rank += 1
                self._add(Found(rank, row, dialect))
            for kind in dialect.kinds:
                self.kinds.setdefault(kind.source, []).append((kind, dialect))
            for message in dialect.messages if messages else ():
                self.messages.setdefault(message.source, []).append((message, dialect))
        self.sources = [(source, *each) for source, rows in self.messages.items() for each in rows]
        """The same in their order."""
        self.indexed = tuple(source for source in self.messages if source.endswith("."))
        self._parts = {
            key for key, found in self.rows.items() if all(each.row.canonical in keys.SUB_COUNTS for each in found)
        }
        """Sources of parts of usage: they are not worth a look where they are 0."""
        marks = [mark for dialect in chosen for mark in dialect.marks]
        self._exact = frozenset(mark for dialect in self.telling for mark in dialect.marks if not mark.endswith("."))
        self._begins = tuple(mark for dialect in self.telling for mark in dialect.marks if mark.endswith("."))
        self._foreign = {*self.rows, *self.kinds, *self.messages, *marks} - silent - {keys.OPERATION}
        self._beginnings = (*self.indexed, *(mark for mark in marks if mark.endswith(".")))

    def _add(self, found: Found) -> None:
        if found.row.source == SPAN_NAME:
            self.named.append(found)
        else:
            self.rows.setdefault(found.row.source, []).append(found)

    def judge(self, key: bytes) -> int:
        """The verdict on a key, as `wire.normalize` wants it; on an event's name with b"event:" before it."""
        text = key.decode(errors="replace")
        if text.startswith("event:"):
            return wire.FOREIGN if EVENT + text.removeprefix("event:") in self.messages else 0
        foreign = text in self._foreign or text.startswith(self._beginnings)
        slot = _SLOTS.get(text, 0) or (wire.PART if text in self._parts else 0)
        if slot == wire.MESSAGES and not self.messages:
            slot = 0
        return slot | (wire.FOREIGN if foreign else 0)

    def plan(self, seen: tuple[str, ...]) -> Plan:
        """What there is for a span with these keys, each once. It is remembered, for as many as have room."""
        known = self._plans.get(seen)
        if known is None:
            known = self._planned(seen)
            if len(seen) <= _MOST_PLANNED and sum(map(len, seen)) <= _MOST_TEXT:
                if len(self._plans) >= _MOST_PLANS:
                    self._plans.clear()
                self._plans[seen] = known
        return known

    def _planned(self, seen: tuple[str, ...]) -> Plan:
        rows = sorted((each for key in seen if key in self.rows for each in self.rows[key]), key=rank)
        below: dict[str, list[str]] = {}
        for key in seen:
            if key.startswith(self.indexed):
                for source in self.indexed:
                    if key.startswith(source):
                        below.setdefault(source, []).append(key)
        return Plan(
            rows,
            [key for key in seen if key in self.kinds],
            frozenset(self.messages.keys() & seen),
            below,
            frozenset(map(self._teller, seen)) - {""},
        )

    def whose(self, scope: str, plan: Plan, served: Collection[str]) -> Dialect | None:
        """The dialect of a span of that scope, with the keys of that plan, for which rows of those dialects have
        served."""
        for dialect in self.telling:
            if (
                dialect.name in plan.tellers
                or dialect.name in served
                or (dialect.scopes and scope.startswith(dialect.scopes))
            ):
                return dialect
        return None

    def _teller(self, key: str) -> str:
        """The dialect that alone has such a key; "" for none."""
        if key not in self._exact and not key.startswith(self._begins):
            return ""
        return next(dialect.name for dialect in self.telling if any(_is_marked(mark, key) for mark in dialect.marks))


def rank(found: Found) -> int:
    """Which comes first: the lowest."""
    return found.rank


def _is_marked(mark: str, key: str) -> bool:
    return key.startswith(mark) if mark.endswith(".") else key == mark
