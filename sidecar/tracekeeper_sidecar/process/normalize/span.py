"""Translates one span: its own bytes, with what it says in the canonical names appended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tracekeeper_sidecar.process.normalize import indexed, keys
from tracekeeper_sidecar.process.normalize.messages import MOST_BYTES, listed
from tracekeeper_sidecar.process.normalize.row import (
    CHAT,
    OPERATIONS,
    TOOL,
    Component,
    Dialect,
    Form,
    How,
    Kind,
    MessageRow,
)
from tracekeeper_sidecar.process.normalize.table import EVENT, Found, Table, rank
from tracekeeper_sidecar.process.normalize.tokens import Counted, basis
from tracekeeper_sidecar.process.normalize.values import (
    UnusableError,
    any_value,
    attribute,
    converted,
    dollars,
    dumped,
    member,
    parsed,
    plain,
    provider,
    since,
    tokens,
    total,
)
from tracekeeper_sidecar.wire import normalize as wire
from tracekeeper_sidecar.wire.normalize_span import Parts
from tracekeeper_sidecar.wire.varint import fields

OWN: Final = "opentelemetry"
"""In place of a dialect: canonical names."""

MOST_ATTRIBUTES: Final = 16_384
"""Of a span: one that has more stays as it is. Each takes about a microsecond, and others wait."""

_NAME: Final = 5
_START: Final = 7
_EVENT_NAME: Final = 2
_EVENT_ATTRIBUTES: Final = 3
_PARTS: Final = frozenset((keys.CACHE_READ, keys.CACHE_WRITE, keys.CACHE_CREATION, keys.REASONING))
_AUDIO: Final = frozenset((keys.AUDIO_INPUT, keys.AUDIO_OUTPUT))
_MESSAGES: Final = (keys.INPUT_MESSAGES, keys.OUTPUT_MESSAGES)

Count = Callable[[str, str], None]
"""Told of each value that cannot be used: its dialect and the reason."""


class Translator:
    """For one thread at a time."""

    def __init__(self, table: Table, count: Count, keep_originals: bool = True) -> None:
        self._table = table
        self._count = count
        self._keep = keep_originals
        self._parts = Parts()

    def translate(
        self, body: bytes, begin: int, end: int, scope: str, why: int, brief: bool = False
    ) -> tuple[bytes, str] | None:
        """The new content of the span at [begin, end), and the dialect that it was in, "" for the canonical names; None
        where it stays as it is. `why` is `Work.why`. A `brief` translation leaves messages out. Raises ValueError when
        the span is not protobuf."""
        return _Span(self, body, begin, end, scope).run(why, brief)


class _Span:
    """One span under way."""

    def __init__(self, by: Translator, body: bytes, begin: int, end: int, scope: str) -> None:
        self._table, self._count, self._keep, self._parts = by._table, by._count, by._keep, by._parts
        self._body, self._begin, self._end, self._scope = body, begin, end, scope
        self._has = self._parts.attributes(body, begin, end)
        self._events = self._parts.events
        self._values: dict[str, Any] = {}
        self._json: dict[str, Any] = {}
        self._made: dict[str, str | bool | int | float | list[str]] = {}
        self._replaced: set[str] = set()
        """Canonical keys whose value was no use as it was."""
        self._used: set[str] = set()
        """Keys that were translated."""
        self._used_events: list[tuple[int, int]] = []
        self._served: set[str] = set()
        self._kind: Kind | None = None
        self._is_too_large = len(self._has) > MOST_ATTRIBUTES
        self._plan = self._table.plan(() if self._is_too_large else tuple(self._has))
        self._exclusive: set[str] = set()

    def run(self, why: int, brief: bool) -> tuple[bytes, str] | None:
        if self._is_too_large:
            self._count(OWN, "too_large")
            return None
        self._component()
        if why & wire.TRANSLATE:
            self._rows()
            self._guess()
        dialect = self._table.whose(self._scope, self._plan, self._served)
        if why & wire.NUMBERS:
            self._numbers(dialect.name if dialect else OWN)
        self._basis(dialect)
        if not brief and why & (wire.TRANSLATE | wire.EVENTS | wire.FLAT):
            self._messages()
        if not self._made:
            return None
        told = ""
        if (
            self._served
            and (dialect := dialect or self._table.whose(self._scope, self._plan, self._served)) is not None
        ):
            told = dialect.name
            if keys.DIALECT not in self._has:
                self._made[keys.DIALECT] = told
        return self._written(), told

    def _plain(self, key: str) -> Any:
        if key not in self._values:
            _, _, value, value_end = self._has[key]
            self._values[key] = plain(self._body, value, value_end)
        return self._values[key]

    def _known(self, key: str) -> Any:
        """What is said under a canonical key, before or by now; None for nothing."""
        if key in self._made:
            return self._made[key]
        return self._plain(key) if key in self._has and key not in self._replaced else None

    def _component(self) -> None:
        """What the span is: by itself, a dialect's own word, the operation's name, or what it has, in this order."""
        said = self._known(keys.KIND)
        operation = self._known(keys.OPERATION)
        by_operation = OPERATIONS.get(operation) if isinstance(operation, str) else None
        if said in tuple(Kind):
            self._kind = Kind(said)
            return
        self._kind = by_operation
        rank, found = self._said_kind()
        if found is None and operation is None and keys.TOOL_NAME in self._has:
            rank, found = 6, TOOL
        if found is None or (by_operation is not None and rank > 2):
            return
        if operation is None and found.operation:
            self._made[keys.OPERATION] = found.operation
        elif by_operation != found.kind:
            self._made[keys.KIND] = str(found.kind)
        self._kind = found.kind

    def _said_kind(self) -> tuple[int, Component | None]:
        best: Component | None = None
        lowest = 99
        for key in self._plan.kinds:
            value = self._plain(key)
            for row, dialect in self._table.kinds[key]:
                if not isinstance(value, str):
                    self._count(OWN if row.source == keys.OPERATION else dialect.name, "type")
                elif row.rank < lowest and (component := row.values.get(value.lower())) is not None:
                    best, lowest = component, row.rank
                    if row.source != keys.OPERATION:
                        self._served.add(dialect.name)
                        self._used.add(key)
        return lowest, best

    def _rows(self) -> None:
        found = self._plan.rows
        if named := [each for each in self._table.named if each.dialect.name in self._served]:
            found = sorted([*found, *named], key=rank)
        for each in found:
            row = each.row
            if row.canonical in self._has or (row.canonical in self._made and not self._is_silent(row.canonical)):
                continue
            if row.kinds and self._kind not in row.kinds:
                continue
            if row.beside and self._known(row.beside) is None:
                continue
            try:
                value = self._value(each)
            except UnusableError as error:
                # JSON that cannot be read at all is counted once, whatever is looked for in it.
                inside = row.member or row.how is How.SUM
                if not (inside and self._json.get(row.source) is error):
                    self._count(each.dialect.name, error.reason)
                if inside and error.reason == "json":
                    self._json[row.source] = error
                continue
            if value is None:
                continue
            if value == 0 and row.canonical in keys.SUB_COUNTS:
                continue
            self._made[row.canonical] = value
            self._used.add(row.source)
            self._served.add(each.dialect.name)
            if row.exclusive:
                self._exclusive.add(row.canonical)

    def _is_silent(self, key: str) -> bool:
        """A cost of nothing hides no other report."""
        return key == keys.COST and self._made[key] == 0

    def _guess(self) -> None:
        """What names a model and its tokens of output, and nothing of what it is, has called the model."""
        if self._kind is None and self._known(keys.OPERATION) is None and self._known(keys.OUTPUT) is not None:
            if self._known(keys.REQUEST_MODEL) or self._known(keys.RESPONSE_MODEL):
                self._made[keys.OPERATION] = CHAT.operation
                self._kind = CHAT.kind

    def _value(self, found: Found) -> str | int | float | list[str] | None:
        row = found.row
        if row.source not in self._has:
            return self._parts.text(self._body, self._begin, self._end, _NAME) or None
        value = self._plain(row.source)
        if row.how is How.SINCE:
            began = self._began()
            return since(value, began) if value and began else None
        if row.how is How.SUM:
            return converted(self._object(row.source, value), row.how)
        if row.member:
            said = self._object(row.source, value)
            value = member(said, row.member)
            if value is None or (row.having and member(said, row.having) is None):
                return None
        elif value is None or value == "":
            return None
        done = converted(value, row.how)
        if row.plus in self._has and isinstance(done, float) and (more := self._plain(row.plus)) not in (None, ""):
            self._used.add(row.plus)
            return total((done, dollars(more)))
        return done

    def _began(self) -> int:
        """In Unix nanoseconds."""
        for field in fields(self._body, self._begin, self._end):
            if field.number == _START and field.wire == 1:
                return int.from_bytes(self._body[field.value : field.end], "little")
        return 0

    def _object(self, key: str, value: Any) -> Any:
        """What the attribute's JSON says; it is read once."""
        if key not in self._json:
            if not isinstance(value, str):
                self._json[key] = value
            elif len(value) > MOST_BYTES:
                raise UnusableError("too_large")
            elif value.lstrip()[:1] not in ("{", "["):
                self._json[key] = None
            else:
                self._json[key] = parsed(value)
        found = self._json[key]
        if isinstance(found, UnusableError):
            raise found
        return found

    def _numbers(self, dialect: str) -> None:
        """Makes whole numbers of those that came as text or doubles, under the canonical names."""
        for key in keys.TOKENS:
            if key not in self._has or _is_whole(value := self._plain(key)):
                continue
            try:
                self._made[key] = tokens(value)
                self._replaced.add(key)
            except UnusableError as error:
                self._count(dialect, error.reason)

    def _basis(self, dialect: Dialect | None) -> None:
        parts = _PARTS | _AUDIO if self._exclusive else _PARTS
        if keys.BASIS in self._has or not (self._has.keys() & parts or self._made.keys() & parts):
            return
        counted = Counted(
            self._tokens(keys.INPUT),
            self._tokens(keys.OUTPUT),
            self._tokens(keys.CACHE_READ),
            self._tokens(keys.CACHE_WRITE) or self._tokens(keys.CACHE_CREATION),
            self._tokens(keys.REASONING),
            self._tokens(keys.AUDIO_INPUT),
            self._tokens(keys.AUDIO_OUTPUT),
            keys.INPUT in self._exclusive,
            keys.OUTPUT in self._exclusive,
        )
        before = counted.input, counted.output
        name = self._known(keys.PROVIDER)
        found = basis(counted, dialect, (provider(name) or "") if isinstance(name, str) else "", frozenset(self._has))
        if not found:
            return
        self._made[keys.BASIS] = found
        for key, old, new in ((keys.INPUT, before[0], counted.input), (keys.OUTPUT, before[1], counted.output)):
            if new is not None and new != old:
                self._made[key] = new
                if key in self._has:
                    self._replaced.add(key)

    def _tokens(self, key: str) -> int | None:
        value = self._known(key)
        return value if _is_whole(value) else None

    def _messages(self) -> None:
        for canonical in _MESSAGES:
            if canonical in self._has:
                self._flat(canonical)
        sources = self._sources()
        for canonical in _MESSAGES if sources else ():
            if canonical not in self._has:
                self._translated(canonical, sources)

    def _flat(self, canonical: str) -> None:
        """Gives messages of {role, content} their parts."""
        if not self._table.messages:
            return
        try:
            value = self._plain(canonical)
            found = self._object(canonical, value)
            if (
                not isinstance(found, list)
                or not found
                or all(isinstance(item, dict) and "parts" in item for item in found)
            ):
                return
            self._made[canonical] = dumped(listed(found, _role(canonical)))
            self._replaced.add(canonical)
        except UnusableError as error:
            self._count(OWN, error.reason)

    def _translated(self, canonical: str, sources: Sequence[tuple[str, MessageRow, Dialect]]) -> None:
        for source, row, dialect in sources:
            if row.canonical != canonical or (row.kinds and self._kind not in row.kinds):
                continue
            try:
                found = self._found(source, row)
                if not found:
                    continue
                text = dumped(found)
            except (UnusableError, RecursionError) as error:
                self._count(dialect.name, getattr(error, "reason", "messages"))
                continue
            self._made[canonical] = text
            self._served.add(dialect.name)
            if canonical == keys.OUTPUT_MESSAGES:
                self._reasons(found)
            return

    def _sources(self) -> list[tuple[str, MessageRow, Dialect]]:
        """Where the span may have messages, in the order in which they count; keys with an index are sorted out."""
        exact, below = self._plan.exact, self._plan.below
        if not (exact or below or self._events):
            return []
        return [
            each
            for each in self._table.sources
            if each[0] in exact or each[0] in below or (self._events and each[0].startswith(EVENT))
        ]

    def _reasons(self, answers: list[dict[str, Any]]) -> None:
        reasons = [answer["finish_reason"] for answer in answers if isinstance(answer.get("finish_reason"), str)]
        if reasons and self._known(keys.FINISH_REASONS) is None:
            self._made[keys.FINISH_REASONS] = reasons

    def _found(self, source: str, row: MessageRow) -> list[dict[str, Any]]:
        if row.form in (Form.EVENTS, Form.CONTENT_EVENT):
            return self._of_events(row)
        if not source.endswith("."):
            if source not in self._has:
                return []
            found = self._of_text(source, row.role)
            if found:
                self._used.add(source)
            return found
        below = self._plan.below[source]
        if sum(self._has[key][1] - self._has[key][0] for key in below) > MOST_BYTES:
            raise UnusableError("too_large")
        nodes = indexed.tree((key[len(source) :], self._plain(key)) for key in below)
        found = _indexed(nodes, row)
        if found and row.form is not Form.ANSWER:
            self._used.update(below)
        return found

    def _of_text(self, source: str, role: str) -> list[dict[str, Any]]:
        value = self._plain(source)
        if isinstance(value, str):
            if len(value) > MOST_BYTES:
                raise UnusableError("too_large")
            if value.lstrip()[:1] in ("{", "["):
                return listed(self._object(source, value), role)
            return listed(value, role) if value else []
        return listed(value, role) if value else []

    def _of_events(self, wanted: MessageRow) -> list[dict[str, Any]]:
        """Messages of all events that lead to the same attribute, in the events' order."""
        found: list[dict[str, Any]] = []
        used = []
        for begin, end in self._events:
            name = EVENT + self._parts.text(self._body, begin, end, _EVENT_NAME)
            for row, _ in self._table.messages.get(name, ()):
                if row.canonical != wanted.canonical:
                    continue
                if end - begin > MOST_BYTES:
                    raise UnusableError("too_large")
                found += self._of_event(begin, end, row)
                used.append((begin, end))
        self._used_events += used
        return found

    def _of_event(self, begin: int, end: int, row: MessageRow) -> list[dict[str, Any]]:
        has = self._parts.attributes(self._body, begin, end, _EVENT_ATTRIBUTES)
        said = {key: plain(self._body, at[2], at[3]) for key, at in has.items()}
        if row.form is Form.EVENTS:
            return [indexed.of_event(said, row.role)]
        content = next((said[key] for key in ("gen_ai.prompt", "gen_ai.completion", "content") if key in said), None)
        return indexed.of_content(content, row.role) if content is not None else []

    def _written(self) -> bytes:
        """The span's bytes less what is replaced, or what was translated where it is not kept, and what is new."""
        gone = [self._has[key][:2] for key in self._replaced]
        if not self._keep:
            gone += [
                self._has[key][:2] for key in self._used - self._replaced if key in self._has and key not in _SHARED
            ]
        out = []
        pos = self._begin
        for begin, end in sorted(gone):
            out.append(self._body[pos:begin])
            pos = end
        out.append(self._body[pos : self._end])
        out += [attribute(key, any_value(value)) for key, value in self._made.items()]
        return b"".join(out)


_SHARED: Final = frozenset((keys.OPERATION,))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000_000


def _role(canonical: str) -> str:
    return "user" if canonical == keys.INPUT_MESSAGES else "assistant"


def _indexed(nodes: dict[str, Any], row: MessageRow) -> list[dict[str, Any]]:
    match row.form:
        case Form.OPENINFERENCE:
            return indexed.openinference(nodes, row.role)
        case Form.TRACELOOP:
            return indexed.traceloop(nodes, row.role)
        case Form.TEXTS:
            return indexed.texts(nodes, row.role)
        case _:
            return indexed.answer(nodes)
