"""The one thread that changes the log: it writes, syncs, rotates and deletes.

Appends queue up while a commit is under way; the next commit takes all of them: one write, one fdatasync, one
wake-up of the event loop that resolves every waiter. So the disk sets the pace of commits and the senders set their
size.

A sync or write that fails is never tried again on the same file, because the kernel may by then have marked the lost
pages clean: the segment is closed where it was last known durable, its waiters are told, and the next commit starts a
new one. What was acknowledged before stays readable.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogFull, LogUnavailable
from tracekeeper_sidecar.log import recovery, retention
from tracekeeper_sidecar.log.files import NO_ROOM, READ_ONLY, Files
from tracekeeper_sidecar.log.record import HEADER_SIZE, encode_header, seed_of
from tracekeeper_sidecar.log.segment import DATA_START, Segment, View, name_of
from tracekeeper_sidecar.log.segment import encode_header as encode_segment_header
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

COMMIT_BYTES = 8 << 20
"""Bytes after which a commit takes no further appends, so that the first of them need not wait for long."""
JOIN_BELOW = 4 << 10
"""Bytes per append on average below which one joined buffer is cheaper than many."""
MAX_BUFFERS = 1024
"""IOV_MAX of Linux."""
IDLE = 30.0
"""Seconds after which the thread looks around although nobody called it."""
DELETIONS = 2
"""Segments deleted between two commits: each takes some milliseconds, for which appends would wait."""
PAUSE = 1.0
"""Seconds during which appends are refused without touching the disk, after it refused one."""


Done = Callable[[LogError | None], None]
"""How an append learns what became of it: None when it is durable."""

Append = tuple[bytes, int, int, Done]
"""Payload, spans in it, frame flags, and whom to tell."""


class Outcome(NamedTuple):
    """What became of appends that shared a fate."""

    appends: list[Append]
    size: int
    """Bytes in their payloads."""
    flags: int
    """All their flags together."""
    error: LogError | None
    """None when they are durable."""


class Resolve(Protocol):
    """How a commit ends; called in the writer's thread, must only hand over to the event loop."""

    def __call__(self, outcomes: list[Outcome], end: Position, /) -> None: ...


@dataclass(slots=True)
class Counts:
    """Written by the writer's thread only; others may read at any time."""

    appends: int = 0
    commits: int = 0
    bytes_written: int = 0
    sync_seconds: float = 0.0
    write_faults: int = 0
    """Segments closed early because a write or sync failed."""
    used: int = 0
    """Bytes in the data directory when last measured, plus what was preallocated since."""


@dataclass(slots=True)
class _Active:
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


