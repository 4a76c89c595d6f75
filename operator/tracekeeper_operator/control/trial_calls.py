"""Calls of `People/SendTestSpan`: a span through one sidecar of a config, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections.abc import Iterable

import grpc

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.texts import DNS_SUBDOMAIN

from ..clock import Clock
from .errand import GRACE, LONGEST_TEXT, Errand, Sidecar
from .gate import Asker, Context, Gate, Refused, Sidecars, check_room, chosen, own

logger = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between looks at the sidecar, and between what is told about it."""
MOST = 16
"""Under way at once."""
LONGEST = 600.0
"""Seconds that one is followed."""
MOST_ENTRIES = 16
RIGHT = "tap"
"""Whoever may see what comes may also send what can be seen."""


class _Trial:
    """One of them."""

    def __init__(self, name: str, asked: pb.TestRequest, sidecar: Sidecar, now: float) -> None:
        self.name = name
        self.errand = Errand(sidecar, now, now + asked.timeout_seconds)
        self._state = pb.TestState(id=name, running=True)
        self._changed = True
        sidecar.send(pb.ToSidecar(test=pb.TestCommand(id=name, timeout_seconds=asked.timeout_seconds)))

    @property
    def outcome(self) -> str:
        """For the log."""
        entries = [f"{entry.name} {entry.outcome}" for entry in self._state.delivery]
        return ", ".join(entries) or self._state.problem or "nothing is known"

    def take(self, sidecar: Sidecar, state: pb.TestState) -> None:
        """What the sidecar says."""
        if sidecar is not self.errand.sidecar or not self.errand.running:
            return
        del state.delivery[MOST_ENTRIES:]
        state.problem = state.problem[:LONGEST_TEXT]
        for entry in state.delivery:
            entry.words = entry.words[:LONGEST_TEXT]
        self.errand.answered, self.errand.running = True, state.running
        self._state, self._changed = state, True

    def look(self, attached: bool, now: float) -> None:
        """Give it up if nothing more will come."""
        if self.errand.look(attached, now):
            self._state.running, self._state.problem = False, self.errand.problem
            self._changed = True

    def news(self) -> pb.TestProgress | None:
        """What is new since the last call."""
        if not self._changed:
            return None
        self._changed = False
        who = self.errand.sidecar.identity
        return pb.TestProgress(pod=who.pod, pod_uid=who.uid, state=self._state)


class TrialCalls:
    """Owned by the event loop of the control server."""

    def __init__(self, gate: Gate, sidecars: Sidecars, clock: Clock) -> None:
        self._gate, self._sidecars, self._clock = gate, sidecars, clock
        self._trials: dict[str, _Trial] = {}
        """By id."""
        self._askers: dict[str, Asker] = {}
        self._random = random.SystemRandom()
        sidecars.on_told("test", self._take)

    async def send_test_span(self, asked: pb.TestRequest, context: Context) -> None:
        """Have a sidecar of the config send one, and tell what becomes of it."""
        name = f"{asked.namespace}/{asked.config}"
        described = f"a test span through {f'pod {asked.pod[:253]!r} of ' if asked.pod else ''}{name}"
        try:
            person, manifest = await self._gate.admit(
                "test span", RIGHT, asked.namespace, asked.config, described, context
            )
            if faults := list(_faults(asked)):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))
            uid = str(manifest["metadata"]["uid"])
            found = chosen(own(self._sidecars, uid, asked.namespace), asked.pod, name)
            trial = self._begin(asked, found, Asker(asked.namespace, person.name))
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        pod = trial.errand.sidecar.identity.pod
        logger.info("test span %s: %s may, and asks for %s; pod %s sends it", trial.name, person.name, described, pod)
        try:
            async with asyncio.timeout(asked.timeout_seconds + 2 * GRACE):
                await self._follow(uid, asked.namespace, trial, context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "what became of the span was not read in time")
        finally:
            del self._trials[trial.name], self._askers[trial.name]
            logger.info("test span %s of %s through pod %s: %s", trial.name, name, pod, trial.outcome[:LONGEST_TEXT])

    def _begin(self, asked: pb.TestRequest, found: list[Sidecar], asker: Asker) -> _Trial:
        """Raises Refused."""
        check_room("test spans", MOST, self._askers.values(), asker)
        name = secrets.token_hex(8)
        trial = self._trials[name] = _Trial(name, asked, self._random.choice(found), self._clock.monotonic())
        self._askers[name] = asker
        return trial

    async def _follow(self, uid: str, namespace: str, trial: _Trial, context: Context) -> None:
        while True:
            present = any(each is trial.errand.sidecar for each in own(self._sidecars, uid, namespace))
            trial.look(present, self._clock.monotonic())
            running = trial.errand.running
            if (progress := trial.news()) is not None:
                await context.write(progress)
            if not running:
                return
            await asyncio.sleep(LOOK)

    def _take(self, sidecar: Sidecar, state: pb.TestState) -> None:
        if (trial := self._trials.get(state.id)) is not None:
            trial.take(sidecar, state)


def _faults(asked: pb.TestRequest) -> Iterable[str]:
    """What is wrong with a request, whatever the config."""
    if asked.pod and not re.fullmatch(DNS_SUBDOMAIN.pattern, asked.pod[: DNS_SUBDOMAIN.max_length + 1]):
        yield f"pod: must be {DNS_SUBDOMAIN.expects}"
    if not 0 < asked.timeout_seconds <= LONGEST:
        yield f"timeout: more than no seconds, and at most {LONGEST:g}"
