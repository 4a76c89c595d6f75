"""One stream to the operator, from the Hello to its end: standings, reports and decisions out, shares and decisions in.

The first message is a Hello; the operator answers with a Welcome, and from then on this sidecar is attached. All that
is sent has bounds: while the operator does not read, there are no reports, and what is to be told waits where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control import messages
from tracekeeper_sidecar.control.accounts import Accounts
from tracekeeper_sidecar.control.errands import Errands
from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.standing import Standing
from tracekeeper_sidecar.coordination import Hub, KeptBatch
from tracekeeper_sidecar.forward.grpc_status import Code, read_reply
from tracekeeper_sidecar.forward.h2_call import Reply
from tracekeeper_sidecar.forward.h2_stream import Stream
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_wire import Lost
from tracekeeper_sidecar.wakeup import Signal

VERSION = version("tracekeeper")
WELCOME = 30.0
"""Seconds that the operator may take to answer the Hello: thousands may come at once when it is new."""
GATHER = 0.1
"""Seconds for which decisions are gathered before they are told."""
QUIET, PATIENCE = 20.0, 10.0
"""Seconds without a byte after which the operator is asked for a sign of life; and that it may take to give it."""
UNREAD = 30.0
"""Seconds for which it may leave something unread: it is there, but stuck."""
MUCH, FULL = 64 * 1024, 1 << 20
"""Bytes that wait to be sent, beyond which no reports and decisions are added; and nothing at all."""
LEAVE = 0.5
"""Seconds for which the operator may answer when we leave. If it hears of it, the others have our part at once."""
SOONEST, LATEST = 0.5, 300.0
"""Seconds between two reports, whatever the operator asks for."""
LOOK, REST = 2.0, 5.0
"""Seconds between two looks at how this sidecar fares; and from when that was told."""
SPREAD = 0.2
"""Share by which they vary, so that those of many sidecars do not come together."""
BATCH = 16
"""Messages that are looked at before something else may happen."""
NEVER = float("inf")


class Why(StrEnum):
    """Why a stream is over, or none began."""

    REFUSED = "refused"
    """The operator does not want us: the token, the config, or something that we said."""
    UNREACHABLE = "unreachable"
    """There was no connection, or not with somebody whom the policy trusts."""
    ENDED = "ended"
    """The operator, or something between, has ended it."""
    SILENT = "silent"
    """Nothing came, or nothing was read."""
    BROKEN = "broken"
    """What came makes no sense."""
    TOKEN = "token"
    """There is no token to be read."""
    POLICY = "policy"
    """The policy names another place, or none."""
    FAILED = "failed"
    """A fault of ours."""


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended."""

    why: Why
    said: str
    """In words for people."""


@dataclass(slots=True)
class Traffic:
    """Since the start."""

    sent: int = 0
    received: int = 0
    """Bytes of messages, in both directions."""


@dataclass(frozen=True, slots=True)
class Means:
    """What one attachment after the other works with."""

    goal: Callable[[], Goal | None]
    """The one in force now."""
    hub: Callable[[], Hub | None]
    """Sampling; None while nothing is sampled."""
    standing: Callable[[], Standing]
    """How this sidecar fares now."""
    errands: Errands
    accounts: Accounts
    clock: Clock
    random: Callable[[], float]
    signal: Signal
    """Fired when something comes, and when the goal changes."""
    on_welcome: Callable[[], None]
    traffic: Traffic


