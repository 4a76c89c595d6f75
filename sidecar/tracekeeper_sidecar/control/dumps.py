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

    Send = Callable[[pb.FromSidecar], object]

logger = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between looks at how far a dump is."""
LEAST, MOST = 0.5, 60.0
"""Seconds between two reports of it."""
AWAY = 60.0
"""Seconds for which it goes on while nobody could end it."""


class Recorder(Protocol):
    """What can dump."""

    def begin_dump(self, asked: DumpAsked) -> Progress:
        """Raises DumpBusy and ValueError, in words for people."""

    async def stop_dump(self) -> None:
        """End it, if one is under way."""


class Dumps:
    """Owned by the event loop on which sampling works, that of the link to the operator.

    Asked for again, by its id, a dump is not begun again: it is told about, also when it has ended. So the operator can
    ask after one of which it has heard nothing, and goes on with it when this sidecar comes back by another stream.
    """

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock
        self._id = ""
        self._progress: Progress | None = None
        """Of the last one."""
        self._send: Send | None = None
        """To whoever has asked for it; None since they are away."""
        self._away = 0.0
        """Since when."""
        self._tasks: set[asyncio.Task[None]] = set()

    def command(self, asked: pb.DumpCommand, send: Send) -> None:
        """Begin it and say by `send` how far it is, until its end; or at once why it cannot be done."""
        if self._progress is not None and asked.id == self._id:
            self._send = send
            send(_state(self._id, **asdict(self._progress)))
        elif self._running() and self._send is None:
            # Whoever had asked for the other one has not asked after it.
            self._spawn(self._instead(asked, send))
        else:
            self._begin(asked, send)

    def stop(self, asked: pb.DumpStop) -> None:
        """End it, if it is the one that was asked for; what became of it is still said."""
        if asked.id == self._id and self._running():
            self._spawn(self._recorder.stop_dump())

    async def detached(self) -> None:
        """The operator is away. What it has asked for goes on for a while: most streams are back at once."""
        self._send, self._away = None, self._clock.monotonic()

    def _begin(self, asked: pb.DumpCommand, send: Send) -> None:
        try:
            progress = self._recorder.begin_dump(
                DumpAsked(asked.since_seconds, asked.where, asked.backend, asked.forgotten, asked.timeout_seconds)
            )
        except (DumpBusy, ValueError) as error:
            logger.info("a dump that the operator asks for cannot be done", extra={"dump": asked.id, "why": str(error)})
            send(_state(asked.id, problem=str(error)))
            return
        logger.info("the operator asks for a dump", extra={"dump": asked.id})
        self._id, self._progress, self._send = asked.id, progress, send
        send(_state(asked.id, **asdict(progress)))
        every = min(max(asked.report_every_seconds, LEAST), MOST)
        self._spawn(self._follow(progress, every))

    async def _instead(self, asked: pb.DumpCommand, send: Send) -> None:
        if asked.id != self._id:
            await self._recorder.stop_dump()
        self.command(asked, send)

    def _running(self) -> bool:
        return self._progress is not None and self._progress.running

    async def _follow(self, progress: Progress, every: float) -> None:
        said = self._clock.monotonic()
        while self._progress is progress:
            running, now = progress.running, self._clock.monotonic()
            if self._send is not None and (not running or now - said >= every):
                said = now
                self._send(_state(self._id, **asdict(progress)))
            if not running:
                return
            if self._send is None and now - self._away >= AWAY:
                logger.warning("a dump is ended: the operator, which has asked for it, has been away for %g s", AWAY)
                await self._recorder.stop_dump()
            else:
                await self._clock.sleep(LOOK)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _state(name: str, **state: Any) -> pb.FromSidecar:
    from tracekeeper_proto.control.v1 import control_pb2 as pb  # noqa: PLC0415 - costs memory where there is no link

    return pb.FromSidecar(dump=pb.DumpState(id=name, **state))
