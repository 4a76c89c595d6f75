"""`Control/Attach`: sidecars come, say who they are, report, and tell what they keep.

Whoever cannot show a token of a pod is refused before anything is read. What is wrong later ends that stream, with a
text for the sidecar's log, and no other one. Nothing that comes is believed beyond `messages`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn

import grpc
from grpc import aio

from tracekeeper_proto.control.v1 import control_pb2 as pb

from ..clock import Clock
from ..metrics import ControllerMetrics
from .attached import Attached, End
from .budget import Budget, work
from .circles import Circles
from .ledgers import Ledgers, grew, matters
from .messages import ERRANDS, STATEMENT, BadMessage, read
from .statement import work as work_of
from .tokens import PodIdentity, TokenRefused

logger = logging.getLogger(__name__)

PATH = "/tracekeeper.control.v1.Control/Attach"
BEARER = "bearer "
MOST_STREAMS = 20_000
MOST_MESSAGES = 50
"""From one sidecar within a second; it has to wait for the next one."""
MOST_BYTES = 2 * 1024 * 1024
"""The same for bytes."""
BROKEN_WITHIN = 0.1
"""Seconds in which gRPC says that a stream has not ended, but is broken: it then cancels the task."""
AT_LEISURE = 10.0
"""Seconds between two reports while parts are not told yet."""
LAST_WORD = 5.0
"""Seconds that a stream may take to hear why it ends."""
COMPLAIN_EVERY = 30.0
"""Seconds between two log lines about sidecars that were refused."""

Verify = Callable[[str], Awaitable[PodIdentity]]
"""A token to whose it is. Raises TokenRefused."""
Told = Callable[[Attached, Any], None]
"""Given a message about an errand."""
Standings = Callable[[str], None]
"""Told the UID of a config about whose sidecars there is something new."""

REPLACED = End("replaced", grpc.StatusCode.ABORTED, "another stream of the same pod has begun")
EXPIRED = End(
    "expired", grpc.StatusCode.UNAUTHENTICATED, "the token that the stream began with is over; come with a new one"
)
SILENT = End("silent", grpc.StatusCode.DEADLINE_EXCEEDED, "no Hello came")


class Attach(grpc.GenericRpcHandler):
    """All streams. Owned by the event loop of the control server."""

    def __init__(self, verify: Verify, circles: Circles, clock: Clock, metrics: ControllerMetrics) -> None:
        self._verify, self._circles, self._clock, self._metrics = verify, circles, clock, metrics
        self._pods: dict[str, Attached] = {}
        self._arriving = 0
        self._budget = Budget()
        self.ledgers = Ledgers()
        self._told: dict[str, list[Told]] = {kind: [] for kind in (*ERRANDS, STATEMENT)}
        self._standings: list[Standings] = []
        self._complained = float("-inf")
        self.hurry = True
        """Whether parts are told now. Else reports can wait, and let all others attach before."""

    def __len__(self) -> int:
        return len(self._pods)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """For grpc: messages stay bytes on the way in and out."""
        if handler_call_details.method != PATH:
            return None
        return grpc.stream_stream_rpc_method_handler(self._attach)

    def attached(self, config_uid: str) -> list[Attached]:
        """Sidecars that work by that config."""
        return [each for each in self._pods.values() if each.config_uid == config_uid]

    def pods(self) -> dict[str, Attached]:
        """Sidecars by the UIDs of their pods. Not to be changed."""
        return self._pods

    def on_standing(self, callback: Standings) -> None:
        """Also call this when sidecars of a config come or go, or say something new that is more than a count."""
        self._standings.append(callback)

    def on_told(self, kind: str, callback: Told) -> None:
        """Also call this with what sidecars say of an errand, one of ERRANDS, or what they state of their spending."""
        self._told[kind].append(callback)

    def sweep(self, hello_within: float) -> None:
        """End streams whose token is over, and those without a Hello for so many seconds."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self.ledgers.sweep(monotonic, self._circles.known)
        for attached in list(self._pods.values()):
            if 0.0 < attached.identity.expires <= now:
                attached.finish(EXPIRED)
            elif not attached.config_uid and attached.since + hello_within <= monotonic:
                attached.finish(SILENT)

    async def _attach(self, _: object, context: aio.ServicerContext[bytes, bytes]) -> None:
        if len(self._pods) + self._arriving >= MOST_STREAMS:
            self._metrics.control_refused.labels("full").inc()
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_STREAMS} sidecars are attached already")
        self._arriving += 1
        try:
            identity = await self._identify(context)
        finally:
            self._arriving -= 1
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine of one
        attached = Attached(identity, context.write, task, self._clock.monotonic())
        self._replace(attached)
        for_good = False
        try:
            end = await self._listen(attached, context)
            for_good = end is None
        except asyncio.CancelledError:
            end = attached.end
            if end is None:
                self._metrics.control_streams_ended.labels("broken").inc()
                raise
            task.uncancel()
        finally:
            await self._leave(attached, for_good=for_good)
        await self._say_why(context, end)

    async def _identify(self, context: aio.ServicerContext[bytes, bytes]) -> PodIdentity:
        """Ends the call of whoever cannot show a token."""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str) and value[: len(BEARER)].lower() == BEARER:
                token = value[len(BEARER) :].strip()
                break
        else:
            await self._refuse(context, grpc.StatusCode.UNAUTHENTICATED, "there is no bearer token")
        try:
            return await self._verify(token)
        except TokenRefused as error:
            code = grpc.StatusCode.UNAVAILABLE if error.transient else grpc.StatusCode.UNAUTHENTICATED
            await self._refuse(context, code, str(error))

    async def _refuse(self, context: aio.ServicerContext[bytes, bytes], code: grpc.StatusCode, why: str) -> NoReturn:
        self._metrics.control_refused.labels("token").inc()
        now = self._clock.monotonic()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            logger.warning("a sidecar at %s may not attach: %s; more such lines are left out", context.peer(), why)
        await context.abort(code, why)

    async def _listen(self, attached: Attached, context: aio.ServicerContext[bytes, bytes]) -> End | None:
        """Take what comes until the sidecar has nothing more to say (None), or has said what none says."""
        second, messages, taken = 0, 0, 0
        while True:
            data: Any = await context.read()
            if data is aio.EOF:
                await asyncio.sleep(BROKEN_WITHIN)  # a stream that breaks may look like this first
                return None
            await self._turn(attached.identity.namespace)
            try:
                end = self._take(attached, data)
            except BadMessage as error:
                end = End("invalid", grpc.StatusCode.INVALID_ARGUMENT, str(error))
            if end is not None:
                return end
            now = self._clock.monotonic()
            if int(now) != second:
                second, messages, taken = int(now), 0, 0
            messages, taken = messages + 1, taken + len(data)
            if messages > MOST_MESSAGES or taken > MOST_BYTES:
                await asyncio.sleep(second + 1.0 - now)

    async def _turn(self, namespace: str) -> None:
        """Until its pods may be heard."""
        while True:
            wait = self._budget.wait(namespace, self._clock.monotonic())
            if wait == 0.0:
                return
            await asyncio.sleep(wait)

    def _take(self, attached: Attached, data: bytes) -> End | None:
        """One message. Raises BadMessage."""
        self._budget.spend(attached.identity.namespace, work(len(data)), self._clock.monotonic())
        message = read(data)
        kind = message.WhichOneof("message")
        self._metrics.control_messages.labels("in", kind or "unknown").inc()
        if kind == "hello":
            return self._greet(attached, message.hello)
        circle = self._circles.of(attached)
        if circle is None:
            raise BadMessage("the first message is to be a Hello")
        if kind == "report" and circle.group is not None:
            keys = message.report.keys
            coming = {key.key: key.coming for key in keys if key.coming}
            circle.group.report(attached.identity.uid, ((key.key, key.rate) for key in keys), coming)
        elif kind == "kept" and len(circle.attached) > 1:
            now = self._clock.monotonic()
            for kept in message.kept.kept:
                circle.spread.add(now, kept, len(self._pods))
        elif kind == "standing":
            self._note(attached, message.standing)
        elif kind in self._told:
            if kind == STATEMENT:
                units = work_of(message.statement)
                self._budget.spend(attached.identity.namespace, units, self._clock.monotonic())
            for callback in self._told[kind]:
                callback(attached, getattr(message, kind))
        return None

    def _greet(self, attached: Attached, hello: pb.Hello) -> End | None:
        namespace = attached.identity.namespace
        if not self._circles.allowed(hello.config_uid, namespace):
            self._metrics.control_refused.labels("config").inc()
            text = f"no TracingConfig with the UID {hello.config_uid} applies to pods of the namespace {namespace}"
            return End("forbidden", grpc.StatusCode.PERMISSION_DENIED, text)
        if attached.config_uid != hello.config_uid:
            self._part(attached)
            attached.config_uid = hello.config_uid
        attached.version, attached.revision = hello.version, hello.policy_revision
        attached.able = hello.tries_candidates
        self._circles.enter(attached, self._clock.monotonic())
        self._tell_of(attached.config_uid)
        attached.every = 0.0
        self.welcome(attached)
        return None

    def _note(self, attached: Attached, standing: pb.Standing) -> None:
        """What a sidecar says of itself."""
        before, now = attached.standing, self._clock.monotonic()
        if before is None:
            self.ledgers.back(attached.config_uid, attached.identity, standing)
        elif grew(before, standing):
            attached.lost_at = now
        attached.standing, attached.revision = standing, standing.policy_revision
        if before is None or attached.lost_at == now or matters(before) != matters(standing):
            self._tell_of(attached.config_uid)

    def _part(self, attached: Attached) -> None:
        """It does not work by its config any more, for now or for good."""
        if attached.standing is not None:
            self.ledgers.away(attached.config_uid, attached.identity, attached.standing, self._clock.monotonic())
            attached.standing = None
        if attached.config_uid:
            self._tell_of(attached.config_uid)

    def _tell_of(self, config_uid: str) -> None:
        for callback in self._standings:
            callback(config_uid)

    def welcome(self, attached: Attached) -> None:
        """Tell it how often to report, unless it knows about that."""
        every = max(report_every(len(self._pods)), 0.0 if self.hurry else AT_LEISURE)
        if not 0.8 <= attached.every / every <= 1.25:
            attached.every = every
            count = len(self._pods)
            welcome = pb.Welcome(
                report_every_seconds=every,
                standing_every_seconds=standing_every(count),
                statement_every_seconds=statement_every(count) if self._told[STATEMENT] else 0.0,
            )
            attached.send(pb.ToSidecar(welcome=welcome))
            self._metrics.control_messages.labels("out", "welcome").inc()

    def _replace(self, attached: Attached) -> None:
        """One stream for each pod: the newest, because the sidecar has given up the older one."""
        older = self._pods.get(attached.identity.uid)
        if older is not None:
            older.finish(REPLACED)
            self._circles.leave(older, self._clock.monotonic(), for_good=False)
            self._part(older)
        self._pods[attached.identity.uid] = attached
        self._metrics.control_sidecars.set(len(self._pods))

    async def _leave(self, attached: Attached, *, for_good: bool) -> None:
        self._circles.leave(attached, self._clock.monotonic(), for_good=for_good)
        if self._pods.get(attached.identity.uid) is attached:
            del self._pods[attached.identity.uid]
            self._part(attached)
        self._metrics.control_sidecars.set(len(self._pods))
        await attached.close()

    async def _say_why(self, context: aio.ServicerContext[bytes, bytes], end: End | None) -> None:
        self._metrics.control_streams_ended.labels(end.reason if end else "left").inc()
        if end is not None:
            with suppress(TimeoutError):  # it does not read, so it will not hear why
                async with asyncio.timeout(LAST_WORD):
                    await context.abort(end.code, end.text)


def report_every(sidecars: int) -> float:
    """Seconds between two reports of a sidecar, such that no more than some thousand come in a second."""
    return min(30.0, max(2.0, sidecars / 1000.0))


def standing_every(sidecars: int) -> float:
    """Seconds between two Standings of a sidecar in which only counts are new: no more than some 200 in a second."""
    return min(300.0, max(30.0, sidecars / 200.0))


def statement_every(sidecars: int) -> float:
    """Seconds between two Statements of a sidecar: no more than some 200 in a second."""
    return min(60.0, max(5.0, sidecars / 200.0))
