# cython: annotation_typing=False, boundscheck=False, wraparound=False, language_level=3
"""Whole commits and whole batches at a time: appends to frames, and frames back to one body.

`encode` makes the frames of a commit, `gather` takes a run of sound frames out of a window of a segment and joins their
payloads, checking both checksums of each in the same pass that copies it. Anything that is not a plain run (damage, a
gap in the numbers, a type that is not known, a frame that the window cuts off) ends it, and is `log.frames`'s to judge.
The format of a frame is in `log.record`.

This file is compiled by Cython with the types in codec.pxd, and runs as it is where it was not compiled.
"""

from __future__ import annotations

from typing import Any

from tracekeeper_sidecar.log import native

# As in log.record; a test compares them. Named there, they would be variables to the C compiler.
_HEADER = 40
_CHECKED = 36
_MAGIC = 0xA74B54F1
_TRACES = 1
_TYPE_SHIFT = 8
_MAX_PAYLOAD = 134217728
JOIN_BELOW = 8192
"""Bytes per frame on average below which one joined buffer is cheaper to write than many."""


def choose(hardware: bool) -> bool:
    """Use the processor's instruction for CRC32C if `hardware` and it has one, else tables. True if it is used now."""
    return native.prepare(hardware) != 0


HARDWARE = choose(True)
"""Whether this module is compiled, and the processor has an instruction for CRC32C."""


class Encoded:
    """The frames of a commit's next appends, as far as they fit into a segment."""

    __slots__ = ("buffers", "count", "flags", "payload", "size", "spans")

    def __init__(self, buffers: list[bytes], count: int, size: int, payload: int, spans: int, flags: int) -> None:
        self.buffers = buffers
        """What to write, one behind the other."""
        self.count = count
        """Appends."""
        self.size = size
        """Bytes in the buffers."""
        self.payload = payload
        """Bytes of payload among them."""
        self.spans = spans
        self.flags = flags
        """All frames' flags together."""


def encode(appends: list[Any], first: int, room: int, seed: int, seq: int, time_ns: int) -> Encoded:
    """Frames for `appends` (payload, spans, flags, …) from index `first` on, as many as fit into `room` bytes.

    `seed` is the segment's (see `log.record.seed_of`), `seq` the spans before, `time_ns` Unix time in nanoseconds.
    The flags carry the frame's type from bit 8 on, 0 for a request as it came.
    """
    size = 0
    spans = 0
    flags = 0
    index = first
    total = len(appends)
    while index < total:
        append = appends[index]
        payload = append[0]
        need = _HEADER + len(payload)
        if size + need > room:
            break
        size += need
        spans += append[1]
        flags |= append[2]
        index += 1
    count = index - first
    buffers = []
    if size < JOIN_BELOW * count:
        joined = native.blank(size)
        at = 0
        index = first
        while count > index - first:
            append = appends[index]
            payload = append[0]
            length = len(payload)
            summed = native.crc_copy(joined, at + _HEADER, payload, 0, length, seed)
            _head(joined, at, length, seq, append[1], append[2], time_ns, summed, seed)
            at += _HEADER + length
            seq += append[1]
            index += 1
        buffers.append(native.finished(joined))
    else:
        index = first
        while count > index - first:
            append = appends[index]
            payload = append[0]
            length = len(payload)
            head = native.blank(_HEADER)
            summed = native.crc(payload, 0, length, seed)
            _head(head, 0, length, seq, append[1], append[2], time_ns, summed, seed)
            buffers.append(native.finished(head))
            buffers.append(payload)
            seq += append[1]
            index += 1
    return Encoded(buffers, count, size, size - _HEADER * count, spans, flags)


