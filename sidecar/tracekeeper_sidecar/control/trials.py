"""Test spans that the operator asks for: what becomes of them is told, as long as it is there to be told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.trial import LONGEST, Prober, Trial

if TYPE_CHECKING:
    from tracekeeper_proto.control.v1 import control_pb2 as pb

    Send = Callable[[pb.FromSidecar], bool]

logger = logging.getLogger(__name__)

MOST = 4
"""At once."""
LOOK = 0.1
"""Seconds between looks at what has become of one."""
WORDS = 1.0
"""Seconds between two reports in which only times and words are new."""


class Trials:
    """Owned by the event loop of the link."""

    def __init__(self, prober: Prober, clock: Clock) -> None:
        self._prober, self._clock = prober, clock
        self._trials: dict[str, Trial] = {}
        """By id, those that are told about."""
        self._tasks: set[asyncio.Task[None]] = set()

    def command(self, asked: pb.TestCommand, send: Send) -> None:
        """Send one and say by `send` what becomes of it; or at once why it cannot be sent."""
        if asked.id in self._trials:
            return
        try:
            if len(self._trials) >= MOST:
                raise ValueError(f"{MOST} test spans are under way in this sidecar: wait for the end of one")
            if not 0 < asked.timeout_seconds <= LONGEST:
                raise ValueError(f"timeout: more than no seconds, and at most {LONGEST:g}")
            trial = self._prober.begin_trial(asked.timeout_seconds)
        except ValueError as error:
            _tell(asked.id, Trial(running=False, problem=str(error)), send)
            return
        logger.info("the operator asks for a test span", extra={"test": asked.id, "trace": trial.trace_id.hex()})
        self._trials[asked.id] = trial
        task = asyncio.ensure_future(self._follow(asked.id, trial, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def detached(self) -> None:
        """The operator is away. The span goes its way, and nobody is told."""
        self._trials.clear()

    async def _follow(self, name: str, trial: Trial, send: Send) -> None:
        told: object = None
        told_at = 0.0
        while self._trials.get(name) is trial:
            outcomes, now = trial.outcomes, self._clock.monotonic()
            if outcomes != told or now - told_at >= WORDS:
                told, told_at = outcomes, now
                _tell(name, trial, send)
            if not trial.running:
                del self._trials[name]
                return
            await self._clock.sleep(LOOK)


def _tell(name: str, trial: Trial, send: Send) -> None:
    from tracekeeper_proto.control.v1 import control_pb2 as pb  # noqa: PLC0415 - costs memory where there is no link

    state = pb.TestState(
        id=name,
        running=trial.running,
        problem=trial.problem,
        trace_id=trial.trace_id,
        stored_seconds=trial.stored,
        sampled=trial.sampled,
        delivery=[pb.TestEntry(**asdict(entry)) for entry in trial.delivery.values()],
    )
    send(pb.FromSidecar(test=state))
