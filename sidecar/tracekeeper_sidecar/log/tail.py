# cython: annotation_typing=False, boundscheck=False, wraparound=False, language_level=3
"""The newest durable frames, as they are in memory anyway: readers close behind the writer need no file.

The writer's thread keeps what it has just synced, up to a bound in bytes; a reader whose position lies in it takes the
very objects that were appended. So an entry that keeps up costs neither a copy out of the page cache nor a checksum,
and the second of two entries finds what the first has joined. Frames are found by their number alone: it is unique, and
says what comes next.

This file is compiled by Cython with the types in tail.pxd, and runs as it is where it was not compiled.
"""

from __future__ import annotations

import threading
from typing import Any

_HEADER = 40
_FRAMES = 128  # per chunk, so that looking for one in it takes no time
_CHUNK = 512  # bytes that a chunk itself takes
_SHARED = 2  # runs that are remembered for other readers
_PLAIN = 256  # flags below this are those of a frame that holds a request as it came
_SHARED_BYTES = 1310720  # bytes of such a run at most: a batch of the default size, and some


class Chunk:
    """Frames of one commit and segment, one behind the other."""

    __slots__ = ("end", "flags", "number", "offset", "payloads", "seq", "size", "spans", "time")

    def __init__(self, number: int, offset: int, seq: int, time_ns: int) -> None:
        self.number = number
        """Of the segment."""
        self.offset = offset
        """In the segment, of the first frame."""
        self.seq = seq
        """Spans before the first frame."""
        self.end = seq
        """Spans before the frame behind the last."""
        self.time = time_ns
        self.size = _CHUNK
        """Bytes that it takes, roughly."""
        self.flags = 0
        """All frames' flags together."""
        self.payloads = []  # type: list[bytes]
        self.spans = []  # type: list[int]


class Taken:
    """A run of frames from memory."""

    __slots__ = (
        "_bytes", "_spans", "begin", "flags", "full", "joined", "newest", "number", "offset", "oldest", "payloads",
        "seq", "size", "spans",
    )  # fmt: skip

    def __init__(self, seq: int, max_spans: int, max_bytes: int) -> None:
        self.begin, self._spans, self._bytes = seq, max_spans, max_bytes
        self.full = False
        """Whether a limit ended it."""
        self.joined = None  # type: bytes | None
        self.payloads = []  # type: list[bytes]
        self.spans = []  # type: list[int]
        """Of each frame."""
        self.size = 0
        self.flags = 0
        self.oldest = 0
        """Unix time in nanoseconds, as `newest`."""
        self.newest = 0
        self.number = 0
        """Segment and offset at which the next frame starts, and its number."""
        self.offset = 0
        self.seq = seq

    def body(self) -> bytes:
        """The payloads one behind the other."""
        if self.joined is None:
            self.joined = self.payloads[0] if len(self.payloads) == 1 else b"".join(self.payloads)
        return self.joined


class Tail:
    """Bounded; safe in any thread."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._chunks = []  # type: list[Chunk]
        self._recent = []  # type: list[Taken]
        self._lock = threading.Lock()

    def keep(self, appends: list[Any], number: int, offset: int, seq: int, time_ns: int) -> None:
        """Keep frames that are durable now: `appends` (payload, spans, flags, …) from `offset` on in a segment."""
        with self._lock:
            chunks = self._chunks
            self._size += _fill(chunks, appends, number, offset, seq, time_ns)
            if self._size > self._limit:
                # Somewhat more than needed, because what is left moves.
                gone = 0
                while self._size > self._limit - self._limit // 8 and gone < len(chunks):
                    self._size -= chunks[gone].size
                    gone += 1
                del chunks[:gone]

    def take(self, seq: int, max_spans: int, max_bytes: int) -> Taken | None:
        """The frames from `seq` on within both limits, at least one; None when the first of them is not kept."""
        with self._lock:
            chunks = self._chunks
            if not chunks:
                return None
            for known in self._recent:
                if known.begin == seq and known._spans == max_spans and known._bytes == max_bytes:
                    last = chunks[len(chunks) - 1]
                    if known.full or known.seq == last.end:
                        return known
            taken = _collect(chunks, seq, max_spans, max_bytes)
            if taken is not None and taken.size <= _SHARED_BYTES:
                self._recent.append(taken)
                if len(self._recent) > _SHARED:
                    del self._recent[0]
            return taken

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._chunks.clear()
            self._recent.clear()
            self._size = 0


def _fill(chunks: list[Chunk], appends: list[Any], number: int, offset: int, seq: int, time_ns: int) -> int:
    """Put frames at the end. Returns the bytes that they take."""
    total = 0
    chunk = None
    frames = 0
    for append in appends:
        payload = append[0]
        length = len(payload)
        if append[2] >= _PLAIN:  # Its payload is more than a request: readers take it from the file.
            chunk = None
            offset += _HEADER + length
            seq += append[1]
            continue
        if chunk is None or frames == _FRAMES:
            chunk = Chunk(number, offset, seq, time_ns)
            chunks.append(chunk)
            total += _CHUNK
            frames = 0
        chunk.payloads.append(payload)
        chunk.spans.append(append[1])
        chunk.flags |= append[2]
        chunk.size += length
        total += length
        offset += _HEADER + length
        seq += append[1]
        chunk.end = seq
        frames += 1
    return total


def _collect(chunks: list[Chunk], seq: int, max_spans: int, max_bytes: int) -> Taken | None:
    low = 0
    high = len(chunks)
    total = high
    while low < high:  # The first chunk that ends behind `seq`.
        middle = (low + high) // 2
        chunk = chunks[middle]
        if chunk.end <= seq:
            low = middle + 1
        else:
            high = middle
    taken = Taken(seq, max_spans, max_bytes)
    spans = 0
    while low < total:
        chunk = chunks[low]
        at = chunk.seq
        offset = chunk.offset
        place = 0
        count = len(chunk.payloads)
        while place < count and at < taken.seq:
            offset += _HEADER + len(chunk.payloads[place])
            at += chunk.spans[place]
            place += 1
        if at != taken.seq:  # Not kept, or `seq` is no place between two frames.
            break
        while place < count:
            payload = chunk.payloads[place]
            more = chunk.spans[place]
            length = len(payload)
            if spans != 0 and (spans + more > max_spans or taken.size + length > max_bytes):
                taken.full = True
                return taken
            taken.number = chunk.number
            taken.newest = chunk.time
            if spans == 0:
                taken.oldest = chunk.time
            taken.flags |= chunk.flags
            taken.payloads.append(payload)
            taken.spans.append(more)
            spans += more
            taken.size += length
            offset += _HEADER + length
            at += more
            place += 1
            taken.offset = offset
            taken.seq = at
        low += 1
    if spans == 0:
        return None
    return taken
