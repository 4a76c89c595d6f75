"""Shows some of the spans that come, as the log has them: after all processing, and whatever sampling makes of them.

Read is from the log, like everybody else does, from its end on; nothing is there for it while nobody asks. What comes
faster than it looks is passed over: a tap shows a few spans, and must not take the CPU of the pod that it is for.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.tap import Tap, TapAsked
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.matcher import Matcher, compiled
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wire.cut import NO_LIMIT, cut

logger = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between two reads."""
SPANS, BYTES = 512, 1 << 20
"""Of one read."""
BEHIND = 4 * SPANS
"""Spans behind the end of the log from which on a tap goes on at its end."""
PIECE, LARGEST = 256 << 10, 1 << 20
"""Bytes of what is shown at a time, and of the largest span that is shown."""
ALL = 4 << 20
"""Bytes that one tap shows."""

STOPPED = "it was stopped"
MUCH = f"{ALL >> 20} MiB have been shown, which is all that one tap shows"


class Tapper:
    """Owned by the application's event loop."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        """By the identity of the tap."""

    def begin_tap(self, asked: TapAsked) -> Tap:
        """What comes from now on; goes on by itself. Raises ValueError, in words for people, for what is no
        condition."""
        matcher, tap = compiled(asked.where), Tap()
        reader = self._log.reader(self._log.end)
        task = self._tasks[id(tap)] = asyncio.ensure_future(self._run(tap, asked, reader, matcher))
        task.add_done_callback(lambda _: self._tasks.pop(id(tap), None))
        return tap

    def stop_tap(self, tap: Tap) -> None:
        """End it, if it goes on."""
        if (task := self._tasks.get(id(tap))) is not None:
            tap.running, tap.problem = False, tap.problem or STOPPED
            task.cancel()

    async def stop(self) -> None:
        """End all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, tap: Tap, asked: TapAsked, reader: Reader, matcher: Matcher | None) -> None:
        try:
            async with asyncio.timeout(asked.seconds):
                await self._show(tap, asked.spans, reader, matcher)
        except TimeoutError:
            pass
        except LogUnavailable as error:
            tap.problem = str(error)
        except asyncio.CancelledError:
            tap.problem = STOPPED
            raise
        except Exception as error:
            logger.exception("a tap failed in an unforeseen way")
            tap.problem = f"it failed in an unforeseen way: {error!r}"
        finally:
            tap.running = False
            reader.close()

    async def _show(self, tap: Tap, most: int, reader: Reader, matcher: Matcher | None) -> None:
        left = ALL
        while tap.shown < most:
            behind = self._log.end.seq - reader.position.seq
            if behind > BEHIND:
                tap.passed_over += behind
                reader.seek(self._log.end)
            elif behind > 0:
                found = await in_thread(partial(_read, reader, matcher, most - tap.shown))
                tap.looked_at += found.looked_at
                tap.matched += found.matched
                tap.too_large += found.too_large
                for body, spans in found.pieces:
                    left -= len(body)
                    if left < 0:
                        tap.problem = MUCH
                        return
                    tap.pieces.append((body, spans))
                    tap.shown += spans
            if tap.shown < most:
                await self._clock.sleep(LOOK)


class _Found:
    """In one read."""

    def __init__(self) -> None:
        self.looked_at = self.matched = self.too_large = 0
        self.pieces: list[tuple[bytes, int]] = []


def _read(reader: Reader, matcher: Matcher | None, most: int) -> _Found:
    """What comes next. Raises LogUnavailable."""
    found = _Found()
    batch = reader.read(SPANS, BYTES)
    if batch is None or not batch.spans:
        return found
    found.looked_at = batch.spans
    try:
        body, found.matched = batch.body, batch.spans
        if matcher is not None:
            body, found.matched, _ = matcher.split(body)
        for piece, spans in cut(body, NO_LIMIT, PIECE):
            if len(piece) > LARGEST:  # One span, then.
                found.too_large += spans
                continue
            if spans > most:
                piece, spans = next(cut(piece, most, NO_LIMIT))
            found.pieces.append((piece, spans))
            most -= spans
            if not most:
                break
    except ValueError:  # The receiver has checked it, so this is damage that a checksum missed.
        pass
    return found
