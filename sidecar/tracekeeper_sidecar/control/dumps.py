"""Dumps that the operator asks for: begun, told about while they run, and ended when nobody asks for them any more.

One of `forward.dump` at a time, whoever has begun it; here is only what somebody far away has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import DumpBusy
from tracekeeper_sidecar.model import DumpAsked

if TYPE_CHECKING:
    from tracekeeper_proto.control.v1 import control_pb2 as pb
    from tracekeeper_sidecar.forward.dump import Progress

    Send = Callable[[pb.FromSidecar], None]

logger = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between looks at how far a dump is."""
LEAST, MOST = 0.5, 60.0
"""Seconds between two reports of it."""


class Recorder(Protocol):
    """What can dump."""

    def begin_dump(self, asked: DumpAsked) -> Progress:
        """Raises DumpBusy and ValueError, in words for people."""

    async def stop_dump(self) -> None:
        """End it, if one is under way."""


class Dumps:
    """Owned by the event loop on which sampling works, that of the link to the operator."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock
        self._id = ""
        self._progress: Progress | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def command(self, asked: pb.DumpCommand, send: Send) -> None:
        """Begin it and say by `send` how far it is, until its end; or at once why it cannot be done."""
        if asked.id == self._id and self._running():
            return  # Asked twice.
        try:
            progress = self._recorder.begin_dump(
                DumpAsked(asked.since_seconds, asked.where, asked.backend, asked.forgotten, asked.timeout_seconds)
            )
        except (DumpBusy, ValueError) as error:
            logger.info("a dump that the operator asks for cannot be done", extra={"dump": asked.id, "why": str(error)})
            send(_state(asked.id, problem=str(error)))
            return
        logger.info("the operator asks for a dump", extra={"dump": asked.id})
        self._id, self._progress = asked.id, progress
        send(_state(asked.id, **asdict(progress)))
        every = min(max(asked.report_every_seconds, LEAST), MOST)
        self._spawn(self._follow(asked.id, progress, every, send))

    def stop(self, asked: pb.DumpStop) -> None:
        """End it, if it is the one that was asked for; what became of it is still said."""
        if asked.id == self._id and self._running():
            self._spawn(self._recorder.stop_dump())

    async def detached(self) -> None:
        """The operator is away: nobody could end what it has asked for, and nobody hears what became of it."""
        running = self._running()
        self._id, self._progress = "", None
        if running:
            logger.warning("a dump that the operator had asked for is ended: the connection to it is gone")
            await self._recorder.stop_dump()

    def _running(self) -> bool:
        return self._progress is not None and self._progress.running

    async def _follow(self, name: str, progress: Progress, every: float, send: Send) -> None:
        said = self._clock.monotonic()
        while self._progress is progress and progress.running:
            await self._clock.sleep(LOOK)
            if progress.running and self._clock.monotonic() - said >= every:
                said = self._clock.monotonic()
                send(_state(name, **asdict(progress)))
        if self._progress is progress:
            send(_state(name, **asdict(progress)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _state(name: str, **state: Any) -> pb.FromSidecar:
    from tracekeeper_proto.control.v1 import control_pb2 as pb  # noqa: PLC0415 - costs memory where there is no link

    return pb.FromSidecar(dump=pb.DumpState(id=name, **state))