class Attachment:
    """Owned by its link. `run` once."""

    def __init__(self, wire: H2Wire, stream: Stream, goal: Goal, means: Means) -> None:
        """`goal` is the one that `wire` was made for."""
        self._wire, self._stream, self._goal, self._means = wire, stream, goal, means
        self._clock, self._random, self._signal = means.clock, means.random, means.signal
        self._hub: Hub | None = None
        """That has been told that it is attached."""
        now = self._clock.monotonic()
        self._welcome_by = now + WELCOME
        """NEVER once it has come."""
        self._every = SOONEST
        self._report_at = self._tell_at = NEVER
        self._look_at = self._count_at = NEVER
        """When to look at how this sidecar fares; and when to tell it although only counts are new. NEVER while the
        operator does not ask for it."""
        self._counts_every = NEVER
        self._stood = Standing()
        """What was told last."""
        self._heard, self._heard_at, self._pinged_at = wire.heard, now, NEVER
        self._read_at = now
        """When the operator had last read everything."""
        self._more = False
        """Whether something that has come was not looked at yet."""

    async def run(self) -> End:
        """Until it ends; cancelled, it ends it."""
        try:
            self._say(messages.hello(VERSION, self._goal.config_uid, self._goal.revision))
            while True:
                now = self._clock.monotonic()
                end = self._step(now)
                if end is not None:
                    if end.why is Why.POLICY:
                        await self._leave()
                    return end
                await self._signal.wait(0.0 if self._more else max(0.0, self._due(now) - now))
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            self._attach_to(None)
            self._means.accounts.detached()
            self._stream.cancel()
            await self._means.errands.detached()

    async def _leave(self) -> None:
        """Tell what is still to be told, and that it was all."""
        now = self._clock.monotonic()
        until, self._tell_at, self._report_at = now + LEAVE, now, NEVER
        if self._look_at < NEVER:
            self._look_at = self._count_at = now
        self._speak(now)
        self._stream.leave()
        while self._stream.end is None and (left := until - self._clock.monotonic()) > 0.0:
            await self._signal.wait(left)

    def send(self, message: pb.FromSidecar) -> bool:
        """Say how an errand goes. Not said while the operator leaves much unread: False then."""
        if self._unsent >= FULL:
            return False
        self._say(message.SerializeToString())
        return True

    def _step(self, now: float) -> End | None:
        """All that there is to do now; how it has ended, if it has."""
        end = self._take() or self._ended() or self._late(now) or self._changed()
        if end is None:
            self._speak(now)
        return end

    # What comes.

    def _take(self) -> End | None:
        for _ in range(BATCH):
            try:
                data = self._stream.fetch()
                if data is None:
                    self._more = False
                    return None
                message = messages.read(data)
                heard = messages.kept(message.kept)
            except ValueError as error:
                return End(Why.BROKEN, str(error))
            self._means.traffic.received += len(data)
            self._on_message(message, heard)
        self._more = True
        return None

    def _on_message(self, message: pb.ToSidecar, heard: list[KeptBatch]) -> None:
        kind = message.WhichOneof("message")
        if kind == "welcome":
            self._every = messages.seconds(message.welcome.report_every_seconds, SOONEST, LATEST)
            self._on_asked(message.welcome.standing_every_seconds)
            self._on_asked_for_statements(message.welcome.statement_every_seconds)
            if self._welcome_by < NEVER:
                self._welcome_by = NEVER
                now = self._clock.monotonic()
                self._report_at, self._tell_at = now + self._every * self._random(), now
                self._means.on_welcome()
                self._attach_to(self._means.hub())
        elif self._means.errands.take(message, self.send) or self._means.accounts.take(message):
            pass
        elif kind == "share" and self._hub is not None:
            share = message.share
            self._hub.on_share(share.traces_per_second, share.sidecars, share.floor)
        elif self._hub is not None:
            for batch in heard:
                self._hub.on_kept(batch)

    # How it ends.

    def _ended(self) -> End | None:
        end = self._stream.end
        if self._more:
            return None
        if isinstance(end, Lost):
            return End(Why.ENDED, f"the connection was lost: {end.cause}")
        if isinstance(end, Reply):
            return _judge(end)
        return End(Why.ENDED, "it is shutting down") if not self._wire.open else None

    def _late(self, now: float) -> End | None:
        if now >= self._welcome_by:
            return End(Why.SILENT, f"it did not answer within {WELCOME:g} s")
        if self._wire.heard != self._heard:
            self._heard, self._heard_at, self._pinged_at = self._wire.heard, now, NEVER
        elif self._pinged_at == NEVER and now >= self._heard_at + QUIET:
            self._pinged_at = now
            self._wire.ping()
        elif now >= self._pinged_at + PATIENCE:
            return End(Why.SILENT, f"nothing came for {now - self._heard_at:.0f} s, not even the answer to a ping")
        if not self._unsent:
            self._read_at = now
        elif now >= self._read_at + UNREAD:
            return End(Why.SILENT, f"it has not read what was sent to it for {UNREAD:g} s")
        return None

    def _changed(self) -> End | None:
        """The policy may say something else by now, and sampling may have begun anew."""
        goal = self._means.goal()
        if goal is None or goal.control != self._goal.control:
            return End(Why.POLICY, "the policy names another place" if goal else "the policy names no place any more")
        if goal != self._goal:
            self._goal = goal
            self._stood = Standing()  # The operator may take it for one of another config now.
            self._say(messages.hello(VERSION, goal.config_uid, goal.revision))
        if self._welcome_by == NEVER and self._means.hub() is not self._hub:
            self._attach_to(self._means.hub())
            self._tell_at = self._clock.monotonic()
        return None

    def _attach_to(self, hub: Hub | None) -> None:
        if self._hub is not None:
            self._hub.on_attached(False)
        self._hub = hub
        if hub is not None:
            hub.call_when_kept(self._on_kept)
            hub.on_attached(True)

    # What goes.

    def _on_kept(self) -> None:
        """Something is to be told."""
        self._tell_at = min(self._tell_at, self._clock.monotonic() + GATHER)
        self._signal.fire()

    def _on_asked(self, every: float) -> None:
        """The operator asks how this sidecar fares, or, with 0, does not: older ones say nothing of it."""
        if every <= 0.0:
            self._look_at = NEVER
            return
        self._counts_every = messages.seconds(every, SOONEST, LATEST)
        if self._look_at == NEVER:
            self._stood, self._count_at = Standing(), NEVER
            self._look_at = self._clock.monotonic() + LOOK * self._random()

    def _on_asked_for_statements(self, every: float) -> None:
        """The same for what was spent."""
        every = messages.seconds(every, SOONEST, LATEST) if every > 0.0 else 0.0
        self._means.accounts.welcomed(every, self._clock.monotonic())

    def _stand(self, now: float) -> None:
        """Tell how this sidecar fares: soon where somebody may wait for it, else once in a while."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        standing = self._means.standing()
        due = now >= self._count_at or standing.matters != self._stood.matters
        if standing == self._stood or not due or self._unsent >= MUCH:
            return
        self._stood = standing
        self._look_at, self._count_at = now + REST, now + self._counts_every * self._vary()
        self._say(messages.standing(standing))

    def _vary(self) -> float:
        return 1.0 + SPREAD * (2.0 * self._random() - 1.0)

    def _speak(self, now: float) -> None:
        self._stand(now)
        if self._unsent < MUCH:
            for statement in self._means.accounts.next(now):
                self._say(statement.SerializeToString())
        if self._hub is None:
            return
        much = self._unsent >= MUCH
        if now >= self._tell_at:
            self._tell_at = now + GATHER if much else NEVER
            if not much:
                for message in messages.decisions(self._hub.kept()):
                    self._say(message)
        if now >= self._report_at:
            self._report_at = now + self._every * self._vary()
            found = None if much else self._hub.report()
            if found is not None:
                self._say(messages.report(found, self._goal.revision))

    def _due(self, now: float) -> float:
        """When there is something to do, if nothing happens before."""
        ping = min(self._pinged_at + PATIENCE, self._heard_at + QUIET if self._pinged_at == NEVER else NEVER)
        stuck = self._read_at + UNREAD if self._unsent else NEVER
        speak = min(self._report_at, self._tell_at) if self._hub is not None else NEVER
        return min(self._welcome_by, ping, stuck, speak, self._look_at, self._means.accounts.due)

    @property
    def _unsent(self) -> int:
        return self._stream.left + self._wire.unsent

    def _say(self, message: bytes) -> None:
        if not self._unsent:
            self._read_at = self._clock.monotonic()
        self._means.traffic.sent += len(message)
        self._stream.send(message)


def _judge(reply: Reply) -> End:
    code, details = read_reply(reply)
    said = f"{code.name}: {details}" if details else code.name
    if code is Code.UNAUTHENTICATED:
        return End(Why.REFUSED, f"it does not accept this pod's token ({said})")
    if code in (Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.FAILED_PRECONDITION):
        return End(Why.REFUSED, f"it refuses this sidecar ({said})")
    return End(Why.ENDED, f"it has ended the stream ({said})")
