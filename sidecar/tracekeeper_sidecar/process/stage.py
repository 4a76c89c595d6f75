"""The pipeline that is in force, and changes of it while requests come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from tracekeeper_sidecar.process.anteroom import FAULTY, Anteroom, Process
from tracekeeper_sidecar.process.build import Means, build
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.step import Sample
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.walk import read

logger = logging.getLogger(__name__)

_FAULTY: Final = (
    "the first policy that was read cannot be used, and nobody knows what it would have hidden; mend what is named in"
    " warnings as a fault of the policy"
)


class Door(Protocol):
    """Where requests come in: the receiver, seen from here."""

    def lead_through(self, process: Process | None, wants: frozenset[str]) -> None:
        """As Receiver.lead_through."""


class Stage:
    """Owned by the receivers' event loop."""

    def __init__(self, door: Door, anteroom: Anteroom | None = None) -> None:
        """Requests wait in the `anteroom`, if there is one, until it is known what is to be done with them."""
        self.pipeline = Pipeline()
        self._door = door
        self._anteroom = anteroom

    async def follow(self, processors: Sequence[Processor], means: Means) -> None:
        """Do from now on what `processors` say. What is being done with requests that take their time is ended as it
        was begun. Raises what making a step raises; then nothing has changed."""
        made = await asyncio.to_thread(build, processors, means) if processors else Pipeline()
        made.keep(self.pipeline)
        self.pipeline = made
        process = made.process if made.steps else None
        self._door.lead_through(process, made.wants)
        if self._anteroom is not None:
            self._anteroom.open(process)
            self._anteroom = None

    async def without_policy(self) -> None:
        """While nobody has said what is to be done, what people rarely want to be seen is redacted: a policy that asks
        for that may come, and would be too late for what is stored."""
        from tracekeeper_spec.redact_fields import REDACT  # noqa: PLC0415 - as a rule there is a policy

        redact = read(REDACT, {}, "redact", [])
        await self.follow((Processor("no-policy", ProcessorType.REDACT, redact=redact),), Means())

    async def let_through(self) -> None:
        """Requests that wait, and those that come, go on as they are until there is a policy."""
        if self._anteroom is not None:
            await self.follow((), Means())

    def refuse(self) -> None:
        """Requests go on waiting, and are refused in the end, until there is a policy that can be used: nobody knows
        what this one would have hidden."""
        if self._anteroom is not None:
            self._anteroom.problem = FAULTY

    def samples(self) -> Iterable[Sample]:
        """The metrics of all steps."""
        return self.pipeline.samples()

    def problems(self) -> Iterable[str]:
        """What is wrong with steps at the moment, in words for people."""
        return self.pipeline.problems()

    def refusals(self) -> tuple[str, ...]:
        """Why all requests are refused at the moment, in words for people; empty when they are not."""
        if self._anteroom is not None and self._anteroom.problem == FAULTY:
            return (_FAULTY,)
        return tuple(self.pipeline.refusals())

    def close(self) -> None:
        """Let go of what steps hold."""
        self.pipeline.close()
