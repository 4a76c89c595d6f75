"""Taps that the operator asks for: what they see is told while they go on, and they end with the stream to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.tap import Tap, TapAsked, Tapper

if TYPE_CHECKING:
    from tracekeeper_proto.control.v1 import control_pb2 as pb

    Send = Callable[[pb.FromSidecar], bool]

logger = logging.getLogger(__name__)

MOST = 4
"""At once: each reads everything that comes."""
LOOK = 0.1
"""Seconds between looks at what there is to tell."""


class Taps:
    """Owned by the event loop of the link."""

    def __init__(self, tapper: Tapper, clock: Clock) -> None:
        self._tapper, self._clock = tapper, clock
        self._taps: dict[str, Tap] = {}
        """By id, those that are under way."""
        self._tasks: set[asyncio.Task[None]] = set()

    def command(self, asked: pb.TapCommand, send: Send) -> None:
        """Begin it and say by `send` what it sees, until its end; or at once why it cannot be done. `send` answers
        whether that was said."""
        if asked.id in self._taps:
            return
        try:
            if len(self._taps) >= MOST:
                raise ValueError(f"{MOST} taps are under way in this sidecar: wait for the end of one")
            tap = self._tapper.begin_tap(TapAsked(asked.spans, asked.seconds, asked.where))
        except ValueError as error:
            _tell(asked.id, Tap(running=False, problem=str(error)), send)
            return
        logger.info("the operator asks for a tap", extra={"tap": asked.id, "where": asked.where})
        self._taps[asked.id] = tap
        _tell(asked.id, tap, send)
        task = asyncio.ensure_future(self._follow(asked.id, tap, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, asked: pb.TapStop) -> None:
        """End it, if it is under way."""
        if (tap := self._taps.get(asked.id)) is not None:
            self._tapper.stop_tap(tap)

    def detached(self) -> None:
        """The operator is away, and nobody sees any more what a tap shows."""
        for tap in self._taps.values():
            self._tapper.stop_tap(tap)
        self._taps.clear()

    async def _follow(self, name: str, tap: Tap, send: Send) -> None:
        while self._taps.get(name) is tap:
            running = tap.running
            while tap.pieces:
                _tell(name, tap, send)
            if not running:
                _tell(name, tap, send)
                del self._taps[name]
                return
            await self._clock.sleep(LOOK)


def _tell(name: str, tap: Tap, send: Send) -> None:
    """One piece, if there is one; with the last word there is none."""
    from tracekeeper_proto.control.v1 import control_pb2 as pb  # noqa: PLC0415 - costs memory where there is no link

    request, spans = tap.pieces.popleft() if tap.pieces else (b"", 0)
    state = pb.TapState(
        id=name,
        running=tap.running or bool(request),
        problem=tap.problem,
        request=request,
        spans=spans,
        looked_at=tap.looked_at,
        matched=tap.matched,
        passed_over=tap.passed_over,
        too_large=tap.too_large,
    )
    if not send(pb.FromSidecar(tap=state)):
        tap.passed_over += spans
