# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Reads protobuf field by field: the base of what looks into raw requests, compiled with the types in walker.pxd.

No byte outside of what it is given is read, whatever the bytes are.
"""

from __future__ import annotations

_CUT_OFF = -1
_MOST = 2**63 - 1
_ALL_64 = 0xFFFFFFFFFFFFFFFF


class Walker:
    """Stands at one field at a time; `next` moves it on."""

    def __init__(self) -> None:
        self.number = self.wire = self.value = self.read = self._at = 0
        self._pair_key = self._pair_key_end = self._pair_value = self._pair_value_end = 0

    def next(self, data: bytes, pos: int, end: int) -> int:
        """Reads the field at `pos`: its number, wire type, where its value begins, and for a varint the value. Returns
        where it ends, or _CUT_OFF."""
        # Nearly all fields are short ones with a number below 16.
        if pos + 1 < end and data[pos] < 128 and data[pos + 1] < 128 and data[pos] & 7 == 2:
            self.number = data[pos] >> 3
            self.wire = 2
            self.value = pos + 2
            stop = pos + 2 + data[pos + 1]
            if stop > end:
                return _CUT_OFF
            return stop
        if pos < end and data[pos] < 128:
            tag = data[pos]
            pos += 1
        else:
            if self._varint(data, pos, end) < 0:
                return _CUT_OFF
            tag = self.read
            pos = self._at
        self.wire = tag & 7
        self.number = tag >> 3
        self.value = pos
        if self.wire == 2:
            if self._varint(data, pos, end) < 0:
                return _CUT_OFF
            self.value = self._at
            if self.read > end - self._at:
                return _CUT_OFF
            return self._at + self.read
        if self.wire == 0:
            if self._varint(data, pos, end) < 0:
                return _CUT_OFF
            return self._at
        if self.wire == 1:
            pos += 8
        elif self.wire == 5:
            pos += 4
        else:
            return _CUT_OFF
        if pos > end:
            return _CUT_OFF
        return pos

    def _varint(self, data: bytes, pos: int, end: int) -> int:
        """Reads the varint at `pos` into `_read`, and where it ends into `_at`; 0, or _CUT_OFF."""
        if pos < end and data[pos] < 128:
            self.read = data[pos]
            self._at = pos + 1
            return 0
        value = 0
        shift = 0
        while pos < end and shift < 70:
            byte = data[pos]
            pos += 1
            value |= (byte & 127) << shift
            if byte < 128:
                self.read = value & _ALL_64
                self._at = pos
                return 0
            shift += 7
        return _CUT_OFF

    def as_fixed(self, data: bytes, pos: int) -> int:
        """The eight bytes at `pos` as an unsigned integer; they are known to be there."""
        value = 0
        shift = 0
        while shift < 64:
            byte = data[pos]
            value |= byte << shift
            pos += 1
            shift += 8
        return value

    def as_signed(self) -> int:
        """The varint that was read, as a signed number of 64 bits."""
        if self.read > _MOST:
            return self.read - _MOST - _MOST - 2
        return self.read

    def is_unwanted(self, data: bytes, pos: int, end: int, sizes: int) -> int:
        """Whether the KeyValue at [pos, end) is written as every library does, key first, and its key has none of the
        `sizes` (a bit for each below 63): then it need not be looked at. Of others nothing is said."""
        if end - pos < 4 or data[pos] != 10 or data[pos + 1] > 62 or sizes >> data[pos + 1] & 1:
            return 0
        pos += 2 + data[pos + 1]
        return pos + 1 < end and data[pos] == 18 and data[pos + 1] < 128 and pos + 2 + data[pos + 1] == end

    def _key_value(self, data: bytes, pos: int, end: int) -> int:
        """Notes where the key of the KeyValue at [pos, end) is, and its value: in `_pair_key`, `_pair_key_end`,
        `_pair_value` and `_pair_value_end`, 0 for what is not there. Of two the last counts. 0, or _CUT_OFF."""
        self._pair_key = self._pair_key_end = self._pair_value = self._pair_value_end = 0
        if end - pos > 3 and data[pos] == 10 and data[pos + 1] < 128 and pos + 2 + data[pos + 1] + 1 < end:
            # As every library writes it: the key, then the value.
            stop = pos + 2 + data[pos + 1]
            if data[stop] == 18 and data[stop + 1] < 128 and stop + 2 + data[stop + 1] == end:
                self._pair_key = pos + 2
                self._pair_key_end = stop
                self._pair_value = stop + 2
                self._pair_value_end = end
                return 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return _CUT_OFF
            if self.wire == 2:
                if self.number == 1:
                    self._pair_key = self.value
                    self._pair_key_end = stop
                elif self.number == 2:
                    self._pair_value = self.value
                    self._pair_value_end = stop
            pos = stop
        return 0

    def _find(self, data: bytes, pos: int, end: int) -> int:
        """Where the trace id of the span at [pos, end) is, or _CUT_OFF if it has none. Of two the first counts."""
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return _CUT_OFF
            if self.number == 1 and self.wire == 2 and stop - self.value == 16:
                return self.value
            pos = stop
        return _CUT_OFF

    def count(self, data: bytes, end: int) -> int:
        """Spans in the request, or _CUT_OFF; everything down to the spans' bounds is checked on the way."""
        pos = 0
        spans = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return _CUT_OFF
            if self.number == 1 and self.wire == 2:
                inner = self._count_below(data, self.value, stop, 1)
                if inner < 0:
                    return _CUT_OFF
                spans += inner
            pos = stop
        return spans

    def _count_below(self, data: bytes, pos: int, end: int, level: int) -> int:
        """Spans in ResourceSpans (level 1) or ScopeSpans (level 0), whose field 2 leads to them."""
        spans = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return _CUT_OFF
            if self.number == 2 and self.wire == 2:
                inner = 1
                if level > 0:
                    inner = self._count_below(data, self.value, stop, level - 1)
                    if inner < 0:
                        return _CUT_OFF
                spans += inner
            pos = stop
        return spans
