# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Consistent probability sampling, as OpenTelemetry has it; compiled with the types in probability.pxd.

A trace has a randomness R of 56 bits: `rv` of its tracestate's `ot` entry, else the low seven bytes of its id. It is
kept with probability p where R >= T, with the threshold T = (1 - p) * 2**56, whoever decides. A span that was kept says
so in `th`: T in hexadecimal without its trailing zeros, so that its weight 1 / p can be had back. Format:
https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

NEVER = 1 << 56
"""The threshold of probability 0."""

_NEVER = 1 << 56
_LOW_56 = 0xFFFFFFFFFFFFFF
_LONGEST_ENTRY = 256
_LONGEST = 512
_MEMBERS = 32
_UNCHANGED = -1
_ABSENT = -1
_WHOLE = 47 << 10
"""`brief` of 0: what is kept is 1024 << 46 then."""


def threshold(probability: float) -> int:
    """T for it: 0 for 1, NEVER for 0. Raises ValueError unless it is from 0 to 1."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability {probability}; must be from 0 to 1")
    return NEVER - round(probability * NEVER)


def probability(threshold: int) -> float:
    """The share of traces that a threshold keeps."""
    return (NEVER - threshold) / NEVER


def randomness(trace_id: bytes) -> int:
    """R of a trace that does not say it."""
    return int.from_bytes(trace_id[9:16])


def brief(threshold: int) -> int:
    """A threshold below NEVER in 16 bits: higher for a higher one, 0 for none and for 0. The share that it keeps is
    known to a thousandth of itself: by its first eleven bits, and how far they are shifted."""
    if threshold <= 0:
        return 0
    kept = _NEVER - threshold
    shift = 0
    while kept >= 2048:
        kept >>= 1
        shift += 1
    return _WHOLE - (shift << 10) - kept


def stands_for(brief: int) -> float:
    """How many traces each one stands for that is kept by it."""
    rest = _WHOLE - brief
    if rest < 2048:
        return _NEVER / rest
    return _NEVER / ((1024 + (rest & 1023)) << ((rest >> 10) - 1))


class Tracestate:
    """Reads one tracestate at a time, and writes it anew. For one thread at a time."""

    def __init__(self) -> None:
        self.threshold = _ABSENT
        """What `read` has found in `th`, or -1."""
        self.randomness = _ABSENT
        """The same of `rv`."""
        self.room = bytearray(1024)
        """Where `write` puts the new one."""
        self._begin = self._end = self._value = self._value_end = self._th = self._members = 0

    def parse(self, tracestate: bytes) -> tuple[int | None, int | None]:
        """What `th` and `rv` say; None where one is missing or malformed."""
        self.read(tracestate, 0, len(tracestate))
        found = self.threshold, self.randomness
        return (None if found[0] < 0 else found[0]), (None if found[1] < 0 else found[1])

    def at(self, tracestate: bytes, threshold: int) -> bytes:
        """It with the threshold `th`, unless it says a higher one; as it is where there is no room."""
        size = self.write(tracestate, 0, len(tracestate), threshold, 0)
        return tracestate if size < 0 else bytes(memoryview(self.room)[:size])

    def erased(self, tracestate: bytes) -> bytes:
        """It without `th`."""
        size = self.write(tracestate, 0, len(tracestate), 0, 1)
        return tracestate if size < 0 else bytes(memoryview(self.room)[:size])

    def read(self, data: bytes, pos: int, end: int) -> None:
        """Looks for `th` and `rv` in the tracestate at [pos, end)."""
        self.threshold = _ABSENT
        self.randomness = _ABSENT
        self._begin = self._end = _ABSENT
        self._th = _ABSENT
        self._members = 0
        while pos < end:
            stop = pos
            while stop < end and data[stop] != 44:  # A comma.
                stop += 1
            self._members += 1
            if self._begin < 0:
                self._member(data, pos, stop)
            pos = stop + 1

    def _member(self, data: bytes, pos: int, end: int) -> None:
        """Reads the list member at [pos, end) if its key is `ot`."""
        begin = pos
        stop = end
        while pos < end and (data[pos] == 32 or data[pos] == 9):
            pos += 1
        while end > pos and (data[end - 1] == 32 or data[end - 1] == 9):
            end -= 1
        if end - pos < 3 or data[pos] != 111 or data[pos + 1] != 116 or data[pos + 2] != 61:
            return
        self._begin = begin
        self._end = stop
        pos += 3
        self._value = pos
        self._value_end = end
        while pos < end:
            part = pos
            while pos < end and data[pos] != 59:  # A semicolon.
                pos += 1
            if pos - part >= 3 and data[part + 2] == 58:
                if data[part] == 116 and data[part + 1] == 104:
                    if self._th < 0:
                        self._th = part
                        if pos - part - 3 <= 14:
                            self.threshold = _hexadecimal(data, part + 3, pos)
                elif data[part] == 114 and data[part + 1] == 118:
                    if self.randomness < 0 and pos - part - 3 == 14:
                        self.randomness = _hexadecimal(data, part + 3, pos)
            pos += 1

    def write(self, data: bytes, pos: int, end: int, threshold: int, erase: int) -> int:
        """Puts the tracestate at [pos, end) into `room` with `th` set, or erased, and returns its size; -1 if it is to
        stay as it is."""
        self.read(data, pos, end)
        if erase:
            if self._th < 0:
                return _UNCHANGED
        elif self.threshold >= threshold or threshold >= _NEVER:
            return _UNCHANGED
        # At most 21 bytes and a comma are added.
        if end - pos + 24 > _LONGEST and not erase:
            return _UNCHANGED
        if end - pos > 1000:
            return _UNCHANGED
        size = self._entry(data, threshold, erase)
        if size > _LONGEST_ENTRY or (self._begin < 0 and self._members >= _MEMBERS):
            return _UNCHANGED
        return self._others(data, pos, end, size)

    def _entry(self, data: bytes, threshold: int, erase: int) -> int:
        """Writes the new `ot` entry, and returns its size: 0 if nothing is left of it."""
        room = self.room
        size = 3
        room[0] = 111
        room[1] = 116
        room[2] = 61
        if not erase:
            room[3] = 116
            room[4] = 104
            room[5] = 58
            size = 6
            rest = threshold
            more = 1
            while more:
                digit = rest >> 52
                room[size] = digit + 48
                if digit > 9:
                    room[size] = digit + 87
                size += 1
                rest = rest << 4 & _LOW_56
                more = rest != 0
        if self._begin < 0:
            return size
        pos = self._value
        end = self._value_end
        while pos < end:
            part = pos
            while pos < end and data[pos] != 59:
                pos += 1
            if pos > part and not (pos - part > 2 and native.same(data, part, b"th:", 3)):
                if size > 3:
                    room[size] = 59
                    size += 1
                size = native.copy(room, size, data, part, pos)
            pos += 1
        if size == 3:
            return 0
        return size

    def _others(self, data: bytes, pos: int, end: int, size: int) -> int:
        """Writes the other members behind the entry, byte for byte, and returns the size of it all."""
        room = self.room
        begin = self._begin
        stop = self._end
        if begin < 0:
            begin = stop = pos
        left = begin
        if left > pos and stop >= end:
            left -= 1  # The comma before the last one.
        if stop < end and data[stop] == 44:
            stop += 1
        if size > 0 and (left > pos or stop < end):
            room[size] = 44
            size += 1
        size = native.copy(room, size, data, pos, left)
        return native.copy(room, size, data, stop, end)


def _hexadecimal(data: bytes, pos: int, end: int) -> int:
    """The digits at [pos, end), at most 14, as the first ones of 14; -1 where they are none."""
    value = 0
    digits = 0
    if pos >= end:
        return _ABSENT
    while pos < end:
        byte = data[pos]
        if byte >= 48 and byte <= 57:
            value = value << 4 | (byte - 48)
        elif byte >= 97 and byte <= 102:
            value = value << 4 | (byte - 87)
        else:
            return _ABSENT
        digits += 1
        pos += 1
    return value << (4 * (14 - digits))
