"""The one thread that changes the log: it writes, syncs, rotates and deletes.

Appends queue up while a commit is under way, and a few milliseconds longer while they keep coming; the next commit
takes all of them: one write, one fdatasync, one wake-up of the event loop that answers every append.

A sync or write that fails is never tried again on the same file, because the kernel may by then have marked the lost
pages clean: the segment is closed where it was last known durable, its appends are told, and the next commit starts a
new one. What was acknowledged before stays readable.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogFull, LogUnavailable
from tracekeeper_sidecar.log import recovery
from tracekeeper_sidecar.log.catalogue import Catalogue
from tracekeeper_sidecar.log.codec import Encoded
from tracekeeper_sidecar.log.files import NO_ROOM, READ_ONLY, Files
from tracekeeper_sidecar.log.pace import Pace
from tracekeeper_sidecar.log.record import HEADER_SIZE
from tracekeeper_sidecar.log.retention import Limits
from tracekeeper_sidecar.log.segment import View
from tracekeeper_sidecar.log.tail import Tail
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

COMMIT_BYTES = 8 << 20
"""Bytes after which a commit takes no further appends, so that the first of them need not wait for long."""
IDLE = 30.0
"""Seconds after which the thread looks around although nobody called it."""
DELETIONS = 2
"""Segments deleted between two commits: each takes some milliseconds, for which appends would wait."""
PAUSE = 1.0
"""Seconds during which appends are refused without touching the disk, after it refused one."""


Done = Callable[[LogError | None], None]
"""How an append learns what became of it: None when it is durable."""

Append = tuple[bytes, int, int, Done]
"""Payload, spans in it, frame flags with the type (see `record.TYPE_SHIFT`), and whom to tell."""


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


class Writer:
    """Owns the thread, and the catalogue in it."""

    def __init__(
        self,
        directory: str,
        files: Files,
        clock: Clock,
        limits: Limits,
        recovered: recovery.Recovered,
        resolve: Resolve,
    ) -> None:
        self._directory, self._clock, self._resolve = directory, clock, resolve
        self.counts = Counts()
        self.catalogue = Catalogue(directory, files, clock, limits, recovered)
        self.tail = Tail(limits.memory)
        self._written = recovered.view.end
        """Where the newest durable frame ends."""
        self._queue: deque[Append] = deque()
        self._came = 0.0
        """When the newest append was queued, monotonic."""
        self._pace = Pace()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Rung when there may be something to do for a thread that sleeps."""
        self._sleeping = False
        self._stopping = False
        self._pause: tuple[float, int, LogError] | None = None
        """Until when, unless more than this is released, to answer what."""
        self._refusal: LogError | None = None
        """What the newest append was answered with; None when it was stored, or its cause is known to be gone."""
        self._busy_since: float | None = None
        """Monotonic time since which the thread has been at the disk; None while it waits for something to do."""
        self._alive = True
        self._thread = threading.Thread(target=self._live, name="tracekeeper-log", daemon=True)
        self._thread.start()

    # Called by the event loop.

    def submit(self, append: Append) -> None:
        """Queue one append; it comes back through `resolve` with the commit that settles it."""
        self._queue.append(append)
        self._came = self._clock.monotonic()
        # Either this sees that the thread sleeps, or the thread sees the append before it does.
        if self._sleeping:
            self._ring()

    def settle(self, released: int, preferred: int) -> None:
        """Guaranteed entries have passed every span before `released`, all entries those before `preferred`."""
        catalogue = self.catalogue
        before = catalogue.passed
        catalogue.released, catalogue.preferred = released, preferred
        changed = catalogue.passed > before
        if catalogue.passed > self.catalogue.limits.history:
            self._ring()
        full = isinstance(self._refusal, LogFull) and self._refusal.reason == "quota"
        if full and (changed or released >= self.view.end.seq):
            self._refusal = None  # The next append may have the room of what is passed.

    def resize(self, limits: Limits) -> None:
        """Keep to these limits from now on; what is too much goes when it may."""
        self.catalogue.limits = limits
        self._ring()

    def stop(self, timeout: float) -> bool:
        """Commit what is queued, close the active segment, end the thread; False when it did not within `timeout`."""
        self._stopping = True
        self._ring()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def view(self) -> View:
        """The log as readers may see it now."""
        return self.catalogue.view

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._alive

    @property
    def refusal(self) -> str:
        """Why the newest appends are refused; empty when they are stored."""
        refusal = self._refusal
        return "" if refusal is None else str(refusal)

    @property
    def busy(self) -> float:
        """Seconds that the commit or deletion under way has taken so far; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else max(0.0, self._clock.monotonic() - since)

    def _ring(self) -> None:
        self._sleeping = False
        self._bell.put(None)

    # The writer's thread.

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._alive = False  # Asked before each append; the thread itself takes a lock to answer.

    def _run(self) -> None:
        while True:
            self._busy_since = None
            batch = self._take()
            self._busy_since = self._clock.monotonic()
            try:
                if batch:
                    self._commit(batch)
                    batch = []
                self._delete()
            except Exception as fault:
                # A bug or an unforeseen fault must not end the only writer: its appends hear of it, it goes on.
                logger.exception("the log's writer failed; appends are answered with it and writing goes on")
                self._abandon(f"unexpected {fault!r}")
                error = self._refusal = LogUnavailable(f"log in {self._directory}: unexpected {fault!r}")
                self._resolve([Outcome(batch, _size_of(batch), 0, error)], self._written)
            if self._stopping and not self._queue:
                self.catalogue.seal()
                self._busy_since = None
                return

    def _take(self) -> list[Append]:
        """What is queued, up to a commit's size; waits for the first."""
        waiting = self._queue
        if not waiting:
            self._sleeping = True
            if not waiting and not self._stopping:
                try:
                    self._bell.get(timeout=IDLE)
                except queue.Empty:
                    pass
            self._sleeping = False
        self._gather()
        batch: list[Append] = []
        size = 0
        while waiting and size < COMMIT_BYTES:
            append = waiting.popleft()
            batch.append(append)
            size += len(append[0])
        return batch

    def _gather(self) -> None:
        """Wait for more appends where that has paid off."""
        began = now = self._clock.monotonic()
        queued = len(self._queue)
        patience = self._pace.patience(now) if queued and not self._stopping else 0.0
        if patience:
            with contextlib.suppress(queue.Empty):  # Only a stop, or an old ring, ends it early: nobody rings now.
                self._bell.get(timeout=patience)
            now = self._clock.monotonic()
            self._pace.waited(len(self._queue) - queued, now - began, now - max(began, self._came))
        self._pace.begin(now)

    def _delete(self) -> None:
        """Delete some of the history over its bound, and come back for the rest."""
        freed = self.catalogue.freed
        if self.catalogue.trim(DELETIONS):
            self._ring()
        if self.catalogue.freed > freed:
            self._pause = None
            if isinstance(self._refusal, LogFull):
                self._refusal = None

    def _commit(self, batch: list[Append]) -> None:
        outcomes: list[Outcome] = []
        time_ns = max(0, int(self._clock.now() * 1e9))  # A clock that was never set may stand before the epoch.
        catalogue, index = self.catalogue, 0
        while index < len(batch):
            frames = catalogue.encode(batch, index, time_ns)
            if frames.count:
                appends = batch if frames.count == len(batch) else batch[index : index + frames.count]
                outcomes.append(self._write(frames, appends, time_ns))
                index += frames.count
                continue
            append = batch[index]
            refusal = self._rotate(HEADER_SIZE + len(append[0]))
            if refusal is not None:
                self._refusal = refusal
                outcomes.append(Outcome([append], len(append[0]), append[2], refusal))
                index += 1
        self._resolve(outcomes, self._written)

    def _write(self, frames: Encoded, appends: list[Append], time_ns: int) -> Outcome:
        """Make the frames durable as the active segment's next ones."""
        begin = self.view.end
        try:
            self.counts.sync_seconds += self.catalogue.append(frames)
        except OSError as fault:
            self._refusal = self._fault(fault)
            return Outcome(appends, frames.payload, frames.flags, self._refusal)
        self._written = self.view.end
        # Behind the view, so that nobody reads beyond the end that others see.
        self.tail.keep(appends, begin.segment, begin.offset, begin.seq, time_ns)
        self._refusal = None
        self.counts.commits += 1
        self.counts.appends += frames.count
        self.counts.bytes_written += frames.size
        return Outcome(appends, frames.payload, frames.flags, None)

    def _rotate(self, need: int) -> LogError | None:
        """A new active segment with room for `need` bytes; what to answer if that is not possible."""
        if self._pause is not None:
            until, released, refusal = self._pause
            if self._clock.monotonic() < until and self.catalogue.released == released:
                return refusal
            self._pause = None
        try:
            rotated = self.catalogue.rotate(need)
        except OSError as fault:
            return self._refuse(self._cannot(fault))
        return None if rotated else self._refuse(self._full())

    # Faults.

    def _fault(self, fault: OSError) -> LogError:
        """A write or sync failed: leave the file as it was last known good and say what happened."""
        self.counts.write_faults += 1
        path = self.catalogue.path_of(self.view.end.segment)
        logger.error("cannot write %s: %s; it is closed and the next append starts a new segment", path, fault)
        self.catalogue.seal()
        if fault.errno in NO_ROOM:
            self.catalogue.give_way()
        return self._refuse(self._cannot(fault))

    def _abandon(self, cause: str) -> None:
        try:
            self.catalogue.seal()
        except Exception:
            logger.exception("cannot close the active segment after %s", cause)
            self.catalogue.active = None

    def _refuse(self, error: LogError) -> LogError:
        self._pause = (self._clock.monotonic() + PAUSE, self.catalogue.released, error)
        return error

    def _full(self) -> LogFull:
        used, quota = self.catalogue.used, self.catalogue.limits.quota
        return LogFull(
            "quota",
            f"the buffer in {self._directory} is full: {used} of {quota} bytes hold spans that wait for delivery; "
            "spans are accepted again as backends take them",
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
