"""Keeps the newest usable instruction in force: looks at the source, applies what changed, keeps the last good one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.source import Instruction, Source
from tracekeeper_sidecar.errors import LogUnavailable, PolicyError

logger = logging.getLogger(__name__)

Apply = Callable[[Instruction], Awaitable[None]]


@dataclass(slots=True)
class PolicyState:
    """What is in force, and what is wrong with what is on disk; read by health and metrics."""

    instruction: Instruction | None = None
    faults: tuple[str, ...] = ()
    applied_at: float = 0.0


class Watcher:
    """Owns `state`; calls `apply` with each new instruction, one at a time."""

    def __init__(self, source: Source, apply: Apply, clock: Clock, interval: float) -> None:
        self.state = PolicyState()
        self._source, self._apply, self._clock, self._interval = source, apply, clock, interval
        self._seen: object = None

    async def run(self) -> None:
        """Look at the source until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(self._interval)

    async def look(self) -> None:
        """Read the source if it has changed since the last look, and apply what it says."""
        fingerprint = await asyncio.to_thread(self._source.fingerprint)
        if fingerprint == self._seen:
            return
        try:
            instruction = await asyncio.to_thread(self._source.read)
        except PolicyError as error:
            self._fault(error.faults)
        except OSError as error:
            self._fault([f"{self._source.file}: cannot be read: {error.strerror or error}"])
            return  # It may pass, or be mended without a trace in the file: look again next time.
        else:
            if instruction is not None:
                if not await self._put_in_force(instruction):
                    return  # For a passing reason: look at it again next time.
            elif self.state.instruction is None:
                logger.info("no policy yet: spans are kept on disk until one comes", extra={"file": self._source.file})
            else:
                logger.warning("the policy is gone: the last one stays in force", extra={"file": self._source.file})
        self._seen = fingerprint

    async def _put_in_force(self, instruction: Instruction) -> bool:
        current = self.state.instruction
        if current is not None and 0 < instruction.revision < current.revision:
            logger.warning(
                "an older policy is ignored",
                extra={"revision": instruction.revision, "in_force": current.revision},
            )
            return True
        try:
            await self._apply(instruction)
        except LogUnavailable as error:
            self._fault([f"it cannot be put in force: {error}"])
            return False
        except PolicyError as error:
            self._fault(error.faults)
            return True
        self.state.instruction = instruction
        self.state.faults = ()
        self.state.applied_at = self._clock.now()
        logger.info("policy in force", extra={"config": instruction.config, "revision": instruction.revision})
        if instruction.refused:
            self._fault([f"what is to be tried: {fault}" for fault in instruction.refused])
        return True

    def _fault(self, faults: list[str]) -> None:
        if self.state.faults == tuple(faults):
            return
        self.state.faults = tuple(faults)
        current = self.state.instruction
        kept = (
            "spans are kept on disk meanwhile, or refused if it speaks of processors"
            if current is None
            else "the previous policy stays in force"
        )
        if current is not None and current.refused:
            kept = "what is known to work is in force"
        for fault in faults:
            logger.error("the policy cannot be used: %s; %s", fault, kept, extra={"file": self._source.file})
