"""Reads the log in order from a position on, for one consumer.

Spans that damage has taken are counted from the sequence numbers around it: the next sound frame, or the next
segment's base, says how many spans should have come before. Frames whose numbers reach past the next segment's base
were written but never acknowledged (the sync after them failed), and are passed over.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Protocol

from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.codec import Run
from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.frames import Ended, Found, FrameReader
from tracekeeper_sidecar.log.record import CRITICAL, HEADER_SIZE, TRACES, Valid
from tracekeeper_sidecar.log.segment import DATA_START, Segment, View, name_of
from tracekeeper_sidecar.log.tail import Tail, Taken
from tracekeeper_sidecar.model import Batch, Frame, Position


class DamageSink(Protocol):
    """Called once per damaged stretch that a reader steps over; several readers may report the same one."""

    def __call__(self, number: int, offset: int, damaged: int, /) -> None: ...


class _Collected:
    """A batch in the making."""

    __slots__ = ("flags", "frames", "lost", "newest", "oldest", "payloads", "size", "spans")

    def __init__(self, detailed: bool) -> None:
        self.payloads: list[bytes] = []
        self.frames: list[Frame] | None = [] if detailed else None
        self.flags = 0
        self.spans = 0
        self.size = 0
        self.lost = 0
        self.oldest = self.newest = 0.0

    def add(self, frame: Valid, payload: bytes) -> None:
        """One frame more."""
        if self.frames is not None:
            self.frames.append(Frame(frame.seq, frame.spans, self.size, frame.length))
        self._grow(payload, frame.spans, frame.flags, frame.time, frame.time)

    def extend(self, run: Run, listed: Iterator[tuple[int, int, int]]) -> None:
        """A run of frames more."""
        if self.frames is not None:
            at = self.size
            for seq, spans, length in listed:
                self.frames.append(Frame(seq, spans, at, length))
                at += length
        self._grow(run.body, run.spans, run.flags, run.oldest / 1e9, run.newest / 1e9)

    def _grow(self, payload: bytes, spans: int, flags: int, oldest: float, newest: float) -> None:
        self.payloads.append(payload)
        self.spans += spans
        self.size += len(payload)
        self.flags |= flags
        self.oldest = self.oldest or oldest
        self.newest = newest


class Reader:
    """One consumer's way through the log. Used by one thread at a time; holds one file open, nothing while idle."""

    def __init__(
        self,
        directory: str,
        files: Files,
        view: Callable[[], View],
        position: Position,
        damage: DamageSink,
        tail: Tail | None = None,
    ) -> None:
        self._directory, self._files, self._view, self._damage = directory, files, view, damage
        self._position, self._tail = position, tail
        self._frames: FrameReader | None = None
        self._ahead: tuple[int, int, Found] | None = None
        """A frame that the last batch had no room for, with the segment and offset from which it was found."""

    @property
    def position(self) -> Position:
        """Where the next read starts."""
        return self._position

    def read(self, max_spans: int, max_bytes: int, detailed: bool = False) -> Batch | None:
        """The next whole frames within both limits, at least one even if it alone exceeds them; None at the end.

        A batch may hold nothing but `lost` spans. Its frames are listed if it is to be `detailed`. Blocks for reads
        that the page cache usually answers. Raises LogUnavailable when files cannot be opened or read; the position
        then stays where it was.
        """
        view, begin = self._view(), self._position
        if begin.seq >= view.end.seq:
            self._let_go()
            return None
        taken = self._tail.take(begin.seq, max_spans, max_bytes) if self._tail is not None else None
        if taken is not None:
            self.close()
            self._position = Position(taken.number, taken.offset, taken.seq)
            return _from_memory(taken, begin, self._position, detailed)
        collected = _Collected(detailed)
        try:
            end = self._collect(view, begin, collected, max_spans, max_bytes)
        except OSError as fault:
            self.close()
            raise LogUnavailable(f"cannot read the log in {self._directory}: {fault.strerror or fault}") from fault
        self._position = end
        return Batch(
            collected.payloads[0] if len(collected.payloads) == 1 else b"".join(collected.payloads),
            collected.spans,
            collected.size,
            begin,
            end,
            collected.lost,
            collected.oldest,
            collected.newest,
            bool(collected.flags & CRITICAL),
            tuple(collected.frames or ()),
        )

    def seek(self, position: Position) -> None:
        """Go on reading at `position`, which lies between two frames."""
        self._position, self._ahead = position, None

    def close(self) -> None:
        """Close the file. The reader may be used again."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None
        self._ahead = None

    def _let_go(self) -> None:
        self._ahead = None
        if self._frames is not None:
            self._frames.let_go()

    def _collect(self, view: View, at: Position, into: _Collected, max_spans: int, max_bytes: int) -> Position:
        segments, seq, offset = view.segments, at.seq, at.offset
        index = _index_of(segments, at.segment)
        while index < len(segments):
            segment = segments[index]
            if segment.number != at.segment:
                offset = DATA_START
            last = index + 1 == len(segments)
            ceiling = view.end.seq if last else segments[index + 1].base
            limit = view.end.offset if segment.number == view.end.segment else segment.end
            frames = self._open(segment, limit) if seq < ceiling else None
            if frames is not None:
                bounds = (offset, limit, seq, ceiling)
                seq, offset, full = self._take(frames, bounds, into, max_spans, max_bytes)
                if full:
                    return Position(segment.number, offset, seq)
            # Behind the last frame of this segment: what its numbers left open is gone.
            into.lost += max(0, ceiling - seq)
            seq = max(seq, ceiling)
            index += 1
        into.lost += max(0, view.end.seq - seq)  # No segment is left that could have held these.
        return Position(view.end.segment, view.end.offset, max(seq, view.end.seq))

    def _take(
        self,
        frames: FrameReader,
        bounds: tuple[int, int, int, int],
        into: _Collected,
        max_spans: int,
        max_bytes: int,
    ) -> tuple[int, int, bool]:
        """Collect from one segment. Returns seq and offset reached, and whether the batch is full."""
        offset, limit, seq, ceiling = bounds
        number = frames.number
        while seq < ceiling:
            if into.payloads and (into.spans >= max_spans or into.size >= max_bytes):
                return seq, offset, True
            if self._ahead is None:
                left = max_spans - into.spans, max_bytes - into.size, 0 if into.payloads else 1
                run = frames.run(offset, limit, seq, ceiling, *left)
                if run is not None:
                    into.extend(run, frames.listed(offset, run))
                    offset += len(run.body) + HEADER_SIZE * run.frames
                    seq += run.spans
                    if run.full:
                        return seq, offset, True
                    continue
            found = self._next(frames, offset, limit, seq)
            if isinstance(found, Ended):
                if found.damaged:
                    self._damage(number, offset, found.damaged)
                break
            at, frame, payload = found
            if frame.seq + frame.spans > ceiling:
                break
            if into.payloads and (into.spans + frame.spans > max_spans or into.size + frame.length > max_bytes):
                self._ahead = number, offset, found
                return seq, offset, True
            if at > offset:
                self._damage(number, offset, at - offset)
            into.lost += frame.seq - seq
            if frame.type == TRACES:
                into.add(frame, payload)
            else:
                into.lost += frame.spans
            offset = at + HEADER_SIZE + frame.length
            seq = frame.seq + frame.spans
        return seq, offset, False

    def _next(self, frames: FrameReader, offset: int, limit: int, floor: int) -> Found | Ended:
        if self._ahead is not None:
            number, start, found = self._ahead
            self._ahead = None
            if number == frames.number and start == offset:
                return found
        return frames.next(offset, limit, floor)

    def _open(self, segment: Segment, limit: int) -> FrameReader | None:
        """The open segment; None when its file is gone, which loses what it held but stops nothing."""
        if self._frames is not None and self._frames.number == segment.number:
            return self._frames
        self.close()
        try:
            handle = self._files.open(f"{self._directory}/{name_of(segment.number)}")
        except OSError as fault:
            if fault.errno != errno.ENOENT:
                raise
            self._damage(segment.number, DATA_START, max(0, limit - DATA_START))
            return None
        self._frames = FrameReader(self._files, handle, segment.number)
        return self._frames


def _from_memory(taken: Taken, begin: Position, end: Position, detailed: bool) -> Batch:
    body = taken.body()
    times = taken.oldest / 1e9, taken.newest / 1e9
    frames: list[Frame] = []
    if detailed:
        seq, at = begin.seq, 0
        for spans, payload in zip(taken.spans, taken.payloads, strict=True):
            frames.append(Frame(seq, spans, at, len(payload)))
            seq, at = seq + spans, at + len(payload)
    critical = bool(taken.flags & CRITICAL)
    return Batch(body, end.seq - begin.seq, len(body), begin, end, 0, *times, critical, tuple(frames))


def _index_of(segments: tuple[Segment, ...], number: int) -> int:
    """Index of the first segment whose number is at least `number`."""
    low, high = 0, len(segments)
    while low < high:
        middle = (low + high) // 2
        if segments[middle].number < number:
            low = middle + 1
        else:
            high = middle
    return low
