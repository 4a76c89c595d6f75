# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Cuts out of a request the spans for which a condition holds; compiled with the types in match.pxd.

One pass reads of each span what the condition speaks of, which is mostly a few fields, and runs the program over it;
nothing else is decoded, and no object is made per span. Only when some spans match and some do not, a second pass
writes the request anew: what is kept keeps its order, its scope and its resource, byte for byte.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.program import Program
from tracekeeper_spec.condition.code import Code, Kind
from tracekeeper_spec.condition.names import KINDS, STATUSES, Place

_MISSING = int(Kind.MISSING)
_TRUTH = int(Kind.TRUTH)
_DURATION = int(Kind.DURATION)

_SPAN_ATTRIBUTE = int(Place.SPAN_ATTRIBUTE)
_RESOURCE_ATTRIBUTE = int(Place.RESOURCE_ATTRIBUTE)
_NAME = int(Place.NAME)
_KIND = int(Place.KIND)
_STATUS = int(Place.STATUS)
_STATUS_MESSAGE = int(Place.STATUS_MESSAGE)
_SPAN_DURATION = int(Place.DURATION)
_IS_ROOT = int(Place.IS_ROOT)

_EVENT_ATTRIBUTE = int(Place.EVENT_ATTRIBUTE)
_EVENT_NAME = int(Place.EVENT_NAME)

_ATTRIBUTE = 9 << 3 | 2
_ATTRIBUTE_PLACES = (Place.SPAN_ATTRIBUTE, Place.RESOURCE_ATTRIBUTE, Place.EVENT_ATTRIBUTE)
_KINDS = len(KINDS)
_STATUSES = len(STATUSES)
_MOST = 2**63 - 1
_LOW_32 = 0xFFFFFFFF
_NONE_KEPT = -1


def split(body: bytes, matcher: Matcher) -> tuple[bytes, int, int]:
    """The request with only the spans for which the condition holds, how many these are, and how many the others.

    When all are kept the request comes back as it is; when none is, it is empty. Raises ValueError when the body is not
    protobuf, which cannot happen to what the scanner has let pass.
    """
    return matcher.split(body)


