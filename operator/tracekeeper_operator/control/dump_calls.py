"""Calls of `People/Dump`: what sampling has left out, sent by every sidecar of a config.

Each request that is allowed is one line in the log, and one more when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

import grpc

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.condition import find_problems
from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.walk import nearest

from ..clock import Clock
from .dumping import GRACE, Dumping
from .errand import Sidecar
from .gate import Context, Gate, Refused, Sidecars, none_attached, own
from .persons import Person

logger = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between looks at the sidecars, and between what is told about them."""
MOST_DUMPS = 16
"""Under way at once."""
LONGEST = 86400.0
"""Seconds that one may take."""
RIGHT = "dump"
ALONE = ". In a single pod, `kubectl exec POD -c tracekeeper-sidecar -- tracekeeper-sidecar dump` works without"


class DumpCalls:
    """Owned by the event loop of the control server."""

    def __init__(
        self,
        gate: Gate,
        sidecars: Sidecars,
        clock: Clock,
        merged: Callable[[str], ConfigSpec | None] = lambda uid: None,
    ) -> None:
        """`merged` has what a config says together with what it inherits, by its UID."""
        self._gate, self._sidecars, self._clock = gate, sidecars, clock
        self._merged = merged
        self._dumps: dict[str, Dumping] = {}
        """By the config's UID."""
        self._owners: dict[str, str] = {}
        sidecars.on_told("dump", self._take)

    async def dump(self, asked: pb.DumpRequest, context: Context) -> None:
        """Carry it out in every sidecar of the config, and tell how far each is, until all are done."""
        try:
            person, manifest = await self._gate.admit(
                "dump", RIGHT, asked.namespace, asked.config, _described(asked), context
            )
            uid = self._checked(asked, manifest)
            dumping = self._begin(uid, asked, person)
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        try:
            async with asyncio.timeout(asked.timeout_seconds + 2 * GRACE):
                await self._follow(uid, asked, dumping, context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "what is told about the dump was not read in time")
        finally:
            dumping.stop()
            del self._dumps[uid], self._owners[uid]
            logger.info(
                "dump %s of %s/%s %s: %d spans sent by %d sidecars, of which %d failed",
                *(dumping.name, asked.namespace, asked.config, "has ended" if dumping.done else "was stopped"),
                *(dumping.sent, dumping.sidecars, dumping.failed),
            )

    def _checked(self, asked: pb.DumpRequest, manifest: dict[str, Any]) -> str:
        """The config's UID. Raises Refused for what cannot be carried out."""
        if faults := list(_faults(asked)):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))
        config, _ = parse_manifest(manifest)
        if config is not None:  # With faults, sidecars go on with what they have; they know whether it can be done.
            spec = resolve(self._merged(config.uid) or config.spec)
            names = [backend.name for backend in spec.backends]
            if asked.backend not in names:
                hint = nearest(asked.backend, names) or f"there are {', '.join(names) or 'none'}"
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"to: no backend {asked.backend!r}; {hint}")
            if spec.sampling is None:
                raise Refused(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{asked.namespace}/{asked.config} has no sampling: nothing is left out, nothing is to be sent",
                )
        return str(manifest["metadata"]["uid"])

    def _begin(self, uid: str, asked: pb.DumpRequest, person: Person) -> Dumping:
        """Raises Refused."""
        name = f"{asked.namespace}/{asked.config}"
        if uid in self._dumps:
            raise Refused(
                grpc.StatusCode.ABORTED,
                f"a dump of {name} is under way, asked for by {self._owners[uid]}: wait for its end",
            )
        if len(self._dumps) >= MOST_DUMPS:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_DUMPS} dumps are under way: wait for an end")
        if not self._attached(uid, asked):
            raise none_attached(name, ALONE)
        dumping = self._dumps[uid] = Dumping(secrets.token_hex(8), asked, self._clock.monotonic())
        self._owners[uid] = person.name
        logger.info("dump %s: %s may, and asks for %s", dumping.name, person.name, _described(asked))
        return dumping

    def _attached(self, uid: str, asked: pb.DumpRequest) -> list[Sidecar]:
        return own(self._sidecars, uid, asked.namespace)

    async def _follow(self, uid: str, asked: pb.DumpRequest, dumping: Dumping, context: Context) -> None:
        while True:
            dumping.look(self._attached(uid, asked), self._clock.monotonic())
            done = dumping.done
            for progress in dumping.news():
                await context.write(progress)
            if done:
                return
            await asyncio.sleep(LOOK)

    def _take(self, sidecar: Sidecar, state: pb.DumpState) -> None:
        for dumping in self._dumps.values():
            if dumping.name == state.id:
                dumping.take(sidecar, state, self._clock.monotonic())


def _faults(asked: pb.DumpRequest) -> Iterable[str]:
    """What is wrong with a request, whatever the config."""
    if not asked.backend:
        yield "to: the name of the backend to send to is missing"
    if not (0 < asked.since_seconds and isfinite(asked.since_seconds)):
        yield "since: more than no seconds"
    if not 0 < asked.timeout_seconds <= LONGEST:
        yield f"timeout: more than no seconds, and at most {LONGEST:g}"
    if asked.where:
        yield from (f"where: {problem}" for problem in find_problems(asked.where))


def _described(asked: pb.DumpRequest) -> str:
    """For the log."""
    which = f"spans where {asked.where[:2000]!r}" if asked.where else "all spans"
    return (
        f"{which} of the last {asked.since_seconds:g} s of {asked.namespace}/{asked.config} for backend "
        f"{asked.backend[:253]!r}{', forgotten ones too' if asked.forgotten else ''}"
    )
