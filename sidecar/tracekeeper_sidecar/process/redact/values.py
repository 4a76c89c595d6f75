"""Redacts one KeyValue of OTLP, with all that is nested in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from tracekeeper_sidecar.process.redact import content
from tracekeeper_sidecar.process.redact.matcher import CONTENT_LABEL, KEYS_LABEL, UNKNOWN_LABEL, Matcher, Report
from tracekeeper_sidecar.process.redact.prefilter import Aim
from tracekeeper_sidecar.process.redact.texts import DroppedError, Texts
from tracekeeper_sidecar.wire.varint import FieldSpan, delimited, encode, fields
from tracekeeper_spec.redact import Action, MessageContent

_KEY: Final = 1
_VALUE: Final = 2
_STRING: Final = 1
_BOOL: Final = 2
_ARRAY: Final = 5
_LIST: Final = 6
_BYTES: Final = 7
_LOOK: Final = 63
"""After so many fields it is looked at the clock."""
Aims = Collection[Aim] | None


def _first_two(value: bytes) -> list[FieldSpan]:
    """The first fields of a message, of which there may be many."""
    return [*islice(fields(value, 0, len(value)), 2)]


def _size(value: bytes) -> int:
    """Bytes of the text that an AnyValue is; of what is no text, those that it takes."""
    parts = _first_two(value)
    if len(parts) == 1 and parts[0].number == _STRING and parts[0].wire == 2:
        return parts[0].end - parts[0].value
    return len(value)


class Values:
    """For one thread at a time."""

    def __init__(self, matcher: Matcher, texts: Texts, message_content: MessageContent) -> None:
        self._matcher = matcher
        self._texts = texts
        self._content = message_content
        self._keeps = message_content is MessageContent.KEEP
        self._drops = matcher.action is Action.DROP
        self._judged: dict[bytes, str] = {}
        self._clean: set[bytes] = set()
        self._seen = 0

    def is_wanted(self, key: bytes) -> int:
        """Whether what the key names must be looked at because of it: 1 or 0."""
        return int(bool(self.pattern_of(key)) or (not self._keeps and content.is_content(key, of_event=True)))

    def pattern_of(self, key: bytes) -> str:
        """The pattern of keys that matches it; empty: none."""
        found = self._judged.get(key)
        if found is None:
            if len(self._judged) >= 4096:
                self._judged.clear()
            found = self._matcher.key_pattern(key)
            if len(key) <= 256:
                self._judged[key] = found
        return found

    def _fields(self, data: bytes) -> Iterator[FieldSpan]:
        """The fields of `data`, which may be many. Raises TooLongError."""
        for field in fields(data, 0, len(data)):
            # Of all messages together: there may be many small ones.
            self._seen += 1
            if self._seen & _LOOK == 0:
                self._matcher.look_at_clock()
            yield field

    def attribute(self, data: bytes, aims: Aims, report: Report, of_event: bool = False) -> bytes | None:
        """The content of the KeyValue `data` without what is to be hidden; None: it goes."""
        size = len(data)
        if 6 < size < 128 and data[0] == 10 and (middle := 2 + data[1]) < size - 4 and self._keeps:
            # Nearly all are a short key and a short text, written one after the other.
            if data[middle] == 18 and data[middle + 1] == size - middle - 2 and data[middle + 2] == 10:
                key = data[2:middle]
                if data[middle + 3] == size - middle - 4 and not self.pattern_of(key):
                    return self._short(data, middle, key, aims, report)
        key = b""
        values: list[bytes] = []
        twice = False
        for field in self._fields(data):
            if field.wire == 2 and field.number == _KEY:
                twice = twice or key != b""
                key = data[field.value : field.end]
            elif field.wire == 2 and field.number == _VALUE:
                values.append(data[field.value : field.end])
            elif field.wire == 2:
                twice = True
                report.tell(UNKNOWN_LABEL, field.end - field.value)
        # Parts of a message that stands in two are merged by all libraries.
        twice = twice or len(values) > 1
        value = values[0] if len(values) == 1 else b"".join(values)
        try:
            found = self._named(key, value, aims, report, of_event)
            if found is None:
                return None
            name = self._name(key, report)
        except DroppedError:
            return None
        if name == key and found == value and not twice:
            return data
        return delimited(_KEY, name) + (delimited(_VALUE, found) if values else b"")

    def _short(self, data: bytes, middle: int, key: bytes, aims: Aims, report: Report) -> bytes | None:
        """The same, where the key ends at `middle` and its value is a text."""
        text = data[middle + 4 :]
        try:
            found = self._texts.redact(text, aims, report)
            name = self._name(key, report)
        except DroppedError:
            return None
        if found is text and name is key:
            return data
        return delimited(_KEY, name) + delimited(_VALUE, delimited(_STRING, found))

    def _name(self, key: bytes, report: Report) -> bytes:
        """The key itself, which may hold something, too. It is looked at for everything, once."""
        if key in self._clean:
            return key
        found = self._texts.redact(key, None, report)
        if found is key and len(key) <= 256:
            if len(self._clean) >= 4096:
                self._clean.clear()
            self._clean.add(key)
        return found

    def _named(self, key: bytes, value: bytes, aims: Aims, report: Report, of_event: bool) -> bytes | None:
        if why := self.pattern_of(key):
            return self._hidden(value, why, report)
        if not self._keeps and content.is_content(key, of_event):
            if self._content is MessageContent.DROP:
                report.tell(CONTENT_LABEL, _size(value))
                return None
            if not content.is_structure(key):
                blank = self._blank(value)
                if blank != value:
                    report.tell(CONTENT_LABEL, _size(value))
                return blank
            if not self._is_word(value):
                report.tell(CONTENT_LABEL, _size(value))
                return self._mask(value)
        return self._value(value, aims, report)

    def _hidden(self, value: bytes, why: str, report: Report) -> bytes | None:
        """What stands in place of a value whose key says that it is to be hidden. Yes and no may stay."""
        parts = _first_two(value)
        if not parts or (len(parts) == 1 and parts[0].number == _BOOL and parts[0].wire == 0):
            return value
        mask = self._mask(value)
        if mask == value or (len(parts) == 1 and parts[0].value == parts[0].end):
            return value
        report.tell(KEYS_LABEL, _size(value), why)
        return None if self._drops else mask

    def _mask(self, value: bytes) -> bytes:
        parts = _first_two(value)
        only = parts[0] if len(parts) == 1 and parts[0].number == _STRING and parts[0].wire == 2 else None
        return delimited(_STRING, self._matcher.mask(value[only.value : only.end] if only else value))

    def _is_word(self, value: bytes) -> bool:
        return all(
            part.wire == 0 or (part.number == _STRING and content.is_word(value[part.value : part.end]))
            for part in self._fields(value)
        )

    def _blank(self, value: bytes) -> bytes:
        """What was said, blanked: texts as they are, numbers and whatever else as a text."""
        made = []
        for field in self._fields(value):
            inner = value[field.value : field.end]
            if field.wire == 2 and field.number == _STRING:
                made.append(delimited(_STRING, content.blanked(inner, self._matcher.mask(inner))))
            elif field.wire == 2 and field.number == _ARRAY:
                each = b"".join(
                    delimited(1, self._blank(inner[one.value : one.end]))
                    for one in self._fields(inner)
                    if one.wire == 2 and one.number == 1
                )
                made.append(delimited(_ARRAY, each))
            elif field.wire == 2 and field.number == _LIST:
                made.append(delimited(_LIST, b"".join(self._blank_member(inner))))
            else:
                made.append(delimited(_STRING, self._matcher.mask(value[field.start : field.end])))
        return b"".join(made)

    def _blank_member(self, members: bytes) -> list[bytes]:
        made = []
        for member in self._fields(members):
            if member.wire != 2 or member.number != 1:
                continue
            key = b""
            values = []
            inner = members[member.value : member.end]
            for field in self._fields(inner):
                if field.wire == 2 and field.number == _KEY:
                    key = inner[field.value : field.end]
                elif field.wire == 2 and field.number == _VALUE:
                    values.append(inner[field.value : field.end])
            value = b"".join(values)
            stays = key in (b"role", b"type", b"finish_reason") and self._is_word(value)
            name = key if content.is_word(key) else self._matcher.mask(key)
            made.append(delimited(1, delimited(1, name) + delimited(2, value if stays else self._blank(value))))
        return made

    def _value(self, value: bytes, aims: Aims, report: Report) -> bytes:
        """The content of an AnyValue."""
        made = []
        changed = False
        for field in self._fields(value):
            inner = value[field.value : field.end]
            if field.wire != 2:
                made.append(value[field.start : field.end])
                continue
            if field.number in (_STRING, _BYTES):
                found = self._texts.redact(inner, aims, report)
            elif field.number == _ARRAY:
                found = self._elements(inner, aims, report)
            elif field.number == _LIST:
                found = self._members(inner, aims, report)
            else:
                report.tell(UNKNOWN_LABEL, len(inner))
                changed = True
                continue
            if found is inner:
                made.append(value[field.start : field.end])
            else:
                changed = True
                made.append(encode(field.number << 3 | 2) + encode(len(found)) + found)
        return b"".join(made) if changed else value

    def _elements(self, data: bytes, aims: Aims, report: Report) -> bytes:
        made = []
        changed = False
        for field in self._fields(data):
            inner = data[field.value : field.end]
            if field.wire != 2 or field.number != 1:
                report.tell(UNKNOWN_LABEL, len(inner))
                changed = True
                continue
            try:
                found = self._value(inner, aims, report)
            except DroppedError:
                changed = True
                continue
            changed = changed or found is not inner
            made.append(delimited(1, found))
        return b"".join(made) if changed else data

    def _members(self, data: bytes, aims: Aims, report: Report) -> bytes:
        made = []
        changed = False
        for field in self._fields(data):
            inner = data[field.value : field.end]
            found = self.attribute(inner, aims, report) if field.wire == 2 and field.number == 1 else None
            changed = changed or found is not inner
            if found is not None:
                made.append(delimited(1, found))
        return b"".join(made) if changed else data
