# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Keys of traces: what they have in common by some attributes, as a small number; compiled with the types in keys.pxd.

The values are hashed where they lie, and a number is given to each combination that was not seen yet; only then are
they decoded. Numbers are bounded: whatever comes beyond them shares number 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.varint import fields
from tracekeeper_sidecar.wire.walker import Walker

REST = 0
"""The key of all that have no number of their own."""
OPERATION = "operation"
"""In place of an attribute: the span's name."""
MOST_NAMES = 8

_ALL_64 = 0xFFFFFFFFFFFFFFFF
_BASIS = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_ABSENT = -1
_NAME = -2


class Keys(Walker):
    """Numbers for the values of up to eight attributes. For one thread at a time.

    `service.name` is one of the resource; others are looked for in the span first, and then in its resource.
    """

    def __init__(self, group_by: Sequence[str], most: int = 500) -> None:
        if len(group_by) > MOST_NAMES or not 1 <= most < 1 << 16:
            raise ValueError(f"{len(group_by)} names and {most} keys; at most {MOST_NAMES} and {(1 << 16) - 1}")
        Walker.__init__(self)
        self.group_by = tuple(group_by)
        self.most = most
        self._wanted = len(self.group_by)
        self._texts = [name.encode() for name in self.group_by]
        self._of_resource = [0] * 8
        for number, name in enumerate(self.group_by):
            self._of_resource[number] = name == "service.name"
        self._value = [0] * 8
        self._value_end = [0] * 8
        self._numbers: dict[int, int] = {}
        self._names: dict[int, tuple[str, ...]] = {}
        self._hashes: dict[int, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Keys that have a number of their own."""
        return len(self._numbers)

    def names(self, key: int) -> tuple[str, ...]:
        """The values, as many as `group_by` has; empty where one is missing. Of REST, and of what was released, ()."""
        return self._names.get(key, ())

    def numbers(self) -> list[int]:
        """All that are given away."""
        return list(self._hashes)

    def mark(self, key: int) -> int:
        """64 bits that stand for the key's values, in every process; 0 for REST, and for what was released."""
        return self._hashes.get(key, 0)

    def take(self, mark: int, names: Sequence[str]) -> int:
        """The number of the key that `mark` and `names` belong to, which an earlier process has seen; REST when there
        is no number left."""
        known = self._numbers.get(mark)
        return self._give(mark, tuple(names)) if known is None else known

    def release(self, key: int) -> None:
        """Give the number to the next new key. Traces that still have it are counted as the new one's."""
        if key in self._hashes:
            del self._numbers[self._hashes.pop(key)]
            del self._names[key]
            self._free.append(key)

    def _read(self, data: bytes, begin: int, end: int, span: int, span_end: int) -> int:
        """The key of the span at [span, span_end) in the ResourceSpans at [begin, end)."""
        name = 0
        while name < self._wanted:
            self._value[name] = _ABSENT
            name += 1
        self._look(data, span, span_end, 9, 1)
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                self._look(data, self.value, stop, 1, 0)
            pos = stop
        mixed = _BASIS
        name = 0
        while name < self._wanted:
            mixed = ((mixed ^ (name + 1)) * _PRIME) & _ALL_64
            pos = self._value[name]
            if pos >= 0:
                end = self._value_end[name]
                mixed = ((mixed ^ (end - pos)) * _PRIME) & _ALL_64
                while pos < end:
                    mixed = ((mixed ^ data[pos]) * _PRIME) & _ALL_64
                    pos += 1
            name += 1
        found = self._numbers.get(mixed)
        if found is None:
            return self._number(data, mixed)
        return found

    def _look(self, data: bytes, pos: int, end: int, field: int, span: int) -> None:
        """Notes where the values of wanted attributes are; `span` is 1 in a span, 0 in a resource."""
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.wire == 2:
                if self.number == field:
                    self._attribute(data, self.value, stop, span)
                elif span and self.number == 5:
                    self._take(data, b"operation", 0, 9, self.value, stop, span)
            pos = stop

    def _attribute(self, data: bytes, pos: int, end: int, span: int) -> None:
        if self._key_value(data, pos, end) < 0:
            return
        key = self._pair_key
        size = self._pair_key_end - key
        if size > 0 and not (size == 9 and native.same(data, key, b"operation", 9)):
            self._take(data, data, key, key + size, self._pair_value, self._pair_value_end, span)

    def _take(self, data: bytes, key: bytes, begin: int, end: int, value: int, value_end: int, span: int) -> None:
        """Takes the value if the name at [begin, end) of `key` is wanted. Of one that comes twice the first counts."""
        name = 0
        while name < self._wanted:
            text = self._texts[name]
            if self._value[name] < 0 and len(text) == end - begin and native.same(key, begin, text, end - begin):
                if not span or not self._of_resource[name]:
                    self._value[name] = value
                    self._value_end[name] = value_end
            name += 1

    def _number(self, data: bytes, mixed: int) -> int:
        """A number for a key that is new."""
        if len(self._numbers) >= self.most:
            return REST
        names = tuple(self._readable(data, name) for name in range(self._wanted))
        return self._give(mixed, names)

    def _give(self, mixed: int, names: tuple[str, ...]) -> int:
        if len(self._numbers) >= self.most:
            return REST
        number = self._free.pop() if self._free else len(self._numbers) + 1
        self._numbers[mixed] = number
        self._hashes[number] = mixed
        self._names[number] = names
        return number

    def _readable(self, data: bytes, name: int) -> str:
        if self._value[name] < 0:
            return ""
        value = bytes(data[self._value[name] : self._value_end[name]])
        if self.group_by[name] == OPERATION:
            return value.decode(errors="replace")
        return _decoded(value)


def _decoded(value: bytes) -> str:
    """An AnyValue for people: what is neither text nor a number as its bytes in hexadecimal."""
    try:
        found = list(fields(value, 0, len(value)))
    except ValueError:
        return value.hex()
    for field in found:
        content = value[field.value : field.end]
        match field.number, field.wire:
            case 1, 2:
                return content.decode(errors="replace")
            case 2, 0:
                return "true" if any(content) else "false"
            case 3, 0:
                number = sum((byte & 127) << 7 * place for place, byte in enumerate(content)) & _ALL_64
                return str(number - (1 << 64) if number >> 63 else number)
            case 4, 1:
                return repr(struct.unpack("<d", content)[0])
    return value.hex()