def _head(
    out: bytearray,
    at: int,
    length: int,
    seq: int,
    spans: int,
    flags: int,
    time_ns: int,
    payload_crc: int,
    seed: int,
) -> None:
    """Write a frame's header at `at`."""
    kind = flags >> _TYPE_SHIFT
    if kind == 0:
        kind = _TRACES
    _put(out, at, _MAGIC, 4)
    _put(out, at + 4, length, 4)
    _put(out, at + 8, seq, 8)
    _put(out, at + 16, spans, 4)
    _put(out, at + 20, kind, 1)
    _put(out, at + 21, flags, 1)
    _put(out, at + 22, 0, 2)
    _put(out, at + 24, time_ns, 8)
    _put(out, at + 32, payload_crc, 4)
    _put(out, at + 36, native.crc(out, at, _CHECKED, seed), 4)


def _put(out: bytearray, at: int, value: int, size: int) -> None:
    end = at + size
    while at < end:
        out[at] = value & 255
        value >>= 8
        at += 1


def _get(data: bytes, at: int, size: int) -> int:
    value = 0
    at += size
    while size > 0:
        at -= 1
        value = value << 8 | data[at]
        size -= 1
    return value


class Run:
    """Sound frames without a gap between them."""

    __slots__ = ("body", "end", "flags", "frames", "full", "newest", "oldest", "spans")

    def __init__(
        self, body: bytes, frames: int, end: int, spans: int, flags: int, oldest: int, newest: int, full: bool
    ) -> None:
        self.body = body
        """Their payloads one behind the other."""
        self.frames = frames
        """How many they are."""
        self.end = end
        """Offset in the window at which the next frame starts."""
        self.spans = spans
        self.flags = flags
        """All frames' flags together."""
        self.oldest = oldest
        """Time of the first frame, Unix time in nanoseconds."""
        self.newest = newest
        """Time of the last frame."""
        self.full = full
        """True when the next frame is sound as far as its header goes, and does not fit."""


def gather(
    window: bytes, at: int, seed: int, seq: int, ceiling: int, max_spans: int, max_bytes: int, least: int
) -> Run | None:
    """The run of frames that begins at `at` in `window` with the number `seq`, within the limits; None for none.

    No frame of it reaches beyond the number `ceiling`. The first `least` frames may exceed the limits.
    """
    length = len(window)
    start = at
    end = at
    expected = seq
    size = 0
    frames = 0
    full = False
    while True:
        fits = _look(window, end, length, seed, expected, ceiling)
        if fits < 0:
            break
        spans = _get(window, end + 16, 4)
        if frames >= least and (expected - seq + spans > max_spans or size + fits > max_bytes):
            full = True
            break
        size += fits
        expected += spans
        frames += 1
        end += _HEADER + fits
    if frames == 0:
        return None
    body = native.blank(size)
    taken, place, flags, sound = 0, 0, 0, 0
    newest = 0
    while sound < frames:
        fits = _get(window, at + 4, 4)
        if native.crc_copy(body, place, window, at + _HEADER, fits, seed) != _get(window, at + 32, 4):
            break
        taken += _get(window, at + 16, 4)
        flags |= _get(window, at + 21, 1)
        newest = _get(window, at + 24, 8)
        place += fits
        at += _HEADER + fits
        sound += 1
    if sound == 0:
        return None
    joined = native.finished(body)
    if sound < frames:
        joined = joined[:place]
        full = False
    return Run(joined, sound, at, taken, flags, _get(window, start + 24, 8), newest, full)


def _look(data: bytes, at: int, end: int, seed: int, seq: int, ceiling: int) -> int:
    """Bytes of payload in the frame at `at`, if all of it lies before `end` and it is what comes next; else -1."""
    if end - at < _HEADER or _get(data, at, 4) != _MAGIC:
        return -1
    if native.crc(data, at, _CHECKED, seed) != _get(data, at + 36, 4):
        return -1
    length = _get(data, at + 4, 4)
    spans = _get(data, at + 16, 4)
    if length > _MAX_PAYLOAD or at + _HEADER + length > end or spans == 0:
        return -1
    if _get(data, at + 8, 8) != seq or seq + spans > ceiling or data[at + 20] != _TRACES:
        return -1
    return length
