"""Calls of `People/Tap`: a few of the spans that sidecars of a config take from then on, for whoever may see them."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections.abc import Iterable
from math import isfinite

import grpc

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.condition import find_problems
from tracekeeper_spec.texts import DNS_SUBDOMAIN

from ..clock import Clock
from .errand import GRACE, Sidecar
from .gate import Asker, Context, Gate, Refused, Sidecars, check_room, chosen, own
from .tapping import Tapping

logger = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between looks at the sidecars, and between what is told about them."""
MOST = 8
"""Under way at once."""
SIDECARS = 20
"""That one asks."""
MOST_SPANS, LONGEST = 1000, 600.0
"""Spans that one shows, and seconds that it takes, at most."""
RIGHT = "tap"


class TapCalls:
    """Owned by the event loop of the control server."""

    def __init__(self, gate: Gate, sidecars: Sidecars, clock: Clock) -> None:
        self._gate, self._sidecars, self._clock = gate, sidecars, clock
        self._taps: dict[str, Tapping] = {}
        """By id."""
        self._askers: dict[str, Asker] = {}
        self._random = random.SystemRandom()
        sidecars.on_told("tap", self._take)

    async def tap(self, asked: pb.TapRequest, context: Context) -> None:
        """Show what sidecars of the config take, until it is enough or the call ends."""
        name = f"{asked.namespace}/{asked.config}"
        try:
            person, manifest = await self._gate.admit(
                "tap", RIGHT, asked.namespace, asked.config, _described(asked), context
            )
            if faults := list(_faults(asked)):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))
            uid = str(manifest["metadata"]["uid"])
            found = chosen(own(self._sidecars, uid, asked.namespace), asked.pod, name)
            tapping = self._begin(asked, found, Asker(asked.namespace, person.name))
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        logger.info(
            "tap %s: %s may, and asks for %s; %d sidecars of %d are asked",
            *(tapping.name, person.name, _described(asked), tapping.sidecars, len(found)),
        )
        try:
            async with asyncio.timeout(asked.seconds + 2 * GRACE):
                await self._follow(uid, asked.namespace, tapping, context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "what is shown was not read in time")
        finally:
            del self._taps[tapping.name], self._askers[tapping.name]
            ended = "has ended" if tapping.done else "was stopped"
            tapping.stop()
            logger.info("tap %s of %s %s: %d spans shown to %s", tapping.name, name, ended, tapping.shown, person.name)

    def _begin(self, asked: pb.TapRequest, found: list[Sidecar], asker: Asker) -> Tapping:
        """Raises Refused."""
        check_room("taps", MOST, self._askers.values(), asker)
        some = self._random.sample(found, min(SIDECARS, len(found)))
        name = secrets.token_hex(8)
        tapping = self._taps[name] = Tapping(name, asked, some, len(found), self._clock.monotonic())
        self._askers[name] = asker
        return tapping

    async def _follow(self, uid: str, namespace: str, tapping: Tapping, context: Context) -> None:
        while True:
            tapping.look(own(self._sidecars, uid, namespace), self._clock.monotonic())
            done = tapping.done
            for progress in tapping.news():
                await context.write(progress)
            if done:
                return
            await asyncio.sleep(LOOK)

    def _take(self, sidecar: Sidecar, state: pb.TapState) -> None:
        if (tapping := self._taps.get(state.id)) is not None:
            tapping.take(sidecar, state)


def _faults(asked: pb.TapRequest) -> Iterable[str]:
    """What is wrong with a request, whatever the config."""
    if asked.pod and not re.fullmatch(DNS_SUBDOMAIN.pattern, asked.pod[: DNS_SUBDOMAIN.max_length + 1]):
        yield f"pod: must be {DNS_SUBDOMAIN.expects}"
    if not 0 < asked.spans <= MOST_SPANS:
        yield f"spans: more than none, and at most {MOST_SPANS}"
    if not (isfinite(asked.seconds) and 0 < asked.seconds <= LONGEST):
        yield f"for: more than no seconds, and at most {LONGEST:g}"
    if asked.where:
        yield from (f"where: {problem}" for problem in find_problems(asked.where))


def _described(asked: pb.TapRequest) -> str:
    """For the log."""
    which = f" where {asked.where[:2000]!r}" if asked.where else ""
    where = f"pod {asked.pod[:253]!r} of " if asked.pod else ""
    return f"{asked.spans} spans{which} within {asked.seconds:g} s from {where}{asked.namespace}/{asked.config}"