class Matcher(Program):
    """A condition, ready to look at raw spans. For one thread at a time."""

    def __init__(self, code: Code) -> None:
        Program.__init__(self, code)
        self._index = 0
        sizes = {len(slot.key.encode()) for slot in code.slots if slot.place in _ATTRIBUTE_PLACES}
        self.key_sizes = sum(1 << size for size in sizes if size < 63)
        if max(sizes, default=0) > 62:
            self.key_sizes |= 1 << 63
        self._of_events = any(slot.place in (Place.EVENT_ATTRIBUTE, Place.EVENT_NAME) for slot in code.slots)

    def split(self, body: bytes) -> tuple[bytes, int, int]:
        """See the function of that name."""
        # A span takes two bytes at least: this is room for a mark on each.
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        marks = bytearray(total + 1)
        kept = self._judge(body, size, marks)
        if kept == total:
            return body, kept, 0
        if kept == 0:
            return b"", 0, total
        out = bytearray(size)
        written = self._write(body, size, marks, out)
        return bytes(memoryview(out)[:written]), kept, total - kept

    # Judging: which spans match.

    def _judge(self, data: bytes, end: int, marks: bytearray) -> int:
        """Marks the spans for which the condition holds, and returns how many they are."""
        pos = 0
        kept = 0
        self._index = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                kept += self._judge_resource(data, self.value, stop, marks)
            pos = stop
        return kept

    def _judge_resource(self, data: bytes, begin: int, end: int, marks: bytearray) -> int:
        kept = 0
        self.enter(data, begin, end)
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                kept += self._judge_scope(data, self.value, stop, marks)
            pos = stop
        return kept

    def _judge_scope(self, data: bytes, pos: int, end: int, marks: bytearray) -> int:
        kept = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                self._span(data, self.value, stop)
                if self._holds(data):
                    marks[self._index] = 1
                    kept += 1
                self._index += 1
            pos = stop
        return kept

    # For conditions on whole traces, which ask for one span, or for one event of one.

    def enter(self, data: bytes, begin: int, end: int) -> None:
        """Reads the resource of the ResourceSpans at [begin, end), for the spans in it."""
        if self._resource_keys:
            self._clear(_RESOURCE_ATTRIBUTE)
            pos = begin
            while pos < end:
                stop = self.next(data, pos, end)
                if stop < 0:
                    return
                if self.number == 1 and self.wire == 2:
                    self._attributes(data, self.value, stop, 1, _RESOURCE_ATTRIBUTE)
                pos = stop

    def test(self, data: bytes, begin: int, end: int) -> int:
        """Whether the condition holds for the span at [begin, end); of events, whether it holds for one of them."""
        self._span(data, begin, end)
        return self._asked(data, begin, end)

    def _asked(self, data: bytes, pos: int, end: int) -> int:
        """The same, once the span's slots are filled."""
        if not self._of_events:
            return self._holds(data)
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 11 and self.wire == 2:
                self._event(data, self.value, stop)
                if self._holds(data):
                    return 1
            pos = stop
        return 0

    # The same for one who reads the span for many conditions: `start`, `offer` for each attribute, `fill`.

    def start(self) -> None:
        if self._span_keys:
            self._clear(_SPAN_ATTRIBUTE)

    def offer(self, data: bytes, pos: int, end: int) -> None:
        """Takes the attribute of the span at [pos, end) if the condition speaks of it."""
        if self._span_keys:
            self._attribute(data, pos, end, _SPAN_ATTRIBUTE)

    def _event(self, data: bytes, pos: int, end: int) -> None:
        name = name_size = 0
        self._clear(_EVENT_ATTRIBUTE)
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.wire == 2:
                if self.number == 3:
                    self._attribute(data, self.value, stop, _EVENT_ATTRIBUTE)
                elif self.number == 2:
                    name = self.value
                    name_size = stop - name
            pos = stop
        slot = 0
        while slot < self._slots:
            if self._places[slot] == _EVENT_NAME:
                self._set_text(self._first_slot + slot, name, name_size, 1)
            slot += 1

    # Reading a span into the slots.

    def _clear(self, place: int) -> None:
        slot = 0
        while slot < self._slots:
            if self._places[slot] == place:
                self._kinds[self._first_slot + slot] = _MISSING
            slot += 1

    def _span(self, data: bytes, pos: int, end: int) -> None:
        name = name_size = message = message_size = kind = status = 0
        begin = finish = 0
        root = 1
        self.start()
        while pos < end:
            # Half of a span's fields are short attributes.
            if not self._span_keys and data[pos] == _ATTRIBUTE and pos + 1 < end and data[pos + 1] < 128:
                pos += 2 + data[pos + 1]
                continue
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            number = self.number
            if number == 9 and self.wire == 2:
                if self._span_keys:
                    self._attribute(data, self.value, stop, _SPAN_ATTRIBUTE)
            elif number == 7 and self.wire == 1:
                begin = self.as_fixed(data, self.value)
            elif number == 8 and self.wire == 1:
                finish = self.as_fixed(data, self.value)
            elif number == 6 and self.wire == 0:
                kind = self.read & _LOW_32
            elif number == 4 and self.wire == 2:
                root = self.value == stop
            elif number == 5 and self.wire == 2:
                name = self.value
                name_size = stop - name
            elif number == 15 and self.wire == 2:
                inner = self.value
                while inner < stop:
                    inner = self.next(data, inner, stop)
                    if inner < 0:
                        break
                    if self.number == 3 and self.wire == 0:
                        status = self.read & _LOW_32
                    elif self.number == 2 and self.wire == 2:
                        message = self.value
                        message_size = inner - message
            pos = stop
        self.fill(name, name_size, message, message_size, kind, status, begin, finish, root)

    def fill(
        self,
        name: int,
        name_size: int,
        message: int,
        message_size: int,
        kind: int,
        status: int,
        begin: int,
        finish: int,
        root: int,
    ) -> None:
        """Fills the slots for the span's own fields; texts are where they lie in the body."""
        slot = 0
        while slot < self._slots:
            place = self._places[slot]
            cell = self._first_slot + slot
            if place == _NAME:
                self._set_text(cell, name, name_size, 1)
            elif place == _KIND:
                self._set_word(cell, kind, 0, _KINDS)
            elif place == _STATUS:
                self._set_word(cell, status, _KINDS, _STATUSES)
            elif place == _STATUS_MESSAGE:
                self._set_text(cell, message, message_size, 1)
            elif place == _SPAN_DURATION:
                self._kinds[cell] = _DURATION
                self._numbers[cell] = _between(begin, finish)
            elif place == _IS_ROOT:
                self._kinds[cell] = _TRUTH
                self._numbers[cell] = root
            slot += 1

    def _attributes(self, data: bytes, pos: int, end: int, field: int, place: int) -> None:
        """Looks through the attributes in a message whose field `field` they are."""
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == field and self.wire == 2:
                self._attribute(data, self.value, stop, place)
            pos = stop

    def _attribute(self, data: bytes, pos: int, end: int, place: int) -> None:
        """Takes the KeyValue at [pos, end) if the condition speaks of it. Of a key written twice the first counts."""
        if self.is_unwanted(data, pos, end, self.key_sizes) or self._key_value(data, pos, end) < 0:
            return
        key = self._pair_key
        key_size = self._pair_key_end - key
        value = self._pair_value
        value_end = self._pair_value_end
        slot = 0
        while slot < self._slots:
            cell = self._first_slot + slot
            if self._places[slot] == place and self._kinds[cell] == _MISSING:
                if self._is_key(data, key, key_size, slot):
                    self._any(data, value, value_end, cell)
            slot += 1

    # Writing what is kept.

    def _write(self, data: bytes, end: int, marks: bytearray, out: bytearray) -> int:
        """Writes the request without the spans that have no mark, and returns its size. What is written is never longer
        than what was read."""
        pos = 0
        at = 0
        self._index = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                value = self.value
                index = self._index
                size = self._size_below(data, value, stop, marks, 1)
                if size != _NONE_KEPT:
                    self._index = index
                    at = native.put_head(out, at, 10, size)
                    at = self._write_below(data, value, stop, marks, out, at, 1)
            else:
                at = native.copy(out, at, data, pos, stop)
            pos = stop
        return at

    def _size_below(self, data: bytes, pos: int, end: int, marks: bytearray, level: int) -> int:
        """Bytes that ResourceSpans (level 1) or ScopeSpans (level 0) will have, or _NONE_KEPT."""
        size = 0
        kept = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                if level > 0:
                    inner = self._size_below(data, self.value, stop, marks, level - 1)
                    if inner != _NONE_KEPT:
                        size += 1 + native.varint_size(inner) + inner
                        kept = 1
                else:
                    if marks[self._index]:
                        size += stop - pos
                        kept = 1
                    self._index += 1
            else:
                size += stop - pos
            pos = stop
        if kept:
            return size
        return _NONE_KEPT

    def _write_below(
        self, data: bytes, pos: int, end: int, marks: bytearray, out: bytearray, at: int, level: int
    ) -> int:
        """Writes what `_size_below` has measured at `at`, and returns its end. Neighbours are copied in one go."""
        run = pos
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                if level > 0:
                    at = native.copy(out, at, data, run, pos)
                    run = stop
                    value = self.value
                    index = self._index
                    inner = self._size_below(data, value, stop, marks, level - 1)
                    if inner != _NONE_KEPT:
                        self._index = index
                        at = native.put_head(out, at, 18, inner)
                        at = self._write_below(data, value, stop, marks, out, at, level - 1)
                else:
                    if not marks[self._index]:
                        at = native.copy(out, at, data, run, pos)
                        run = stop
                    self._index += 1
            pos = stop
        return native.copy(out, at, data, run, end)


def _between(begin: int, finish: int) -> int:
    """Nanoseconds from a span's start to its end; 0 where one of them is unknown or they are the wrong way round."""
    if begin == 0 or finish <= begin:
        return 0
    if finish - begin > _MOST:
        return _MOST
    return finish - begin
