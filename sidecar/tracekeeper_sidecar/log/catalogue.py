"""The segments of one data directory, as the writer's thread keeps them: made, filled, closed, deleted.

pending ──▶ passed by all guaranteed entries ──▶ passed by all entries: history ──▶ deleted

A segment that every entry has passed is history: kept while history is smaller than its bound, and deleted, oldest
first, when it is not, or when its room is needed. One that only best-effort entries have still before them is deleted
for need of room alone. What a guaranteed entry has before it is never deleted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.log import recovery, retention
from tracekeeper_sidecar.log.codec import Encoded, encode
from tracekeeper_sidecar.log.files import DEAD_LETTERS, KEPT, NO_ROOM, Files
from tracekeeper_sidecar.log.record import seed_of
from tracekeeper_sidecar.log.retention import Limits
from tracekeeper_sidecar.log.segment import DATA_START, Segment, View, encode_header, name_of
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

MAX_BUFFERS = 1024
"""IOV_MAX of Linux."""
NOTHING = encode([], 0, 0, 0, 0, 0)
"""What a commit can write while there is no active segment."""


@dataclass(slots=True)
class Active:
    """The segment being written."""

    number: int
    handle: int
    seed: int
    size: int
    """Bytes that may be written."""
    preallocated: bool
    """False where the filesystem cannot reserve space: writes may then fail for lack of room."""
    durable: int = 0
    """Offset up to which frames were synced; 0 until the first commit."""

    @property
    def unwritten(self) -> int:
        """Bytes charged for although nothing is in them yet."""
        return self.size - (self.durable or DATA_START) if self.preallocated else 0


class Catalogue:
    """Used by the writer's thread alone, but for `view` and the figures, which may be read from any thread, and for
    `released`, `preferred`, `limits` and `dead_letters`, which the event loop writes."""

    def __init__(
        self, directory: str, files: Files, clock: Clock, limits: Limits, recovered: recovery.Recovered
    ) -> None:
        self._directory, self._files, self._clock = directory, files, clock
        self.limits = limits
        self.view: View = recovered.view
        self.active: Active | None = None
        self.used = 0
        """Bytes in the data directory when last measured, plus what was preallocated since."""
        self.released = recovered.passed
        """Every guaranteed entry has passed the spans before this one."""
        self.preferred = 0
        """Every entry, those of best effort included, has passed the spans before this one."""
        self.freed = 0
        """Segments deleted so far."""
        self.dead_letters = 0
        """Bytes of the quota that are left to the dead letters, whether there are any or not."""
        self.short = False
        """Whether the volume had no room left, not even for the smallest segment, when last asked: it gives less than
        the quota allows."""
        self._next_number = recovered.next_number
        self._sum: tuple[tuple[Segment, ...], int, int] = (), 0, 0
        """Bytes in the segments passed, as of these segments and what was released."""
        self.measure()

    @property
    def passed(self) -> int:
        """Bytes in segments that may be deleted when their room is needed."""
        segments, released = self.view.segments, self.released
        known = self._sum
        if known[0] is not segments or known[1] != released:
            size = sum(segment.end for segment in segments[: retention.releasable(segments, released)])
            known = self._sum = segments, released, size
        return known[2]

    @property
    def room(self) -> int:
        """Bytes that could be stored now, roughly; all that the quota allows once everything there is settled."""
        quota = self.limits.quota
        if self.released >= self.view.end.seq:
            return quota
        active = self.active
        unwritten = active.unwritten if active is not None else 0
        return max(0, quota - retention.reserve_for(quota) - self.used + self.passed + unwritten)

    @property
    def slack(self) -> int:
        """As `room`, but for a volume that is short: there, spans can only be stored in the place of others."""
        return self.passed if self.short else self.room

    # Filling the active segment.

    def encode(self, appends: list[Any], first: int, time_ns: int) -> Encoded:
        """Frames for those of `appends` from index `first` on that fit into the active segment; see `codec.encode`."""
        active = self.active
        if active is None:
            return NOTHING
        room = active.size - (active.durable or DATA_START)
        return encode(appends, first, room, active.seed, self.view.end.seq, time_ns)

    def append(self, frames: Encoded) -> float:
        """Make the frames, just encoded, durable as the active segment's next ones.

        Returns the seconds that the sync took. Raises OSError; the file must not be written again then.
        """
        active = self.active
        assert active is not None
        start = active.durable or DATA_START
        self._write_all(active, frames.buffers, start)
        began = self._clock.monotonic()
        self._files.fdatasync(active.handle)
        seconds = self._clock.monotonic() - began
        active.durable = start + frames.size
        end = Position(active.number, active.durable, self.view.end.seq + frames.spans)
        self.view = View(self.view.segments, end)
        return seconds

    def _write_all(self, active: Active, buffers: list[bytes], offset: int) -> None:
        if not active.durable:
            # The header goes out with the first frames, so that a new segment needs no sync of its own.
            segment = self.view.segments[-1]
            header = encode_header(segment.number, segment.base, int(segment.created * 1e9))
            buffers, offset = [header, *buffers], 0
        while buffers:
            written = self._files.pwritev(active.handle, buffers[:MAX_BUFFERS], offset)
            offset += written
            buffers = _behind(buffers, written)

    def seal(self) -> None:
        """Close the active segment at its last durable frame and give the rest of its space back."""
        active, self.active = self.active, None
        if active is None:
            return
        end = active.durable or DATA_START
        try:
            # Not synced: if a crash undoes it, zeros follow the last frame, which readers take for its end.
            self._files.truncate(active.handle, end)
        except OSError as fault:
            logger.warning("cannot trim %s: %s", self.path_of(active.number), fault)
        self._files.close(active.handle)
        segments = self.view.segments
        sealed = (*segments[:-1], replace(segments[-1], end=end))
        self.view = View(sealed, self.view.end)
        if not active.durable:
            self._drop_empty(active.number)

    def _drop_empty(self, number: int) -> None:
        """Remove a segment that never held a durable frame; its number is not used again."""
        self._unlink(self.path_of(number))
        self.view = View(self.view.segments[:-1], Position(self._next_number, DATA_START, self.view.end.seq))

    # The next segment, and room for it.

    def rotate(self, need: int) -> bool:
        """Replace the active segment by one with room for `need` bytes; False when the quota has no room for it.

        A frame that does not fit leaves the active segment open, since smaller ones may. Raises OSError.
        """
        size = self._plan(need)
        if size is None:
            return False
        self.seal()
        self._create(size, need)
        return True

    def _plan(self, need: int) -> int | None:
        """Size of the next segment within the quota; deletes what has been passed, as far as that takes."""
        self.trim(len(self.view.segments))
        unwritten = self.active.unwritten if self.active is not None else 0
        used = self.measure() - unwritten
        count, size = retention.deletions_for(need, self.limits, used, self._passed())
        self._delete(count)
        segments, end = self.view.segments, self.view.end
        if size is None and segments and self.released >= end.seq:
            newest = segments[-1].end if self.active is None else self.active.durable
            size = retention.next_segment_size(need, self.limits, self.used - unwritten - self.passed - newest)
            if size is not None and not self._let_newest_go():
                size = None
        return size

    def _let_newest_go(self) -> bool:
        """Delete the last segment; first make its number and the count of spans outlive it."""
        self.seal()
        try:
            recovery.save_state(self._directory, self._files, self._next_number, self.view.end.seq)
        except OSError as fault:
            logger.error("cannot save the state of the log in %s: %s", self._directory, fault)
            return False
        self._delete(len(self.view.segments))
        return True

    def _create(self, size: int, need: int) -> None:
        """Make the next segment. Raises OSError with nothing left behind."""
        while True:
            try:
                active = self._prepare(size)
                break
            except OSError as fault:
                if fault.errno not in NO_ROOM:
                    raise
                smaller = retention.smallest_segment_size(need)
                if self._passed():
                    self._delete(1)
                elif smaller < size:
                    size = smaller
                else:
                    self.short = True
                    raise
        if self.short and not active.preallocated:
            self.give_way()  # Nothing is reserved: only the next write would show that there is no room yet.
        self.short = False
        seq = self.view.end.seq
        segment = Segment(active.number, seq, max(0.0, self._clock.now()), DATA_START)
        self.view = View((*self.view.segments, segment), Position(active.number, DATA_START, seq))
        self.active = active
        self.used += active.size

    def _prepare(self, size: int) -> Active:
        number = self._next_number
        path = self.path_of(number)
        handle = self._files.open(path, write=True, create=True)
        self._next_number = number + 1
        try:
            preallocated = self._files.allocate(handle, size)
            self._files.sync_directory(self._directory)
        except OSError:
            self._files.close(handle)
            self._unlink(path)
            raise
        return Active(number, handle, seed_of(number), size, preallocated)

    # Deleting.

    def trim(self, most: int) -> bool:
        """Delete history over its bound, at most that many segments; True when there is more to delete."""
        if self.passed <= self.limits.history:
            return False
        count = retention.over_history(self.view.segments, self.preferred, self.limits.history)
        self._delete(min(count, most))
        return count > most

    def give_way(self) -> None:
        """Delete all history: the volume has no room for what is pending."""
        self.short = True
        self._delete(len(self._passed()))

    def _passed(self) -> tuple[Segment, ...]:
        segments = self.view.segments
        return segments[: retention.releasable(segments, self.released)]

    def _delete(self, count: int) -> None:
        if not count:
            return
        gone, kept = self.view.segments[:count], self.view.segments[count:]
        # Readers stop seeing them first: nobody opens a file that is about to vanish.
        self.view = View(kept, self.view.end)
        for segment in gone:
            self._unlink(self.path_of(segment.number))
        try:
            self._files.sync_directory(self._directory)
        except OSError as fault:
            logger.warning("cannot sync %s: %s", self._directory, fault)
        self.freed += count
        self.measure()

    def _unlink(self, path: str) -> None:
        try:
            self._files.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as fault:
            logger.error("cannot delete %s: %s; it is tried again at the next start", path, fault)

    def measure(self) -> int:
        """Bytes in the data directory now, the kept log's apart. Raises OSError."""
        used = self._measure(self._directory)
        self.used = used
        return used

    def _measure(self, directory: str) -> int:
        used = kept = 0
        for name in self._files.listdir(directory):
            if name == KEPT:
                continue
            try:
                used += self._files.stat(f"{directory}/{name}").charged
                if name == DEAD_LETTERS:
                    kept = self._measure(f"{directory}/{name}")
            except FileNotFoundError:
                continue
        return used + (max(kept, self.dead_letters) if directory == self._directory else 0)

    def path_of(self, number: int) -> str:
        """Path of a segment's file."""
        return f"{self._directory}/{name_of(number)}"


def _behind(buffers: list[bytes], written: int) -> list[bytes]:
    """What of `buffers` is left after the first `written` bytes."""
    index = 0
    while index < len(buffers) and written >= len(buffers[index]):
        written -= len(buffers[index])
        index += 1
    rest = buffers[index:]
    if written:
        rest[0] = rest[0][written:]
    return rest
