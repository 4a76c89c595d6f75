# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Cuts a request into one for each shard, every trace whole in one of them; compiled with the types in shard.pxd.

Rendezvous hashing: a trace goes to the shard for which the hash of its id and the shard's name is largest. Whoever has
the same names cuts in the same way, and a shard that comes or goes moves no traces but its own. Hashed is with the last
steps of splitmix64, which let every bit of its input change every bit of its result.

In each part spans keep their order, their scope and their resource, byte for byte. No object is made per span.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.walker import Walker

MOST_SHARDS = 256

_ALL_64 = 0xFFFFFFFFFFFFFFFF
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_REQUEST = 2
"""Levels above a span; 1 is ResourceSpans, 0 is ScopeSpans."""


class Sharder(Walker):
    """Cuts requests, one after the other. For one thread at a time."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises ValueError for no names, or for more than MOST_SHARDS."""
        Walker.__init__(self)
        if not 0 < len(names) <= MOST_SHARDS:
            raise ValueError(f"{len(names)} shards; there may be 1 to {MOST_SHARDS}")
        seeds = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) for name in names]
        self._seeds = seeds + [0] * (256 - len(seeds))
        self._counts = [0] * 256
        self._shards = len(seeds)
        self._index = self._last = self._hi = self._lo = self._has_last = 0

    def split(self, body: bytes) -> list[tuple[int, bytes, int]]:
        """For each shard that gets spans: its number, its request, and how many spans that holds.

        If one gets all of them the request comes back as it is. Spans without an id that is one go together. Raises
        ValueError when the body is not protobuf, which cannot happen to what the scanner has let pass.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        marks = bytearray(total + 1)
        shard = 0
        while shard < self._shards:
            self._counts[shard] = 0
            shard += 1
        self._index = 0
        self._assign(body, 0, size, marks, _REQUEST)
        parts: list[tuple[int, bytes, int]] = []
        room = bytearray(size + 1)
        shard = 0
        while shard < self._shards:
            spans = self._counts[shard]
            if spans == total:
                return [(shard, body, spans)]
            if spans > 0:
                self._index = 0
                written = self._write(body, 0, size, marks, room, 0, _REQUEST, shard)
                parts.append((shard, bytes(memoryview(room)[:written]), spans))
            shard += 1
        return parts

    # Which span goes where.

    def _assign(self, data: bytes, pos: int, end: int, marks: bytearray, level: int) -> None:
        """Marks each span at or below the message at [pos, end) with its shard."""
        while pos < end:
            stop = self.next(data, pos, end)
            if self.wire == 2 and self.number == (1 if level == _REQUEST else 2):
                if level > 0:
                    self._assign(data, self.value, stop, marks, level - 1)
                else:
                    shard = self._shard_of(data, self.value, stop)
                    marks[self._index] = shard
                    self._counts[shard] += 1
                    self._index += 1
            pos = stop

    def _shard_of(self, data: bytes, pos: int, end: int) -> int:
        trace = self._find(data, pos, end)
        hi = lo = 0
        if trace >= 0:
            hi = native.word(data, trace)
            lo = native.word(data, trace + 8)
        if self._has_last and hi == self._hi and lo == self._lo:
            return self._last
        best = 0
        most = 0
        shard = 0
        while shard < self._shards:
            weight = _mix(lo ^ _mix(hi ^ self._seeds[shard]))
            if weight > most:
                most = weight
                best = shard
            shard += 1
        self._hi = hi
        self._lo = lo
        self._last = best
        self._has_last = 1
        return best

    # Writing a part.

    def _write(
        self, data: bytes, pos: int, end: int, marks: bytearray, out: bytearray, at: int, level: int, shard: int
    ) -> int:
        """Writes the message at [pos, end) with only the shard's spans at `at`, and returns its end. Messages that
        would be left without a span are left out. What is written is never longer than what was read."""
        run = pos
        while pos < end:
            stop = self.next(data, pos, end)
            if self.wire == 2 and self.number == (1 if level == _REQUEST else 2):
                if level > 0:
                    at = native.copy(out, at, data, run, pos)
                    run = stop
                    at = self._write_inner(data, self.value, stop, marks, out, at, level - 1, shard)
                else:
                    if marks[self._index] != shard:
                        at = native.copy(out, at, data, run, pos)
                        run = stop
                    self._index += 1
            pos = stop
        return native.copy(out, at, data, run, end)

    def _write_inner(
        self, data: bytes, pos: int, end: int, marks: bytearray, out: bytearray, at: int, level: int, shard: int
    ) -> int:
        """The same with its tag and length; nothing if it holds no span of the shard."""
        index = self._index
        # Most often the length takes as many bytes as it did, so that what is written need not be moved.
        value = at + 1 + native.varint_size(end - pos)
        stop = self._write(data, pos, end, marks, out, value, level, shard)
        while index < self._index and marks[index] != shard:
            index += 1
        if index == self._index:
            return at
        size = stop - value
        actual = at + 1 + native.varint_size(size)
        if actual != value:
            stop = native.move(out, actual, value, stop)
        native.put_head(out, at, 10 if level == 1 else 18, size)
        return stop


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * _FIRST & _ALL_64
    value = (value ^ value >> 27) * _SECOND & _ALL_64
    return value ^ value >> 31
