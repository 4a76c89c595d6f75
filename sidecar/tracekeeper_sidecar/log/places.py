"""Finds frames by their numbers, and the newest of a type: for starts, which know a number and look for its place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.frames import Ended, FrameReader
from tracekeeper_sidecar.log.segment import DATA_START, Segment, View, name_of
from tracekeeper_sidecar.model import Position


def locate(directory: str, files: Files, view: View, seq: int) -> Position:
    """The place between two frames before which `seq` spans were appended. Raises OSError.

    Inside damage that is the damage's beginning, but with `seq`: a reader counts the rest of it as lost. Inside a frame
    it is the frame's beginning. Never before the log's begin nor behind its end.
    """
    if seq >= view.end.seq:
        return view.end
    index = bisect_right(view.segments, seq, key=lambda segment: segment.base) - 1
    if index < 0:
        return view.begin
    segment = view.segments[index]
    try:
        frames = FrameReader(files, files.open(f"{directory}/{name_of(segment.number)}"), segment.number)
    except FileNotFoundError:
        return Position(segment.number, DATA_START, seq)
    try:
        at = segment.start
        limit = _limit(view, segment)
        while at.seq < seq:
            found = frames.next(at.offset, limit, at.seq)
            if isinstance(found, Ended) or found.frame.seq > seq:
                return Position(at.segment, at.offset, seq)
            if found.frame.seq + found.frame.spans > seq:
                return Position(at.segment, found.offset, found.frame.seq)
            at = Position(at.segment, found.end, found.frame.seq + found.frame.spans)
        return at
    finally:
        frames.close()


def holds(view: View, place: Position) -> bool:
    """Whether the log has a place of that number, as far as its segments tell without being read. One in a segment
    that a loss of power has taken is none, also when the segment's number was given again since."""
    if place == view.end:
        return True
    index = next((index for index, segment in enumerate(view.segments) if segment.number == place.segment), None)
    if index is None:
        return False
    segment = view.segments[index]
    end = view.segments[index + 1].base if index + 1 < len(view.segments) else view.end.seq
    if place.offset == DATA_START:
        return place.seq == segment.base
    return segment.base < place.seq <= end and place.offset <= _limit(view, segment)


def since(view: View, time: float) -> Position:
    """A place before all that was appended at that Unix time or later, as near as segments tell without being read."""
    index = bisect_right(view.segments, time, key=lambda segment: segment.created) - 1
    return view.segments[index].start if index >= 0 else view.begin


def newest(directory: str, files: Files, view: View, kind: int) -> bytes | None:
    """The payload of the newest sound frame of a type; None when there is none. Raises OSError."""
    for segment in reversed(view.segments):
        payload = newest_in(files, f"{directory}/{name_of(segment.number)}", segment, _limit(view, segment), kind)
        if payload is not None:
            return payload
    return None


def newest_in(files: Files, path: str, segment: Segment, limit: int, kind: int) -> bytes | None:
    """As `newest`, in one segment up to the offset `limit`."""
    payload: bytes | None = None
    for payload in _payloads(files, path, segment, limit, kind):  # noqa: B007 - the last one is wanted
        pass
    return payload


def recent(directory: str, files: Files, view: View, kind: int, size: int) -> Iterator[bytes]:
    """The payloads of sound frames of a type, the oldest first, in the newest segments, up to the one with which they
    have `size` bytes together. Raises OSError."""
    first = len(view.segments)
    while first and size > 0:
        first -= 1
        size -= _limit(view, view.segments[first])
    for segment in view.segments[first:]:
        yield from _payloads(files, f"{directory}/{name_of(segment.number)}", segment, _limit(view, segment), kind)


def _payloads(files: Files, path: str, segment: Segment, limit: int, kind: int) -> Iterator[bytes]:
    try:
        frames = FrameReader(files, files.open(path), segment.number)
    except FileNotFoundError:
        return
    offset, seq = DATA_START, segment.base
    try:
        while not isinstance(found := frames.next(offset, limit, seq), Ended):
            if found.frame.type == kind:
                yield found.payload
            offset, seq = found.end, found.frame.seq + found.frame.spans
    finally:
        frames.close()


def _limit(view: View, segment: Segment) -> int:
    return view.end.offset if segment.number == view.end.segment else segment.end
