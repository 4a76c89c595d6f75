"""The segment log as the rest of the sidecar sees it.

`submit` answers when the spans would survive a loss of power; readers see only what does. One event loop owns a `Log`:
`open` and `Reader.read` may run in other threads, everything else is called from that loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogUnavailable
from tracekeeper_sidecar.log import places, recovery, retention, segment
from tracekeeper_sidecar.log.appender import Appender, call, copy_of
from tracekeeper_sidecar.log.files import READ_ONLY, Files
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.log.record import TRACES
from tracekeeper_sidecar.log.recovery import RecoveryReport
from tracekeeper_sidecar.log.retention import Limits
from tracekeeper_sidecar.log.writer import Done, Writer
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

MEMORY = 4 << 20
"""Bytes of the newest frames that stay in memory: about what is on its way to the backends anyway."""
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
    history: int
    """Bytes of it that may be deleted when their room is needed."""
    room: int
    """What could be stored now, roughly."""
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
        limits: Limits,
    ) -> None:
        self._directory, self._files, self._lock = directory, files, lock
        self._recovery = recovered.report
        self._appender = Appender(directory, limits.quota)
        self._appender.moved = self._moved
        self._appender.lacking = self._press
        self._damage: dict[tuple[int, int], int] = {}
        self._damaged_bytes = recovered.report.damaged_bytes
        self._pressed: list[Callable[[], None]] = []
        self._wanted = 0
        """Bytes of room that a request lacks which is being refused."""
        self._released = recovered.passed
        self._preferred: int | None = None
        self._wished: int | None = None
        self._reached = recovered.view.end
        self.found = recovered.view.end
        """Where it ended when it was opened: what is before it was appended by earlier processes."""
        """The log's end after the commit that is being answered."""
        self._writer = Writer(directory, files, clock, limits, recovered, self._appender.hand_over)
        self._appender.begin(self._writer)

    @classmethod
    def open(
        cls,
        directory: str,
        *,
        files: Files,
        clock: Clock,
        quota: int,
        history: int = 0,
        segment_size: int | None = None,
        memory: int = MEMORY,
        make: bool = True,
        first_seq: int = 0,
    ) -> Log:
        """Recover the log in `directory`, which is made if it is not there, unless told otherwise. Blocks; call it in a
        thread.

        `quota` bounds every byte in the directory, `history` those that every entry has passed and that are kept all
        the same while nothing else needs their room, `memory` those of the newest frames that readers need no file
        for. A log that is new begins behind `first_seq` spans, and remembers that; an old one goes by what it holds.
        Raises LogUnavailable when the directory is locked by another process, cannot be written, or the quota is too
        small to hold anything.
        """
        _check_quota(directory, quota)
        lock = _lock(directory, files, make)
        try:
            recovered = recovery.recover(directory, files, clock, first_seq)
            limits = Limits(quota, segment_size or retention.segment_size_for(quota), history, memory)
            return cls(directory, files, clock, lock, recovered, limits)
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
        """Where the oldest span still kept starts, history included."""
        return self._writer.view.begin

    @property
    def end(self) -> Position:
        """Everything before it is durable."""
        return self._writer.view.end

    def submit(self, payload: bytes, spans: int, done: Done, critical: bool = False, kind: int = TRACES) -> None:
        """As Appender.submit: store one request; `done` hears on the event loop what became of it."""
        self._appender.submit(payload, spans, done, critical, kind)

    def on_committed(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop after all callbacks of a commit, so that answers go out together."""
        self._appender.listeners.append(listener)

    def off_committed(self, listener: Callable[[], None]) -> None:
        """Do not call it any more."""
        self._appender.listeners.remove(listener)

    def on_critical(self, listener: Callable[[Position], None]) -> None:
        """Call `listener` on the event loop with the log's end when critical spans are durable before it."""
        self._appender.critical.append(listener)

    async def append(self, payload: bytes, spans: int) -> Position:
        """`submit` as a coroutine: return the log's end, which has passed this request, when it is durable.

        Raises LogFull, LogTooLarge or LogUnavailable. Whoever is cancelled stops waiting, not storing.
        """
        answered: asyncio.Future[LogError | None] = self._appender.attach().create_future()
        reached = self.end

        def done(error: LogError | None) -> None:
            nonlocal reached
            reached = self._reached
            if not answered.done():
                answered.set_result(error)

        self.submit(payload, spans, done)
        error = await answered
        if error is not None:
            raised = copy_of(error)  # Raising writes a traceback into it.
            raised.stored = error.stored
            raise raised
        return reached

    def resize(self, quota: int, history: int) -> None:
        """Change the bounds that `open` was given. Where more is pending than a smaller quota allows, that stays, and
        appends are refused until it is settled. Raises LogUnavailable as `open` does."""
        limits = self._writer.catalogue.limits
        _check_quota(self._directory, quota)
        usual = limits.segment_size == retention.segment_size_for(limits.quota)
        size = retention.segment_size_for(quota) if usual else limits.segment_size
        self._writer.resize(replace(limits, quota=quota, history=history, segment_size=size))
        self._appender.resize(quota)

    def reader(self, position: Position) -> Reader:
        """A reader that starts at `position`. Segments that are gone count as lost where spans were in them."""
        writer = self._writer
        return Reader(self._directory, self._files, lambda: writer.view, position, self._note_damage, writer.tail)

    def release(self, position: Position) -> None:
        """Every guaranteed entry has passed `position`, as saved: what is wholly before may be deleted.

        It is kept as history while there is room for it. Until `prefer` is called, this speaks for all entries. An
        earlier position than before takes history back, as far as it is still there.
        """
        self._released = position.seq
        self._settle()

    def leave(self, dead_letters: int) -> None:
        """Keep so many bytes of the quota free for dead letters, from the next segment on."""
        self._writer.catalogue.dead_letters = dead_letters

    def prefer(self, position: Position) -> None:
        """Every entry, those of best effort included, has passed `position`: what is wholly before is history.

        What lies between it and the released position is deleted when its room is needed, and not before.
        """
        self._preferred = position.seq
        self._settle()

    def wish(self, position: Position) -> None:
        """Somebody would like to read on from `position`, who is no delivery entry: as with those of best effort, what
        lies behind it gives way when its room is needed, and not before."""
        self._wished = position.seq
        self._settle()

    def holds(self, place: Position) -> bool:
        """Whether there is such a place; see `places.holds`."""
        return places.holds(self._writer.view, place)

    def locate(self, seq: int) -> Position:
        """The place before which `seq` spans were appended; see `places.locate`. Blocks. Raises LogUnavailable."""
        try:
            return places.locate(self._directory, self._files, self._writer.view, seq)
        except OSError as fault:
            raise _cannot_read(self._directory, fault) from fault

    def since(self, time: float) -> Position:
        """A place before all that was appended at that Unix time or later; see `places.since`."""
        return places.since(self._writer.view, time)

    def newest(self, kind: int) -> bytes | None:
        """The payload of the newest sound frame of a type; None when there is none. Blocks. Raises LogUnavailable."""
        try:
            return places.newest(self._directory, self._files, self._writer.view, kind)
        except OSError as fault:
            raise _cannot_read(self._directory, fault) from fault

    def recent(self, kind: int, size: int) -> Iterator[bytes]:
        """The payloads of the frames of a type in the newest `size` bytes, roughly, the oldest first. Blocks. Raises
        LogUnavailable."""
        try:
            yield from places.recent(self._directory, self._files, self._writer.view, kind, size)
        except OSError as fault:
            raise _cannot_read(self._directory, fault) from fault

    @property
    def room(self) -> int:
        """Bytes that could be stored now, roughly; history counts as room."""
        return self._writer.catalogue.room

    @property
    def watermark(self) -> int:
        """Bytes of room below which the log is under pressure: more while a request is refused that needs more."""
        usual = self._step if self._writer.catalogue.short else retention.watermark_for(self._writer.catalogue.limits)
        return max(usual, self._wanted)

    @property
    def _step(self) -> int:
        """Bytes by which room is made at a time. Nobody knows what a volume that is short of room has for us: there, a
        share of what it holds."""
        catalogue = self._writer.catalogue
        size = catalogue.limits.segment_size
        if not catalogue.short:
            return size
        return min(size, sum(segment.end for segment in catalogue.view.segments) // 8)

    @property
    def pinned(self) -> int:
        """Bytes in segments that a guaranteed entry has still before it, the newest segment included."""
        catalogue = self._writer.catalogue
        return sum(segment.end for segment in catalogue.view.segments) - catalogue.passed

    def cut(self, room: int) -> Position:
        """The place that guaranteed entries have to pass so that there are `room` bytes of room: where a segment
        starts, at the most the newest."""
        catalogue = self._writer.catalogue
        segments = catalogue.view.segments
        have = catalogue.slack - catalogue.passed
        for one in segments[:-1]:
            if have >= room:
                return one.start
            have += one.end
        return segments[-1].start if segments else self.end

    def on_pressure(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop after each commit that leaves, or finds, less room than the watermark, and
        for each large request that there is no room for."""
        self._pressed.append(listener)

    def stats(self) -> LogStats:
        """Figures as of now; touches no file, so a disk that hangs holds nobody up."""
        catalogue, counts = self._writer.catalogue, self._writer.counts
        view = catalogue.view
        return LogStats(
            segments=len(view.segments),
            bytes=catalogue.used,
            history=catalogue.passed,
            room=catalogue.room,
            quota=self._writer.catalogue.limits.quota,
            end_seq=view.end.seq,
            appends=counts.appends,
            commits=counts.commits,
            bytes_written=counts.bytes_written,
            sync_seconds=counts.sync_seconds,
            write_faults=counts.write_faults,
            damaged_bytes=self._damaged_bytes,
            queued_appends=self._appender.queued_appends,
            queued_bytes=self._appender.queued_bytes,
            problem=self._problem(),
        )

    async def close(self) -> None:
        """Commit what is queued, close the files, let the directory go. Later appends raise LogUnavailable."""
        if self._appender.closed:
            return
        self._appender.closed = True
        stopped = await asyncio.to_thread(self._writer.stop, CLOSE_TIMEOUT)
        await self._appender.finish(CLOSE_TIMEOUT)
        if stopped:
            self._files.close(self._lock)
        else:
            logger.error("the log in %s did not close within %.0f s: the disk hangs", self._directory, CLOSE_TIMEOUT)

    def _problem(self) -> str:
        busy, waiting = self._writer.busy, self._appender
        if not self._writer.alive:
            return f"the log in {self._directory} is closed"
        if busy >= HANGING:
            return (
                f"the disk under {self._directory} has not answered for {busy:.0f} s; {waiting.queued_appends} appends "
                f"of {waiting.queued_bytes} bytes wait for it"
            )
        return self._writer.refusal

    def _settle(self) -> None:
        wishes = [wish for wish in (self._preferred, self._wished) if wish is not None]
        self._writer.settle(self._released, min([self._released, *wishes]))

    def _moved(self, end: Position, refused: int) -> None:
        self._reached = end
        self._press(refused)

    def _press(self, refused: int) -> None:
        """`refused` is the size of a request that finds no room, 0 for none."""
        if not self._pressed:
            return
        # What a request needs may be more than the watermark: without it, none as large would ever be taken again.
        self._wanted = refused + self._step if refused else 0
        if self._writer.catalogue.slack < self.watermark:
            for listener in self._pressed:
                call(listener)
        self._wanted = 0

    def _note_damage(self, number: int, offset: int, damaged: int, /) -> None:
        known = self._damage.get((number, offset), 0)
        if damaged > known and (known or len(self._damage) < _DAMAGE_KEPT):
            self._damage[number, offset] = damaged
            self._damaged_bytes += damaged - known
            logger.error(
                "%s/%s is damaged: %d bytes from offset %d; the spans in them are lost and counted",
                self._directory, segment.name_of(number), damaged, offset,
            )  # fmt: skip


def _check_quota(directory: str, quota: int) -> None:
    if quota < retention.MIN_QUOTA:
        raise LogUnavailable(
            f"storage size {quota} bytes is too small for {directory}: at least {retention.MIN_QUOTA} are needed"
        )


def _lock(directory: str, files: Files, make: bool) -> int:
    try:
        if make:
            files.make_directory(directory)
        return files.lock_directory(directory)
    except BlockingIOError as fault:
        raise LogUnavailable(
            f"{directory} is in use by another process: two sidecars cannot share a data directory; stop the other one "
            "or give each its own --data-dir"
        ) from fault
    except OSError as fault:
        raise _cannot_open(directory, fault) from fault


def _cannot_read(directory: str, fault: OSError) -> LogUnavailable:
    return LogUnavailable(f"cannot read the log in {directory}: {fault.strerror or fault}")


def _cannot_open(directory: str, fault: OSError) -> LogUnavailable:
    cause = fault.strerror or str(fault)
    if fault.errno in READ_ONLY:
        hint = "it must be writable for the sidecar's user; nothing can be acknowledged until it is"
    elif fault.errno in (errno.EEXIST, errno.ENOTDIR):
        hint = "it must be a directory"
    else:
        hint = "nothing can be acknowledged until it can be opened"
    return LogUnavailable(f"cannot open the log in {directory}: {cause}; {hint}")
