"""The segment log as the rest of the sidecar sees it.

`append` returns when the spans would survive a loss of power; readers see only what does. One event loop owns a `Log`:
`open` and `Reader.read` may run in other threads, everything else is called from that loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import parts, recovery, retention, segment
from tracekeeper_sidecar.log.files import READ_ONLY, Files
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.log.record import MAX_PAYLOAD
from tracekeeper_sidecar.log.recovery import RecoveryReport
from tracekeeper_sidecar.log.writer import Outcome, Waiter, Writer
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

QUEUE_BYTES = 64 << 20
"""Bytes that may wait for the disk; beyond, appends are refused. One append is always let in."""
QUEUE_APPENDS = 16384
HANGING = 5.0
"""Seconds after which a commit under way counts as a problem: receivers soon give up waiting for it."""
CLOSE_TIMEOUT = 10.0
"""Seconds that closing waits for a disk that hangs."""
_DAMAGE_KEPT = 4096
"""Damaged stretches remembered, so that several readers count one only once."""


@dataclass(frozen=True, slots=True)
class LogStats:
    """Figures for metrics and health. Bytes, unless said otherwise."""

    segments: int
    bytes: int
    """Everything in the data directory, preallocation, cursors and foreign files included."""
    quota: int
    end_seq: int
    """Spans ever acknowledged."""
    appends: int
    commits: int
    bytes_written: int
    sync_seconds: float
    """Seconds spent in fdatasync, all commits together."""
    write_faults: int
    """Segments closed early because a write or sync failed."""
    damaged_bytes: int
    """Damage found since the start, by recovery and by readers."""
    queued_appends: int
    queued_bytes: int
    problem: str
    """Why the newest appends are refused, fail or hang, in words for people; empty when they are stored."""


class Log:
    """See the module. Made by `open`."""

    def __init__(
        self,
        directory: str,
        files: Files,
        clock: Clock,
        lock: int,
        recovered: recovery.Recovered,
        sizes: tuple[int, int],
    ) -> None:
        self._directory, self._files, self._clock, self._lock = directory, files, clock, lock
        self._quota, segment_size = sizes
        self._recovery = recovered.report
        self._largest = min(MAX_PAYLOAD, retention.largest_payload(self._quota))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queued_appends = self._queued_bytes = 0
        self._waiting: dict[asyncio.Future[None], int] = {}  # the seq that each wants the end to pass
        self._damage: dict[tuple[int, int], int] = {}
        self._damaged_bytes = recovered.report.damaged_bytes
        self._closed = False
        self.on_unheard: Callable[[int], None] = _ignore
        """Called on the event loop with a number of spans whose append was cancelled and that are not stored: the
        caller who is gone could not count them."""
        self._writer = Writer(directory, files, clock, self._quota, segment_size, recovered, self._hand_over)

    @classmethod
    def open(cls, directory: str, *, files: Files, clock: Clock, quota: int, segment_size: int | None = None) -> Log:
        """Recover the log in `directory`, which is made if it is not there. Blocks; call it in a thread.

        `quota` bounds every byte in the directory. Raises LogUnavailable when the directory is locked by another
        process, cannot be written, or the quota is too small to hold anything.
        """
        if quota < retention.MIN_QUOTA:
            raise LogUnavailable(
                f"storage size {quota} bytes is too small for {directory}: at least {retention.MIN_QUOTA} are needed"
            )
        lock = _lock(directory, files)
        try:
            recovered = recovery.recover(directory, files, clock)
            size = segment_size or retention.segment_size_for(quota)
            return cls(directory, files, clock, lock, recovered, (quota, size))
        except OSError as fault:
            files.close(lock)
            raise _cannot_open(directory, fault) from fault
        except BaseException:
            files.close(lock)
            raise

    @property
    def recovery(self) -> RecoveryReport:
        """What `open` found."""
        return self._recovery

    @property
    def alive(self) -> bool:
        """False once the writer has ended: nothing can be appended any more."""
        return self._writer.alive

    @property
    def begin(self) -> Position:
        """Where the oldest span still kept starts."""
        return self._writer.view.begin

    @property
    def end(self) -> Position:
        """Everything before it is durable."""
        return self._writer.view.end

    async def append(self, payload: bytes, spans: int) -> Position:
        """Store one request of `spans` spans, at least 1; return when it is durable.

        The position returned is the log's end after the commit that holds it: a cursor that reached it has passed
        this request. Raises LogFull, LogTooLarge or LogUnavailable; nothing is acknowledged then. When the caller is
        cancelled, or LogUnavailable tells of a failed sync, the spans may be stored all the same. A request over
        `parts.LARGE` bytes becomes several frames, so that nobody who reads them needs much memory; when room or the
        disk fails between two of them, the error's `stored` tells how many spans are in the log.
        """
        if spans < 1 or len(payload) > MAX_PAYLOAD:
            raise ValueError(f"append of {spans} spans in {len(payload)} bytes")
        if len(payload) > parts.LARGE:
            return await self._append_parts(payload, spans)
        return await self._append(payload, spans)

    async def _append_parts(self, payload: bytes, spans: int) -> Position:
        self._admit(len(payload))
        self._check_room(len(payload))
        left = spans
        stored, end = 0, self.end
        try:
            async for group in parts.divide(payload):
                left -= sum(count for _, count in group)
                stored, end = await self._append_group(group, stored, end)
        except asyncio.CancelledError:
            self.on_unheard(left)  # Those under way have waiters of their own.
            raise
        return end

    async def _append_group(self, group: list[tuple[bytes, int]], stored: int, end: Position) -> tuple[int, Position]:
        """Append some parts. Returns how many spans of the request are stored then, and the log's end."""
        appends = (self._append(part, spans) for part, spans in group)
        results = await asyncio.gather(*appends, return_exceptions=True)
        fault: BaseException | None = None
        for (_, spans), result in zip(group, results, strict=True):
            if isinstance(result, BaseException):
                fault = fault or result
            else:
                stored, end = stored + spans, max(end, result)
        if isinstance(fault, LogError):
            fault.stored = stored
        if fault is not None:
            raise fault
        return stored, end

    async def _append(self, payload: bytes, spans: int) -> Position:
        self._admit(len(payload))
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        waiter = Waiter(spans, loop)
        self._queued_appends += 1
        self._queued_bytes += len(payload)
        self._writer.submit(payload, spans, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is not None:
                self.on_unheard(spans)  # The answer was on its way to a caller who has just gone.
            raise

    def reader(self, position: Position) -> Reader:
        """A reader that starts at `position`. Segments that are gone count as lost where spans were in them."""
        return Reader(self._directory, self._files, lambda: self._writer.view, position, self._note_damage)

    async def wait(self, after: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """True as soon as there are spans behind `after`, False after `timeout` seconds without any."""
        if self.end.seq > after.seq:
            return True
        if timeout <= 0 or self._closed:
            return False
        loop = self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = asyncio.ensure_future(self._clock.sleep(timeout))
        self._waiting[waiter] = after.seq
        try:
            # A commit may have ended between the first look and the entry into the set.
            if self.end.seq <= after.seq:
                await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[waiter]
            timer.cancel()
        return self.end.seq > after.seq

    def release(self, position: Position) -> None:
        """Segments wholly before `position` may be deleted; the caller passes the least of all saved cursors."""
        self._writer.release(position.seq)

    def stats(self) -> LogStats:
        """Figures as of now; touches no file, so a disk that hangs holds nobody up."""
        view, counts = self._writer.view, self._writer.counts
        return LogStats(
            segments=len(view.segments),
            bytes=counts.used,
            quota=self._quota,
            end_seq=view.end.seq,
            appends=counts.appends,
            commits=counts.commits,
            bytes_written=counts.bytes_written,
            sync_seconds=counts.sync_seconds,
            write_faults=counts.write_faults,
            damaged_bytes=self._damaged_bytes,
            queued_appends=self._queued_appends,
            queued_bytes=self._queued_bytes,
            problem=self._problem(),
        )

    async def close(self) -> None:
        """Commit what is queued, close the files, let the directory go. Later appends raise LogUnavailable."""
        if self._closed:
            return
        self._closed = True
        stopped = await asyncio.to_thread(self._writer.stop, CLOSE_TIMEOUT)
        # Outcomes that the writer handed over last come through the loop's queue: let it run once.
        await asyncio.sleep(0)
        for waiter in list(self._waiting):
            if not waiter.done():
                waiter.set_result(None)
        if stopped:
            self._files.close(self._lock)
        else:
            logger.error("the log in %s did not close within %.0f s: the disk hangs", self._directory, CLOSE_TIMEOUT)

    def _problem(self) -> str:
        busy = self._writer.busy
        if not self._writer.alive:
            return f"the log in {self._directory} is closed"
        if busy >= HANGING:
            return (
                f"the disk under {self._directory} has not answered for {busy:.0f} s; {self._queued_appends} appends "
                f"of {self._queued_bytes} bytes wait for it"
            )
        return self._writer.refusal

    def _admit(self, size: int) -> None:
        if self._closed or not self._writer.alive:
            raise LogUnavailable(f"the log in {self._directory} is closed")
        if size > self._largest:
            raise LogTooLarge(
                f"a request of {size} bytes can never fit into the buffer of {self._quota} bytes in {self._directory}; "
                "make the storage larger or the sender's batches smaller"
            )
        if self._queued_appends and (self._queued_bytes + size > QUEUE_BYTES or self._queued_appends >= QUEUE_APPENDS):
            raise LogUnavailable(
                f"the disk under {self._directory} is slow: {self._queued_appends} appends of {self._queued_bytes} "
                "bytes wait for it",
                retry_after=1.0,
            )

    def _check_room(self, size: int) -> None:
        """Refuse all of a large request when only some of its parts would fit: the sender would repeat those."""
        room = self._writer.room
        if size > room:
            raise LogFull(
                "quota",
                f"the buffer in {self._directory} has room for {room} of this request's {size} bytes; it is accepted "
                "again as backends take what is stored",
                retry_after=1.0,
            )

    def _hand_over(self, outcomes: list[Outcome]) -> None:
        """Called in the writer's thread, once per commit."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._settle, outcomes, self._writer.view.end)

    def _settle(self, outcomes: list[Outcome], end: Position) -> None:
        for waiters, size, error in outcomes:
            self._queued_appends -= len(waiters)
            self._queued_bytes -= size
            for waiter in waiters:
                if waiter.done():
                    if error is not None and waiter.cancelled():
                        self.on_unheard(waiter.spans)
                    continue
                if error is None:
                    waiter.set_result(end)
                else:
                    waiter.set_exception(_copy(error))
        for waiting, seq in self._waiting.items():
            if end.seq > seq and not waiting.done():
                waiting.set_result(None)

    def _note_damage(self, number: int, offset: int, damaged: int, /) -> None:
        known = self._damage.get((number, offset), 0)
        if damaged > known and (known or len(self._damage) < _DAMAGE_KEPT):
            self._damage[number, offset] = damaged
            self._damaged_bytes += damaged - known
            logger.error(
                "%s/%s is damaged: %d bytes from offset %d; the spans in them are lost and counted",
                self._directory, segment.name_of(number), damaged, offset,
            )  # fmt: skip


def _ignore(spans: int, /) -> None:
    pass


def _copy(error: LogError) -> LogError:
    """One for each waiter, because raising writes a traceback into it."""
    if isinstance(error, LogFull):
        return LogFull(error.reason, str(error), error.retry_after)
    if isinstance(error, LogUnavailable):
        return LogUnavailable(str(error), error.retry_after)
    return LogError(str(error))


def _lock(directory: str, files: Files) -> int:
    try:
        files.make_directory(directory)
        return files.lock_directory(directory)
    except BlockingIOError as fault:
        raise LogUnavailable(
            f"{directory} is in use by another process: two sidecars cannot share a data directory; stop the other one "
            "or give each its own --data-dir"
        ) from fault
    except OSError as fault:
        raise _cannot_open(directory, fault) from fault


def _cannot_open(directory: str, fault: OSError) -> LogUnavailable:
    cause = fault.strerror or str(fault)
    if fault.errno in READ_ONLY:
        hint = "it must be writable for the sidecar's user; nothing can be acknowledged until it is"
    elif fault.errno in (errno.EEXIST, errno.ENOTDIR):
        hint = "it must be a directory"
    else:
        hint = "nothing can be acknowledged until it can be opened"
    return LogUnavailable(f"cannot open the log in {directory}: {cause}; {hint}")
