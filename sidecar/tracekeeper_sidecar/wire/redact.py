# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Finds the parts of a request that must be looked at for redaction, and writes a request anew with parts changed.

A part is a text of OTLP, or a whole KeyValue, or a field that OTLP does not know. Nothing is made for what needs no
look.
Compiled with the types in redact.pxd. What is given has been accepted by `scan.look`.
"""

from __future__ import annotations

from collections.abc import Callable

from tracekeeper_sidecar.wire import native, schema
from tracekeeper_sidecar.wire.varint import encode
from tracekeeper_sidecar.wire.walker import Walker

Part = tuple[int, int, int, int, int, int, int, int, int]
"""What it is (a place in PLACES), where its content begins and ends, its first and one past its last hit, where the
content of what holds it begins and ends (a span; the ResourceSpans for a resource; the ScopeSpans for a scope), its
number among the events or links of its span (else -1), and the number of the span in the request (-1 for resources and
scopes)."""
Edit = tuple[int, int, "bytes | None"]
"""Where the content of a field begins and ends, and what it is to be; None: the field goes."""

PLACES = (
    "unknown",
    "resource.attributes",
    "scope.attributes",
    "attributes",
    "events.attributes",
    "links.attributes",
    "resource.schema_url",
    "scope.schema_url",
    "resource.entity_refs",
    "scope.name",
    "scope.version",
    "trace_state",
    "name",
    "events.name",
    "links.trace_state",
    "status.message",
    "links.id",
)
UNKNOWN = 0
LINK_ID = 16
"""An id of a link that has not the size of one."""
_FIRST_TEXT = 6
_LINK_ID = LINK_ID

HIT_BITS = 10
"""A hit is where it ends, and in so many low bits the pattern."""

# A rule for each field of each message: 0 what OTLP does not know, 1 nothing to see, from 32 on a part (32 plus its
# place), from 64 on a message (64 plus its kind).
_NOTHING = 1
_PART = 32
_MESSAGE = 64
_KINDS = (
    "ExportTraceServiceRequest",
    "ResourceSpans",
    "ScopeSpans",
    "Span",
    "Event",
    "Link",
    "Status",
    "Resource",
    "InstrumentationScope",
    "EntityRef",
)
_SPAN = 3
_EVENT = 4
_LINK = 5
_PARTS = {
    ("Resource", "attributes"): 1,
    ("InstrumentationScope", "attributes"): 2,
    ("Span", "attributes"): 3,
    ("Event", "attributes"): 4,
    ("Link", "attributes"): 5,
    ("ResourceSpans", "schema_url"): 6,
    ("ScopeSpans", "schema_url"): 7,
    ("EntityRef", "schema_url"): 8,
    ("EntityRef", "type"): 8,
    ("EntityRef", "id_keys"): 8,
    ("EntityRef", "description_keys"): 8,
    ("InstrumentationScope", "name"): 9,
    ("InstrumentationScope", "version"): 10,
    ("Span", "trace_state"): 11,
    ("Span", "name"): 12,
    ("Event", "name"): 13,
    ("Link", "trace_state"): 14,
    ("Status", "message"): 15,
    ("Link", "trace_id"): 16,
    ("Link", "span_id"): 16,
}


def _rules() -> bytes:
    table = bytearray(32 * len(_KINDS))
    for index, kind in enumerate(_KINDS):
        for number, field in schema.MESSAGES[kind].items():
            if (kind, field.name) in _PARTS:
                rule = _PART + _PARTS[kind, field.name]
            elif field.kind == "message":
                rule = _MESSAGE + _KINDS.index(field.message)
            else:
                rule = _NOTHING
            table[32 * index + number] = rule
    return bytes(table)


_RULES = _rules()
_SLOTS = 4096
_MOST_KEYS = 2048
_LONGEST_KEY = 256
_UNSEEN = -1
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_BASIS = 0x9E3779B97F4A7C15
_PRIME = 0x5851F42D4C957F2D


def _nothing(part: Part) -> None:
    """Takes no part."""


class Finder(Walker):
    """For one thread at a time. `judge` says of a key whether what it names must be looked at (1) or not (0); it is
    asked once for each key, until there have been many."""

    def __init__(self, judge: Callable[[bytes], int]) -> None:
        Walker.__init__(self)
        self._judge = judge
        self._names: list[bytes] = [b""] * _SLOTS
        self._verdicts = [_UNSEEN] * 4096
        self._known = 0
        self._hits: list[int] = []
        self._take: Callable[[Part], object] = _nothing
        self._next = self._count = self._spans = 0
        self._by_key = self._every = 0
        self._from = self._until = 0

    def find(self, body: bytes, hits: list[int], by_key: bool, every: bool, take: Callable[[Part], object]) -> None:
        """Gives `take` the parts of `body` in which one of the `hits` ends (both ascending), one by one: there may be
        many; `by_key`: and KeyValues that their keys, or keys in them, may say must be looked at, and unknown fields;
        `every`: all parts. What `take` raises, and the judge, ends it."""
        self._hits = hits
        self._count = len(hits)
        self._next = self._spans = 0
        self._by_key = by_key
        self._every = every
        self._take = take
        try:
            self._message(body, 0, len(body), 0, -1, -1, -1, -1)
        finally:
            self._hits = []
            self._take = _nothing

    def _touches(self, begin: int, end: int) -> int:
        """Hits that end in (begin, end]: their places in [_from, _until). Must be asked in the order of the bytes."""
        while self._next < self._count:
            hit = self._hits[self._next]
            if hit >> 10 > begin:
                break
            self._next += 1
        self._from = self._until = self._next
        while self._until < self._count:
            hit = self._hits[self._until]
            if hit >> 10 > end:
                break
            self._until += 1
        return self._until - self._from

    def _message(
        self, data: bytes, begin: int, end: int, kind: int, owner: int, owner_end: int, index: int, span: int
    ) -> int:
        pos = begin
        events = links = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0  # Cannot be: it has been scanned.
            pos = stop
            if self.wire != 2:
                continue
            value = self.value
            rule = 0
            if self.number < 32:
                rule = _RULES[kind * 32 + self.number]
            if rule >= 64:
                rule -= 64
                if rule == _EVENT:
                    self._below(data, value, stop, rule, owner, owner_end, events, span)
                    events += 1
                elif rule == _LINK:
                    self._below(data, value, stop, rule, owner, owner_end, links, span)
                    links += 1
                elif rule <= _SPAN:
                    self._below(data, value, stop, rule, value, stop, index, span)
                else:
                    self._below(data, value, stop, rule, owner, owner_end, index, span)
            elif rule != 1:
                if rule >= 32:
                    rule -= 32
                self._part(data, value, stop, rule, owner, owner_end, index, span)
        return 0

    def _below(
        self, data: bytes, begin: int, end: int, kind: int, owner: int, owner_end: int, index: int, span: int
    ) -> int:
        """Looks into a message below, unless there is nothing in it."""
        if kind == _SPAN:
            span = self._spans
            self._spans += 1
        if kind >= _SPAN and not self._every and not self._by_key and self._touches(begin, end) == 0:
            return 0
        return self._message(data, begin, end, kind, owner, owner_end, index, span)

    def _part(
        self, data: bytes, begin: int, end: int, place: int, owner: int, owner_end: int, index: int, span: int
    ) -> int:
        if begin == end or (place == _LINK_ID and (end - begin == 16 or end - begin == 8)):
            return 0
        if self._touches(begin, end) or self._every or (self._by_key and self._wanted(data, begin, end, place)):
            self._take((place, begin, end, self._from, self._until, owner, owner_end, index, span))
        return 0

    def _wanted(self, data: bytes, begin: int, end: int, place: int) -> int:
        """Whether it must be looked at for keys."""
        if place == 0:
            return 1
        if place >= _FIRST_TEXT:
            return 0
        if data[begin] != 10 or data[begin + 1] > 127:
            return 1
        stop = begin + 2 + data[begin + 1]
        if stop + 2 > end or data[stop] != 18:
            return 1
        pos = stop + 1
        if data[pos] < 128:
            if pos + 1 + data[pos] != end:
                return 1
            pos += 1
        else:
            if self.next(data, stop, end) != end:
                return 1
            pos = self.value
        if pos < end and (self.next(data, pos, end) != end or self.number == 5 or self.number == 6):
            return 1  # Arrays and lists, in which there may be keys, however they are written.
        return self._verdict(data, begin + 2, stop)

    def _verdict(self, data: bytes, begin: int, end: int) -> int:
        # Keys differ in their ends, their middles and their lengths; what else they differ in is compared.
        size = end - begin
        if size < 8:
            mark = size
            pos = begin
            while pos < end:
                mark = mark << 8 | data[pos]
                pos += 1
        else:
            mark = native.fixed(data, end - 8) ^ (native.fixed(data, begin + (size - 8 >> 1)) * _PRIME & _ALL_64) ^ size
        mark = mark * _BASIS & _ALL_64
        slot = mark >> 52
        while self._verdicts[slot] >= 0:
            if self._same(data, begin, end, self._names[slot]):
                return self._verdicts[slot]
            slot = (slot + 1) & 4095
        name = data[begin:end]
        found = self._judge(name)
        if self._known == _MOST_KEYS:
            self._forget()
            slot = mark >> 52
        self._known += 1
        self._names[slot] = name
        self._verdicts[slot] = found
        return found

    def _same(self, data: bytes, begin: int, end: int, name: bytes) -> int:
        if len(name) != end - begin:
            return 0
        index = 0
        size = len(name)
        while index + 8 <= size:
            if native.fixed(data, begin + index) != native.fixed(name, index):
                return 0
            index += 8
        while index < size:
            if data[begin + index] != name[index]:
                return 0
            index += 1
        return 1

    def _forget(self) -> int:
        slot = 0
        while slot < _SLOTS:
            self._names[slot] = b""
            self._verdicts[slot] = _UNSEEN
            slot += 1
        self._known = 0
        return 0

    def rebuild(self, data: bytes, edits: list[Edit]) -> bytes:
        """`data` with the contents of these fields changed (ascending, disjoint), and the lengths of what is around
        made right. Fields that are not around an edit stay as they are, byte by byte."""
        return self._rebuild(data, 0, len(data), edits, 0, len(edits))

    def _rebuild(self, data: bytes, begin: int, end: int, edits: list[Edit], at: int, last: int) -> bytes:
        pieces: list[bytes] = []
        pos = copied = begin
        while pos < end and at < last:
            stop = self.next(data, pos, end)
            if stop < 0:
                raise ValueError("no protobuf")
            value = self.value
            number = self.number
            edit = edits[at]
            start = edit[0]
            if start >= stop:
                pos = stop
                continue
            if start < value or self.wire != 2:
                raise ValueError("an edit that is no field's content")
            pieces.append(data[copied:pos])
            finish = edit[1]
            content = edit[2]
            if start == value and finish == stop:
                at += 1
            else:
                first = at
                while at < last:
                    edit = edits[at]
                    finish = edit[1]
                    if finish > stop:
                        break
                    at += 1
                if first == at:
                    raise ValueError("an edit across fields")
                content = self._rebuild(data, value, stop, edits, first, at)
            if content is not None:
                pieces.append(encode(number << 3 | 2) + encode(len(content)))
                pieces.append(content)
            pos = copied = stop
        if at < last:
            raise ValueError("an edit outside")
        pieces.append(data[copied:end])
        return b"".join(pieces)
