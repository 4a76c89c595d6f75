"""Frames of one segment in order, stepping over damage.

Small frames are taken many at once out of windows of 256 KiB, by `run`; a large payload is read straight into an object
of its own, so that it is not copied twice. Past damage the reader looks for the next magic
number whose frame is sound in header and payload and whose sequence number does not go back.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from tracekeeper_sidecar.log.codec import Run, gather
from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.record import HEADER_SIZE, MAGIC, Valid, brief, check_header, payload_intact, seed_of

WINDOW = 256 << 10
"""Bytes per read while frames are small."""
NARROW = 4 << 10
"""Bytes per read of a header when the frame before it was large: what follows is then read by its exact length."""
_PAGE = 4096


LARGE = WINDOW // 4
"""Bytes of a payload from which on it is read by itself."""
WIDEST = 4 * WINDOW
"""Bytes per read at most, for those whose batches are large."""


class Found(NamedTuple):
    """A sound frame that starts at `offset`. Bytes between where the search began and `offset` are damaged."""

    offset: int
    frame: Valid
    payload: bytes

    @property
    def end(self) -> int:
        """Offset at which the next frame starts."""
        return self.offset + HEADER_SIZE + self.frame.length


class Ended(NamedTuple):
    """No sound frame follows. `damaged` counts bytes up to the last that is not zero: 0 when all is in order."""

    damaged: int


class FrameReader:
    """Reads one open segment. Used by one thread at a time; owns the handle."""

    def __init__(self, files: Files, handle: int, number: int) -> None:
        self._files, self._handle = files, handle
        self.number = number
        self._seed = seed_of(number)
        self._data, self._base = b"", 0
        self._wide = True
        """Whether the frames that come next are small, as far as one can tell."""
        self._usual = 0
        """Bytes in the file that the last run took: the next one is likely to take as many."""
        self.unreadable = 0
        """Bytes that the volume would not give back and that were taken as zeros."""

    def run(
        self, offset: int, limit: int, seq: int, ceiling: int, max_spans: int, max_bytes: int, least: int
    ) -> Run | None:
        """Sound small frames from `offset` on without a gap, as `codec.gather` defines them; None to use `next`.

        None says nothing about what is there. Raises OSError as `next` does.
        """
        if not self._wide:
            return None
        at = offset - self._base
        left = len(self._data) - at if at >= 0 else 0
        wanted = min(limit - offset, self._usual if least else HEADER_SIZE)
        for _ in range(2):
            if left < max(wanted, HEADER_SIZE):
                at, left = 0, self._load(offset, limit)
            run = gather(self._data, at, self._seed, seq, ceiling, max_spans, max_bytes, least)
            if run is not None:
                if least:
                    self._usual = run.end - at
                self._wide = len(run.body) < LARGE * run.frames
                return run
            if not at:
                break
            left = 0  # The window may have cut the frame.
        return None

    def listed(self, offset: int, run: Run) -> Iterator[tuple[int, int, int]]:
        """(seq, spans, length) of each frame in what `run` has just returned for `offset`."""
        at = offset - self._base
        for _ in range(run.frames):
            length, seq, spans = brief(self._data, at)
            yield seq, spans, length
            at += HEADER_SIZE + length

    def next(self, offset: int, limit: int, floor: int) -> Found | Ended:
        """The first sound frame at or after `offset` that ends by `limit` and whose seq is at least `floor`.

        Raises OSError when the file cannot be read for other reasons than a bad place on the volume.
        """
        found = self._at(offset, limit)
        if found is not None and found.frame.seq >= floor:
            return found
        return self._search(offset, limit, floor)

    def head(self, size: int) -> bytes:
        """The first bytes of the file, zeros for what cannot be read. Raises OSError as `next` does."""
        return self._read(0, size)

    def let_go(self) -> None:
        """Free the window; what is read next is read from the file again."""
        self._data, self._base = b"", 0

    def close(self) -> None:
        """Close the handle; the reader cannot be used any more."""
        self.let_go()
        self._files.close(self._handle)

    def _at(self, offset: int, limit: int) -> Found | None:
        at = offset - self._base
        if at < 0 or at + HEADER_SIZE > len(self._data):
            if limit - offset < HEADER_SIZE:
                return None
            self._load(offset, limit)
            at = 0
        frame = check_header(self._data, at, self._seed)
        if not isinstance(frame, Valid):
            return None
        start, length = at + HEADER_SIZE, frame.length
        if offset + HEADER_SIZE + length > limit:
            return None
        self._wide = length < LARGE
        if start + length <= len(self._data):
            payload = self._data[start : start + length]
        else:
            payload = self._read(offset + HEADER_SIZE, length)
        if not payload_intact(frame, payload, self._seed):
            return None
        return Found(offset, frame, payload)

    def _load(self, offset: int, limit: int) -> int:
        """Read a window that begins at `offset`. Returns how many bytes are in it."""
        size = min(WIDEST, max(WINDOW, self._usual + self._usual // 8)) if self._wide else NARROW
        self._data, self._base = self._read(offset, min(size, limit - offset)), offset
        return len(self._data)

    def _search(self, offset: int, limit: int, floor: int) -> Found | Ended:
        """Look for the next sound frame behind damage, or for proof that only zeros follow."""
        at, last = offset, offset
        while at < limit:
            block = self._read(at, min(WINDOW, limit - at))
            if not block:
                break
            if block != bytes(len(block)):
                last = at + len(block.rstrip(b"\0"))
                found = self._candidates(block, at, limit, floor)
                if found is not None:
                    return found
            # A magic number may lie across the border of two blocks.
            at += len(block) if at + len(block) >= limit else max(1, len(block) - len(MAGIC) + 1)
        return Ended(last - offset)

    def _candidates(self, block: bytes, base: int, limit: int, floor: int) -> Found | None:
        place = block.find(MAGIC)
        while place >= 0:
            found = self._at(base + place, limit)
            if found is not None and found.frame.seq >= floor:
                return found
            place = block.find(MAGIC, place + 1)
        return None

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return self._files.pread(self._handle, size, offset)
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise
        return self._read_around(offset, size)

    def _read_around(self, offset: int, size: int) -> bytes:
        """Read page by page; a page that the volume cannot give back becomes zeros and so shows as damage."""
        pages = []
        while size > 0:
            step = min(size, _PAGE - offset % _PAGE)
            try:
                page = self._files.pread(self._handle, step, offset)
            except OSError as fault:
                if fault.errno != errno.EIO:
                    raise
                page = bytes(step)
                self.unreadable += step
            if not page:
                break
            pages.append(page)
            offset, size = offset + len(page), size - len(page)
        return b"".join(pages)