class Writer:
    """Owns the active segment, the catalogue and the thread. `view` may be read from any thread."""

    def __init__(
        self,
        directory: str,
        files: Files,
        clock: Clock,
        quota: int,
        segment_size: int,
        recovered: recovery.Recovered,
        resolve: Resolve,
    ) -> None:
        self._directory, self._files, self._clock = directory, files, clock
        self._quota, self._segment_size = quota, segment_size
        self.view: View = recovered.view
        self._written = recovered.view.end
        """Where the newest durable frame ends."""
        self.counts = Counts()
        self._next_number = recovered.next_number
        self._resolve = resolve
        self._active: _Active | None = None
        self._queue: queue.SimpleQueue[Append | None] = queue.SimpleQueue()
        self._released = 0
        self._retired = 0
        self._stopping = False
        self._pause: tuple[float, int, LogError] | None = None
        """Until when, unless more than this is released, to answer what."""
        self._refusal: LogError | None = None
        """What the newest append was answered with; None when it was stored, or its cause is known to be gone."""
        self._busy_since: float | None = None
        """Monotonic time since which the thread has been at the disk; None while it waits for something to do."""
        self._measure()
        self._thread = threading.Thread(target=self._run, name="tracekeeper-log", daemon=True)
        self._thread.start()

    # Called by the event loop.

    def submit(self, append: Append) -> None:
        """Queue one append; it comes back through `resolve` with the commit that settles it."""
        self._queue.put(append)

    def release(self, seq: int) -> None:
        """Let segments go whose spans all come before `seq`."""
        if seq > self._released:
            self._released = seq
            full = isinstance(self._refusal, LogFull) and self._refusal.reason == "quota"
            if full and seq >= self.view.end.seq:
                self._refusal = None  # The next append may have the room of all that is there.
            segments = self.view.segments
            if retention.releasable(segments, seq):
                self._queue.put(None)

    def stop(self, timeout: float) -> bool:
        """Commit what is queued, close the active segment, end the thread; False when it did not within `timeout`."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    @property
    def refusal(self) -> str:
        """Why the newest appends are refused; empty when they are stored."""
        refusal = self._refusal
        return "" if refusal is None else str(refusal)

    @property
    def room(self) -> int:
        """Bytes that could be stored now, roughly; all that the quota allows once everything there is settled."""
        if self._released >= self.view.end.seq:
            return self._quota
        active = self._active
        unwritten = active.size - active.durable if active is not None and active.preallocated else 0
        return max(0, self._quota - retention.reserve_for(self._quota) - self.counts.used + unwritten)

    @property
    def busy(self) -> float:
        """Seconds that the commit or deletion under way has taken so far; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else max(0.0, self._clock.monotonic() - since)

    # The writer's thread.

    def _run(self) -> None:
        while True:
            self._busy_since = None
            batch = self._take()
            self._busy_since = self._clock.monotonic()
            try:
                if batch:
                    self._commit(batch)
                    batch = []
                if self._released > self._retired:
                    self._retire(DELETIONS)
            except Exception as fault:
                # A bug or an unforeseen fault must not end the only writer: its waiters hear of it, it goes on.
                logger.exception("the log's writer failed; appends are answered with it and writing goes on")
                self._abandon(f"unexpected {fault!r}")
                error = self._refusal = LogUnavailable(f"log in {self._directory}: unexpected {fault!r}")
                self._resolve([Outcome(batch, _size_of(batch), 0, error)], self._written)
            if self._stopping and self._queue.empty():
                self._seal()
                self._busy_since = None
                return

    def _take(self) -> list[Append]:
        """What is queued, up to a commit's size; waits for the first."""
        batch: list[Append] = []
        size = 0
        try:
            item = self._queue.get(timeout=IDLE)
            while True:
                if item is not None:
                    batch.append(item)
                    size += len(item[0])
                    if size >= COMMIT_BYTES:
                        break
                item = self._queue.get_nowait()
        except queue.Empty:
            pass
        return batch

    def _commit(self, batch: list[Append]) -> None:
        outcomes: list[Outcome] = []
        time_ns = int(self._clock.now() * 1e9)
        buffers: list[bytes] = []
        members: list[Append] = []
        offset, seq = self._place()
        active = self._active
        for append in batch:
            payload, spans, flags, _ = append
            need = HEADER_SIZE + len(payload)
            if active is None or offset + need > active.size:
                outcomes.append(self._write(buffers, members, offset, seq))
                buffers, members = [], []
                refusal = self._rotate(need)
                active = self._active
                offset, seq = self._place()
                if refusal is not None:
                    self._refusal = refusal
                    outcomes.append(Outcome([append], len(payload), flags, refusal))
                    continue
                assert active is not None
                offset = DATA_START
            buffers.append(encode_header(active.seed, payload, seq, spans, time_ns, flags=flags))
            buffers.append(payload)
            members.append(append)
            offset += need
            seq += spans
        outcomes.append(self._write(buffers, members, offset, seq))
        self._resolve(outcomes, self._written)

    def _place(self) -> tuple[int, int]:
        """Offset and seq at which the next frame goes."""
        return (self._active.durable or DATA_START) if self._active else 0, self.view.end.seq

    def _write(self, buffers: list[bytes], members: list[Append], end: int, seq: int) -> Outcome:
        """Make the frames durable as the active segment's next ones; `end` and `seq` are where they lead."""
        active = self._active
        if not members or active is None:
            return Outcome(members, 0, 0, None)
        start = active.durable or DATA_START
        size = end - start - HEADER_SIZE * len(members)
        flags = 0
        for _, _, own, _ in members:
            flags |= own
        try:
            self._write_all(active, buffers, start, end - start)
            began = self._clock.monotonic()
            self._files.fdatasync(active.handle)
            self.counts.sync_seconds += self._clock.monotonic() - began
        except OSError as fault:
            self._refusal = self._fault(active, fault)
            return Outcome(members, size, flags, self._refusal)
        active.durable = end
        self._refusal = None
        self._written = Position(active.number, end, seq)
        self.view = View(self.view.segments, self._written)
        self.counts.commits += 1
        self.counts.appends += len(members)
        self.counts.bytes_written += end - start
        return Outcome(members, size, flags, None)

    def _write_all(self, active: _Active, buffers: list[bytes], offset: int, size: int) -> None:
        if not active.durable:
            # The header goes out with the first frames, so that a new segment needs no sync of its own.
            segment = self.view.segments[-1]
            header = encode_segment_header(segment.number, segment.base, int(segment.created * 1e9))
            buffers, offset, size = [header, *buffers], 0, size + DATA_START
        if len(buffers) > 2 and size < JOIN_BELOW * len(buffers):
            buffers = [b"".join(buffers)]
        while buffers:
            written = self._files.pwritev(active.handle, buffers[:MAX_BUFFERS], offset)
            offset += written
            buffers = _behind(buffers, written)

    # Rotation and room.

    def _rotate(self, need: int) -> LogError | None:
        """Replace the active segment by one with room for `need` bytes; what to answer if that is not possible.

        A frame that does not fit leaves the active segment open, since smaller ones may.
        """
        if self._pause is not None:
            until, released, refusal = self._pause
            if self._clock.monotonic() < until and self._released == released:
                return refusal
            self._pause = None
        try:
            self._retire(len(self.view.segments))
            size = self._plan(need)
            if size is None:
                return self._refuse(self._full())
            self._seal()
            self._create(size, need)
        except OSError as fault:
            return self._refuse(self._cannot(fault))
        return None

    def _plan(self, need: int) -> int | None:
        """Size of the next segment within the quota, letting the newest go if all of it is settled."""
        used = self._measure()
        active = self._active
        if active is not None and active.preallocated:
            used -= active.size - (active.durable or DATA_START)
        size = retention.next_segment_size(need, self._segment_size, self._quota, used)
        segments, end = self.view.segments, self.view.end
        if size is None and segments and self._released >= end.seq:
            freed = segments[-1].end if active is None else active.durable
            size = retention.next_segment_size(need, self._segment_size, self._quota, used - freed)
            if size is not None and not self._let_newest_go():
                size = None
        return size

    def _let_newest_go(self) -> bool:
        """Delete the last segment; first make its number and the count of spans outlive it."""
        self._seal()
        try:
            recovery.save_state(self._directory, self._files, self._next_number, self.view.end.seq)
        except OSError as fault:
            logger.error("cannot save the state of the log in %s: %s", self._directory, fault)
            return False
        self._delete(len(self.view.segments))
        return True

    def _create(self, size: int, need: int) -> None:
        """Make the next segment. Raises OSError with nothing left behind."""
        try:
            self._active = self._prepare(size)
        except OSError as fault:
            smaller = retention.smallest_segment_size(need)
            if fault.errno not in NO_ROOM or smaller >= size:
                raise
            self._active = self._prepare(smaller)
        number, seq = self._active.number, self.view.end.seq
        segment = Segment(number, seq, self._clock.now(), DATA_START)
        self.view = View((*self.view.segments, segment), Position(number, DATA_START, seq))
        self.counts.used += self._active.size

    def _prepare(self, size: int) -> _Active:
        number = self._next_number
        path = f"{self._directory}/{name_of(number)}"
        handle = self._files.open(path, write=True, create=True)
        self._next_number = number + 1
        try:
            preallocated = self._files.allocate(handle, size)
            self._files.sync_directory(self._directory)
        except OSError:
            self._files.close(handle)
            self._unlink(path)
            raise
        return _Active(number, handle, seed_of(number), size, preallocated)

    def _seal(self) -> None:
        """Close the active segment at its last durable frame and give the rest of its space back."""
        active, self._active = self._active, None
        if active is None:
            return
        end = active.durable or DATA_START
        try:
            # Not synced: if a crash undoes it, zeros follow the last frame, which readers take for its end.
            self._files.truncate(active.handle, end)
        except OSError as fault:
            logger.warning("cannot trim %s/%s: %s", self._directory, name_of(active.number), fault)
        self._files.close(active.handle)
        segments = self.view.segments
        sealed = (*segments[:-1], replace(segments[-1], end=end))
        self.view = View(sealed, self.view.end)
        if not active.durable:
            self._drop_empty(active.number)

    def _drop_empty(self, number: int) -> None:
        """Remove a segment that never held a durable frame; its number is not used again."""
        self._unlink(f"{self._directory}/{name_of(number)}")
        self.view = View(self.view.segments[:-1], Position(self._next_number, DATA_START, self.view.end.seq))

    def _retire(self, most: int) -> None:
        """Delete the oldest segments that everybody has passed, up to `most`; come back for the others."""
        released = self._released
        count = retention.releasable(self.view.segments, released)
        self._delete(min(count, most))
        if count > most:
            self._queue.put(None)
        else:
            self._retired = released

    def _delete(self, count: int) -> None:
        if not count:
            return
        gone, kept = self.view.segments[:count], self.view.segments[count:]
        # Readers stop seeing them first: nobody opens a file that is about to vanish.
        self.view = View(kept, self.view.end)
        for segment in gone:
            self._unlink(f"{self._directory}/{name_of(segment.number)}")
        try:
            self._files.sync_directory(self._directory)
        except OSError as fault:
            logger.warning("cannot sync %s: %s", self._directory, fault)
        self._pause = None
        if isinstance(self._refusal, LogFull):
            self._refusal = None
        self._measure()

    def _unlink(self, path: str) -> None:
        try:
            self._files.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as fault:
            logger.error("cannot delete %s: %s; it is tried again at the next start", path, fault)

    def _measure(self) -> int:
        """Bytes in the data directory now."""
        used = 0
        for name in self._files.listdir(self._directory):
            try:
                used += self._files.stat(f"{self._directory}/{name}").charged
            except FileNotFoundError:
                continue
        self.counts.used = used
        return used

    # Faults.

    def _fault(self, active: _Active, fault: OSError) -> LogError:
        """A write or sync failed: leave the file as it was last known good and say what happened."""
        self.counts.write_faults += 1
        path = f"{self._directory}/{name_of(active.number)}"
        logger.error("cannot write %s: %s; it is closed and the next append starts a new segment", path, fault)
        self._seal()
        return self._refuse(self._cannot(fault))

    def _abandon(self, cause: str) -> None:
        try:
            self._seal()
        except Exception:
            logger.exception("cannot close the active segment after %s", cause)
            self._active = None

    def _refuse(self, error: LogError) -> LogError:
        self._pause = (self._clock.monotonic() + PAUSE, self._released, error)
        return error

    def _full(self) -> LogFull:
        return LogFull(
            "quota",
            f"the buffer in {self._directory} is full: {self.counts.used} of {self._quota} bytes hold spans that "
            "wait for delivery; spans are accepted again as backends take them",
            retry_after=PAUSE,
        )

    def _cannot(self, fault: OSError) -> LogError:
        cause = fault.strerror or str(fault)
        if fault.errno in NO_ROOM:
            return LogFull(
                "disk",
                f"the volume of {self._directory} has no room for another segment ({cause}); spans are accepted again "
                "once there is",
                retry_after=PAUSE,
            )
        hint = "; the directory must be writable for the sidecar's user" if fault.errno in READ_ONLY else ""
        return LogUnavailable(f"cannot write to the log in {self._directory}: {cause}{hint}", retry_after=PAUSE)


def _size_of(batch: list[Append]) -> int:
    """Bytes in the payloads."""
    return sum(len(append[0]) for append in batch)


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
