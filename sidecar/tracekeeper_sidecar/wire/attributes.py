# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Copies, renames, deletes and sets attributes of every span, or of every resource, of a request; compiled with the
types in attributes.pxd.

One pass over each message finds the attributes that are spoken of; where nothing changes it is copied with its others.
Those that go are left out then. What is new is written behind the message's other fields, which protobuf allows.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_sidecar.wire.walker import Walker

MAX_KEYS = 192
MAX_MOVES = 32
MAX_SETS = 32
_NONE = -1
_OF_SPAN = 9
_OF_RESOURCE = 1
_HELD = 4194304
_FOUND = 64
"""Attributes of one message that are spoken of and noted; where there are more they are looked for again."""
_SLACK = 64
"""Bytes that the heads around a message may grow by, and more."""


class Changes(Walker):
    """What is done to attributes. For one thread at a time."""

    def __init__(
        self,
        moves: Sequence[tuple[str, str, bool]],
        deleted: Sequence[str],
        put: Sequence[tuple[str, bool]],
        matcher: Matcher | None,
        of_resource: bool,
    ) -> None:
        """`moves` are from, to, and whether `from` goes; `put` the keys that are set, and whether only where they are
        missing. At most MAX_MOVES, MAX_SETS, and MAX_KEYS different keys in all."""
        Walker.__init__(self)
        names = [*(name for move in moves for name in move[:2]), *deleted, *(key for key, _ in put)]
        keys = [key.encode() for key in dict.fromkeys(names)]
        number = {key: index for index, key in enumerate(dict.fromkeys(names))}
        if len(keys) > MAX_KEYS or len(moves) > MAX_MOVES or len(put) > MAX_SETS:
            raise ValueError("too many attributes")
        self._keys = len(keys)
        self._pool = b"".join(keys)
        self._key_size = _padded([len(key) for key in keys], MAX_KEYS)
        self._key_at = _padded([sum(map(len, keys[:index])) for index in range(len(keys))], MAX_KEYS)
        self._key_sizes = sum(1 << size for size in {len(key) for key in keys} if size < 63)
        self._moves = len(moves)
        self._from = _padded([number[move[0]] for move in moves], MAX_MOVES)
        self._to = _padded([number[move[1]] for move in moves], MAX_MOVES)
        self._goes = _padded([int(move[2]) for move in moves], MAX_MOVES)
        self._sets = len(put)
        self._set_key = _padded([number[key] for key, _ in put], MAX_SETS)
        self._if_missing = _padded([int(missing) for _, missing in put], MAX_SETS)
        self._deleted = _padded([int(key.decode() in set(deleted)) for key in keys], MAX_KEYS)
        self._set_at = _padded([], MAX_SETS)
        self._set_size = _padded([], MAX_SETS)
        self._active = _padded([], MAX_SETS)
        self._seen = _padded([], MAX_KEYS)
        self._gone = _padded([], MAX_KEYS)
        self._arrives = _padded([], MAX_KEYS)
        self._value_at = _padded([], MAX_KEYS)
        self._value_end = _padded([], MAX_KEYS)
        self._found_at = _padded([], _FOUND)
        self._found_end = _padded([], _FOUND)
        self._found_key = _padded([], _FOUND)
        self._found = 0
        self._values: tuple[bytes, ...] = ()
        self._texts = b""
        self._matcher = matcher
        self._of_resource = int(of_resource)
        self._field = _OF_SPAN
        if of_resource:
            self._field = _OF_RESOURCE
        self._tag = self._field << 3 | 2
        self._room = self._out = bytearray()
        self._written = self._run = self._changed = self._most = 0

    def run(self, body: bytes, values: tuple[bytes, ...]) -> tuple[bytes, int]:
        """The request as it is afterwards, the very same if nothing changed, and how many spans or resources changed.

        `values` are for what is set: serialised KeyValues, empty where the value is not known and nothing is set.
        Raises ValueError when the body is not protobuf, which cannot happen to what the scanner has let pass.
        """
        size = len(body)
        if self.count(body, size) < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        if values is not self._values:
            self._take_values(values)
        self._most = size + (size >> 2) + 1024
        if len(self._room) < self._most:
            self._room = bytearray(self._most)
        self._out = self._room
        self._most = size + _SLACK
        self._written = self._run = self._changed = 0
        self._request(body, size)
        changed = self._changed
        found = body
        if changed:
            found = bytes(memoryview(self._room)[: self._written])
        if len(self._room) > _HELD:
            self._room = self._out = bytearray()
        return found, changed

    def _take_values(self, values: tuple[bytes, ...]) -> None:
        at = 0
        for index, value in enumerate(values):
            self._set_at[index] = at
            self._set_size[index] = len(value)
            at += len(value)
        self._texts = b"".join(values)
        self._values = values

    def _allow(self, size: int) -> None:
        """Makes sure that there is room for `size` bytes more than the request has, besides what was allowed before."""
        self._most += size
        if self._most > len(self._room):
            room = bytearray(self._most * 2)
            native.copy(room, 0, self._room, 0, self._written)
            self._room = room
            self._out = room

    def _request(self, data: bytes, end: int) -> None:
        pos = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                begin = self.value
                self._written = native.copy(self._out, self._written, data, self._run, pos)
                if self._matcher is not None:
                    self._matcher.enter(data, begin, stop)
                self._group(data, begin, stop, 10, 1)
                self._run = stop
            pos = stop
        self._written = native.copy(self._out, self._written, data, self._run, end)

    def _group(self, data: bytes, begin: int, end: int, tag: int, level: int) -> None:
        """Writes ResourceSpans (level 1) or ScopeSpans (level 0) with its tag and length."""
        self._allow(_SLACK)
        head = self._written
        # Most often the length takes as many bytes as it did, so that what is written need not be moved.
        value = head + 1 + native.varint_size(end - begin)
        self._written = value
        self._run = begin
        pos = begin
        resources = 0
        if level > 0 and self._of_resource:
            resources = self._resource(data, begin, end)
        while pos < end:
            stop = self.next(data, pos, end)
            inner = self.value
            if self.wire == 2:
                if self.number == 2:
                    if level == 0:
                        self._message(data, inner, stop, 18, pos)
                    elif not self._of_resource:
                        self._written = native.copy(self._out, self._written, data, self._run, pos)
                        self._group(data, inner, stop, 18, 0)
                        self._run = stop
                elif self.number == 1 and resources == 1:
                    self._message(data, inner, stop, 10, pos)
                    resources = 2
            pos = stop
        self._written = native.copy(self._out, self._written, data, self._run, end)
        size = self._written - value
        actual = head + 1 + native.varint_size(size)
        if actual != value:
            self._written = native.move(self._out, actual, value, self._written)
        native.put_head(self._out, head, tag, size)

    def _resource(self, data: bytes, pos: int, end: int) -> int:
        """1 if the first resource there is to be looked at, 0 if not, or if there was none and one has been written."""
        if self._matcher is not None and not self._matcher.test(data, end, end):
            return 0
        begin = pos
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                return 1
            pos = stop
        self._message(data, begin, begin, 10, begin)
        return 0

    def _message(self, data: bytes, begin: int, end: int, tag: int, pos: int) -> None:
        """Writes the span or resource at [begin, end), whose tag is at `pos`, with all before it, if it changes."""
        if self._matcher is not None and not self._of_resource and not self._matcher.test(data, begin, end):
            return
        self._look(data, begin, end)
        added = self._decide()
        if added < 0:
            return
        self._changed += 1
        self._allow(added + _SLACK)
        self._written = native.copy(self._out, self._written, data, self._run, pos)
        head = self._written
        value = head + 1 + native.varint_size(end - begin + added)
        self._written = value
        self._leave_out(data, begin, end)
        self._append(data)
        self._run = end
        size = self._written - value
        actual = head + 1 + native.varint_size(size)
        if actual != value:
            self._written = native.move(self._out, actual, value, self._written)
        native.put_head(self._out, head, tag, size)

    def _look(self, data: bytes, pos: int, end: int) -> None:
        """Notes where the values of the attributes are that are spoken of."""
        self._found = 0
        index = 0
        while index < self._keys:
            self._seen[index] = 0
            self._gone[index] = self._deleted[index]
            self._arrives[index] = 0
            index += 1
        while pos < end:
            if data[pos] == self._tag and pos + 1 < end and data[pos + 1] < 128:
                stop = pos + 2 + data[pos + 1]
                if stop > end:
                    return
                if self.is_unwanted(data, pos + 2, stop, self._key_sizes):
                    pos = stop
                    continue
                begin = pos + 2
            else:
                stop = self.next(data, pos, end)
                if stop < 0:
                    return
                if self.number != self._field or self.wire != 2:
                    pos = stop
                    continue
                begin = self.value
            self._note(data, begin, stop, pos)
            pos = stop

    def _note(self, data: bytes, pos: int, end: int, tag: int) -> None:
        index = self._key(data, pos, end)
        if index < 0:
            return
        if self._found < _FOUND:
            self._found_at[self._found] = tag
            self._found_end[self._found] = end
            self._found_key[self._found] = index
        self._found += 1
        if self._seen[index]:
            return
        self._seen[index] = 1
        self._value_at[index] = self._value_end[index] = pos
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 2 and self.wire == 2:
                self._value_at[index] = self.value
                self._value_end[index] = stop
            pos = stop

    def _key(self, data: bytes, pos: int, end: int) -> int:
        """The number of the key that the KeyValue at [pos, end) has, or _NONE."""
        key = size = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return _NONE
            if self.number == 1 and self.wire == 2:
                key = self.value
                size = stop - key
            pos = stop
        index = 0
        while index < self._keys:
            if self._key_size[index] == size and self._is(data, key, index, size):
                return index
            index += 1
        return _NONE

    def _is(self, data: bytes, at: int, index: int, size: int) -> int:
        other = self._key_at[index]
        pool = self._pool
        offset = 0
        while offset < size:
            if data[at + offset] != pool[other + offset]:
                return 0
            offset += 1
        return 1

    def _decide(self) -> int:
        """What goes and what comes; the bytes that come at most, or _NONE if nothing does either."""
        added = change = index = 0
        while index < self._moves:
            source = self._from[index]
            if self._seen[source]:
                target = self._to[index]
                self._gone[target] = 1
                self._arrives[target] = 1
                if self._goes[index]:
                    self._gone[source] = 1
                added += self._key_size[target] + self._value_end[source] - self._value_at[source] + _SLACK
                change = 1
            index += 1
        index = 0
        while index < self._sets:
            key = self._set_key[index]
            self._active[index] = 0
            if self._set_size[index] > 0:
                if not self._if_missing[index] or not (self._arrives[key] or (self._seen[key] and not self._gone[key])):
                    self._active[index] = 1
                    added += self._set_size[index] + 12
                    change = 1
            index += 1
        index = 0
        while index < self._sets:
            if self._active[index]:
                self._gone[self._set_key[index]] = 1
            index += 1
        index = 0
        while index < self._keys and not change:
            change = self._seen[index] and self._gone[index]
            index += 1
        if change:
            return added
        return _NONE

    def _leave_out(self, data: bytes, pos: int, end: int) -> None:
        """Writes the message without the attributes that go."""
        run = pos
        number = 0
        while number < self._found and self._found <= _FOUND:
            if self._gone[self._found_key[number]]:
                self._written = native.copy(self._out, self._written, data, run, self._found_at[number])
                run = self._found_end[number]
            number += 1
        while self._found > _FOUND and pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == self._field and self.wire == 2:
                index = _NONE
                begin = self.value
                if not self.is_unwanted(data, begin, stop, self._key_sizes):
                    index = self._key(data, begin, stop)
                if index >= 0 and self._gone[index]:
                    self._written = native.copy(self._out, self._written, data, run, pos)
                    run = stop
            pos = stop
        self._written = native.copy(self._out, self._written, data, run, end)

    def _append(self, data: bytes) -> None:
        """Writes the attributes that come."""
        pool = self._pool
        texts = self._texts
        index = 0
        while index < self._moves:
            source = self._from[index]
            if self._seen[source]:
                key = self._to[index]
                key_size = self._key_size[key]
                size = self._value_end[source] - self._value_at[source]
                total = 2 + native.varint_size(key_size) + key_size + native.varint_size(size) + size
                at = native.put_head(self._out, self._written, self._tag, total)
                at = native.put_head(self._out, at, 10, key_size)
                at = native.copy(self._out, at, pool, self._key_at[key], self._key_at[key] + key_size)
                at = native.put_head(self._out, at, 18, size)
                self._written = native.copy(self._out, at, data, self._value_at[source], self._value_end[source])
            index += 1
        index = 0
        while index < self._sets:
            if self._active[index]:
                size = self._set_size[index]
                at = native.put_head(self._out, self._written, self._tag, size)
                self._written = native.copy(self._out, at, texts, self._set_at[index], self._set_at[index] + size)
            index += 1


def _padded(numbers: Sequence[int], size: int) -> list[int]:
    return [*numbers, *[0] * (size - len(numbers))]
