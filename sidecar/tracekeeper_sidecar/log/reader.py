"""Reads the log in order from a position on, for one consumer.

Spans that damage has taken are counted from the sequence numbers around it: the next sound frame, or the next
segment's base, says how many spans should have come before. Frames whose numbers reach past the next segment's base
were written but never acknowledged (the sync after them failed), and are passed over.

Of a frame that sampling has written the reader gives the spans that were kept, and counts the others.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.codec import Run
from tracekeeper_sidecar.log.decided import decode
from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.frames import Ended, Found, FrameReader
from tracekeeper_sidecar.log.record import CRITICAL, DECIDED, HEADER_SIZE, TRACES, Valid
from tracekeeper_sidecar.log.segment import DATA_START, Segment, View, name_of
from tracekeeper_sidecar.log.tail import Tail, Taken
from tracekeeper_sidecar.model import NOTHING, Batch, Frame, Position

ENDLESS = 1 << 62
"""Spans: more than any log has."""
MOST_PIECES = 1024
"""Frames that a batch takes one by one: where sampling keeps next to nothing, it must not read a segment to fill."""


class DamageSink(Protocol):
    """Called once per damaged stretch that a reader steps over; several readers may report the same one."""

    def __call__(self, number: int, offset: int, damaged: int, /) -> None: ...


class _Content(NamedTuple):
    """What a sound frame holds for a reader."""

    body: bytes
    spans: int
    """In the body."""
    sampled_out: Mapping[str, int]
    lost: int


class _Limits(NamedTuple):
    """Of one batch."""

    spans: int
    bytes: int
    seq: int
    """Which no frame but the first goes beyond."""

    def met(self, into: _Collected) -> bool:
        """Whether nothing more can come."""
        return into.spans >= self.spans or into.size >= self.bytes or into.count >= MOST_PIECES

    def left(self, into: _Collected, seq: int) -> tuple[int, int, int]:
        """For a run of frames: spans and bytes that it may have, and how many frames it has whatever they are."""
        return min(self.spans - into.spans, self.seq - seq), self.bytes - into.size, 0 if into.count else 1

    def allow(self, into: _Collected, frame: Valid, content: _Content) -> bool:
        """Whether one more frame may come."""
        if frame.seq + frame.spans > self.seq:
            return False
        return into.spans + content.spans <= self.spans and into.size + len(content.body) <= self.bytes


class _Collected:
    """A batch in the making."""

    __slots__ = ("count", "flags", "frames", "lost", "newest", "oldest", "payloads", "sampled_out", "size", "spans")

    def __init__(self, detailed: bool) -> None:
        self.payloads: list[bytes] = []
        self.frames: list[Frame] | None = [] if detailed else None
        self.count = 0
        """Frames, and runs of them."""
        self.flags = 0
        self.spans = 0
        self.size = 0
        self.lost = 0
        self.sampled_out: dict[str, int] = {}
        self.oldest = self.newest = 0.0

    def add(self, frame: Valid, content: _Content) -> None:
        """One frame more."""
        if self.frames is not None:
            self.frames.append(
                Frame(frame.seq, frame.spans, self.size, len(content.body), content.sampled_out, content.lost)
            )
        self.lost += content.lost
        for rule, spans in content.sampled_out.items():
            self.sampled_out[rule] = self.sampled_out.get(rule, 0) + spans
        self._grow(content.body, content.spans, frame.flags, frame.time, frame.time)

    def extend(self, run: Run, listed: Iterator[tuple[int, int, int]]) -> None:
        """A run of frames more."""
        if self.frames is not None:
            at = self.size
            for seq, spans, length in listed:
                self.frames.append(Frame(seq, spans, at, length))
                at += length
        self._grow(run.body, run.spans, run.flags, run.oldest / 1e9, run.newest / 1e9)

    def _grow(self, payload: bytes, spans: int, flags: int, oldest: float, newest: float) -> None:
        self.count += 1
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

    def read(self, max_spans: int, max_bytes: int, detailed: bool = False, reach: int = ENDLESS) -> Batch | None:
        """The next whole frames within both limits, at least one even if it alone exceeds them; None at the end.

        No frame but the first goes further than `reach` spans by the log's count, those not in the batch included, and
        no damage does. A batch may hold nothing but `lost` or `sampled_out` spans. Its frames are listed if it is to
        be `detailed`. Blocks for reads that the page cache usually answers. Raises LogUnavailable when files cannot be
        opened or read; the position then stays where it was.
        """
        view, begin = self._view(), self._position
        if begin.seq >= view.end.seq:
            self._let_go()
            return None
        limits = _Limits(max_spans, max_bytes, begin.seq + reach)
        max_spans = min(max_spans, reach)
        taken = self._tail.take(begin.seq, max_spans, max_bytes) if self._tail is not None else None
        if taken is not None:
            self.close()
            self._position = Position(taken.number, taken.offset, taken.seq)
            return _from_memory(taken, begin, self._position, detailed)
        collected = _Collected(detailed)
        try:
            end = self._collect(view, begin, collected, limits)
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
            collected.sampled_out or NOTHING,
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

    def _collect(self, view: View, at: Position, into: _Collected, limits: _Limits) -> Position:
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
                seq, offset, full = self._take(frames, bounds, into, limits)
                if full:
                    return Position(segment.number, offset, seq)
            # Behind the last frame of this segment: what its numbers left open is gone.
            if limits.seq < ceiling:
                into.lost += max(0, limits.seq - seq)
                return Position(segment.number, offset, max(seq, limits.seq))
            into.lost += max(0, ceiling - seq)
            seq = max(seq, ceiling)
            index += 1
        end = min(view.end.seq, limits.seq)
        into.lost += max(0, end - seq)  # No segment is left that could have held these.
        return Position(view.end.segment, view.end.offset, max(seq, end))

    def _take(
        self, frames: FrameReader, bounds: tuple[int, int, int, int], into: _Collected, limits: _Limits
    ) -> tuple[int, int, bool]:
        """Collect from one segment. Returns seq and offset reached, and whether the batch is full."""
        offset, limit, seq, ceiling = bounds
        number = frames.number
        alone = False
        while seq < ceiling:
            if seq >= limits.seq or (into.count and limits.met(into)):
                return seq, offset, True
            if self._ahead is None and not alone:
                left = limits.left(into, seq)
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
            at, frame, _ = found
            if frame.seq + frame.spans > ceiling:
                break
            if frame.seq >= limits.seq:
                into.lost += limits.seq - seq
                return limits.seq, offset, True
            content = self._content(number, found)
            if content is not None and into.count and not limits.allow(into, frame, content):
                self._ahead = number, offset, found
                return seq, offset, True
            if at > offset:
                self._damage(number, offset, at - offset)
            into.lost += frame.seq - seq
            if content is not None:
                into.add(frame, content)
            else:
                into.lost += frame.spans
            alone = frame.type != TRACES  # What follows is likely to be of that type, too, and is never part of a run.
            offset = at + HEADER_SIZE + frame.length
            seq = frame.seq + frame.spans
        return seq, offset, False

    def _content(self, number: int, found: Found) -> _Content | None:
        """None when this release cannot make anything of it."""
        at, frame, payload = found
        if frame.type == TRACES:
            return _Content(payload, frame.spans, NOTHING, 0)
        if frame.type != DECIDED:
            return None
        try:
            decided, start = decode(payload)
        except ValueError:
            decided = None
        if decided is None or decided.spans != frame.spans:
            self._damage(number, at, HEADER_SIZE + frame.length)
            return None
        return _Content(payload[start:], decided.kept, decided.sampled_out, decided.damaged)

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
