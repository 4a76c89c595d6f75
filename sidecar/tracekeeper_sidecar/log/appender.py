"""The event loop's side of writing: takes appends, hands them to the writer, and brings back what became of them.

No task, future or timer is made for an append: `submit` keeps a callback, and one callback of the loop per commit calls
all that belong to it, then the listeners, so that a server can write once per connection and commit. Only a request
over `parts.LARGE` bytes has a task, which divides it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import parts, retention
from tracekeeper_sidecar.log.record import CRITICAL, MAX_PAYLOAD, TRACES, TYPE_SHIFT
from tracekeeper_sidecar.log.writer import Done, Outcome, Writer
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

QUEUE_BYTES = 64 << 20
"""Bytes that may wait for the disk; beyond, appends are refused. One append is always let in."""
QUEUE_APPENDS = 16384


class Appender:
    """Owned by one event loop; `hand_over` alone is called from the writer's thread."""

    def __init__(self, directory: str, quota: int) -> None:
        self.queued_appends = self.queued_bytes = 0
        self.closed = False
        self.listeners: list[Callable[[], None]] = []
        """Called after the callbacks of a commit, in the same callback of the loop."""
        self.moved: Callable[[Position, int], None] = lambda end, refused: None
        """Called on the loop after each commit, before the appends of the commit are answered, with the log's end and
        the bytes of the largest append that found no room."""
        self.lacking: Callable[[int], None] = lambda size: None
        """Called on the loop when a large request of so many bytes is refused for lack of room."""
        self.critical: list[Callable[[Position], None]] = []
        """Called on the loop, after `moved`, with the end of a commit that holds a critical append."""
        self._directory = directory
        self.resize(quota)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dividing: set[asyncio.Task[None]] = set()
        self._dividing_bytes = 0
        """In the requests that these divide, which stay in memory until their last parts are stored."""
        self._writer: Writer

    def resize(self, quota: int) -> None:
        """Refuse what can never fit into so many bytes."""
        self._quota = quota
        self._largest = min(MAX_PAYLOAD, retention.largest_payload(quota))

    def begin(self, writer: Writer) -> None:
        """Use `writer`, whose outcomes come to `hand_over`."""
        self._writer = writer

    def submit(self, payload: bytes, spans: int, done: Done, critical: bool = False, kind: int = TRACES) -> None:
        """Store one request of `spans` spans, at least 1; `done` is called once on the event loop, maybe at once.

        `kind` is the frame's type, see `log.record`; a payload that is not a request is one frame, however large.
        It gets None when the spans would survive a loss of power, else LogFull, LogTooLarge or LogUnavailable, whose
        `stored` tells how many of the spans are in the log all the same. One error may go to several callbacks.
        """
        size = len(payload)
        if spans < 1 or size > MAX_PAYLOAD:
            raise ValueError(f"append of {spans} spans in {size} bytes")
        refusal = self._refusal(size)
        if refusal is not None:
            done(refusal)
        elif size > parts.LARGE and kind == TRACES:
            self._divide(payload, spans, done, critical)
        else:
            self._queue(payload, spans, done, critical, kind)

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 - says what it bounds
        """Return when every append has been answered, after the writer has stopped."""
        # Outcomes that the writer handed over last come through the loop's queue: let it run once.
        await asyncio.sleep(0)
        if self._dividing:
            await asyncio.wait(self._dividing, timeout=timeout)

    def hand_over(self, outcomes: list[Outcome], end: Position) -> None:
        """Called in the writer's thread, once per commit."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._settle, outcomes, end)

    def attach(self) -> asyncio.AbstractEventLoop:
        """The loop on which this runs, from now on."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop

    def _queue(self, payload: bytes, spans: int, done: Done, critical: bool, kind: int = TRACES) -> None:
        if self._loop is None:
            self.attach()
        self.queued_appends += 1
        self.queued_bytes += len(payload)
        flags = CRITICAL if critical else 0
        if kind != TRACES:
            flags |= kind << TYPE_SHIFT
        self._writer.submit((payload, spans, flags, done))

    def _settle(self, outcomes: list[Outcome], end: Position) -> None:
        self.moved(end, max(map(_size_refused, outcomes), default=0))
        if any(outcome.error is None and outcome.flags & CRITICAL for outcome in outcomes):
            for urgent in self.critical:
                call(urgent, end)
        for appends, size, _, error in outcomes:
            self.queued_appends -= len(appends)
            self.queued_bytes -= size
            for _, _, _, done in appends:
                try:
                    done(error)
                except Exception:
                    logger.exception("an answer failed; the others of its commit go on")
        for listener in self.listeners:
            call(listener)

    # Large requests.

    def _divide(self, payload: bytes, spans: int, done: Done, critical: bool) -> None:
        refusal = self._check_room(len(payload))
        if refusal is not None:
            self.lacking(len(payload))
            done(refusal)
            return
        if self._dividing and self.queued_bytes + self._dividing_bytes + len(payload) > QUEUE_BYTES:
            done(self._slow())
            return
        task = self.attach().create_task(self._store_parts(payload, spans, done, critical))
        self._dividing.add(task)
        self._dividing_bytes += len(payload)
        task.add_done_callback(partial(self._divided, len(payload)))

    def _divided(self, size: int, task: asyncio.Task[None]) -> None:
        self._dividing.discard(task)
        self._dividing_bytes -= size

    async def _store_parts(self, payload: bytes, spans: int, done: Done, critical: bool) -> None:
        """Store a large request part by part, and answer it."""
        stored = 0
        answer: LogError | None = None
        try:
            async for group in parts.divide(payload):
                kept, answer = await self._store_group(group, critical)
                stored += kept
                if answer is not None:
                    break
        except LogTooLarge as error:
            answer = error
        except Exception as fault:
            logger.exception("dividing a request of %d bytes failed", len(payload))
            answer = LogUnavailable(f"a request of {len(payload)} bytes could not be divided: {fault!r}")
        if answer is not None:
            answer = copy_of(answer)
            answer.stored = stored
        done(answer)
        for listener in self.listeners:
            call(listener)

    async def _store_group(self, group: list[tuple[bytes, int]], critical: bool) -> tuple[int, LogError | None]:
        """Spans of these parts that are stored, and what went wrong with the others."""
        finished = self.attach().create_future()
        left, stored, fault = len(group), 0, None

        def answered(spans: int, error: LogError | None) -> None:
            nonlocal left, stored, fault
            left -= 1
            fault = fault or error
            stored += spans if error is None else 0
            if not left and not finished.done():
                finished.set_result(None)

        for part, spans in group:
            refusal = self._refusal(len(part))
            if refusal is not None:
                answered(spans, refusal)
            else:
                self._queue(part, spans, partial(answered, spans), critical)
        await finished
        return stored, fault

    # Refusals.

    def _refusal(self, size: int) -> LogError | None:
        if self.closed or not self._writer.alive:
            return LogUnavailable(f"the log in {self._directory} is closed")
        if size > self._largest:
            return LogTooLarge(
                f"a request of {size} bytes can never fit into the buffer of {self._quota} bytes in {self._directory}; "
                "make the storage larger or the sender's batches smaller"
            )
        if self.queued_appends and (self.queued_bytes + size > QUEUE_BYTES or self.queued_appends >= QUEUE_APPENDS):
            return self._slow()
        return None

    def _slow(self) -> LogUnavailable:
        large = f", and {len(self._dividing)} requests of {self._dividing_bytes}," if self._dividing else ""
        return LogUnavailable(
            f"the disk under {self._directory} is slow: {self.queued_appends} appends of {self.queued_bytes} bytes"
            f"{large} wait for it",
            retry_after=1.0,
        )

    def _check_room(self, size: int) -> LogFull | None:
        """Refuse all of a large request when only some of its parts would fit: the sender would repeat those."""
        room = self._writer.catalogue.room
        if size <= room:
            return None
        return LogFull(
            "quota",
            f"the buffer in {self._directory} has room for {room} of this request's {size} bytes; it is accepted "
            "again as backends take what is stored",
            retry_after=1.0,
        )


def _size_refused(outcome: Outcome) -> int:
    """Bytes of the largest append of these, if there was no room for them."""
    if not isinstance(outcome.error, LogFull):
        return 0
    return max(len(append[0]) for append in outcome.appends)


def copy_of(error: LogError) -> LogError:
    """Another one of the same, for whoever raises it or writes into it."""
    if isinstance(error, LogFull):
        return LogFull(error.reason, str(error), error.retry_after)
    if isinstance(error, LogUnavailable):
        return LogUnavailable(str(error), error.retry_after)
    return type(error)(str(error))


def call(listener: Callable[..., None], *values: Position) -> None:
    """Call a listener that must not keep others from being called."""
    try:
        listener(*values)
    except Exception:
        logger.exception("a listener of the log failed; the others go on")
