"""The sidecar's side of a step's process: starts it, gives it requests one by one, kills and restarts it.

The event loop never waits for it. A request that it has no answer for in time costs the process its life, because
nothing else ends what a Python class does; it is started again after a while that grows with each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final, TypeAlias, cast

from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.process.custom.messages import Garbage, Message, Unpacker, What, pack
from tracekeeper_sidecar.process.custom.output import Output
from tracekeeper_sidecar.process.custom.usage import Usage, usage_of

logger = logging.getLogger(__name__)

_ENDING: Final = 0.5
"""Seconds that a process gets to end in when it has closed its socket."""
WORKER: Final = "tracekeeper_sidecar.process.custom.worker"


class Failure(StrEnum):
    """Why there is no answer to a request."""

    RAISED = "raised"
    TIMED_OUT = "timed_out"
    DIED = "died"
    INVALID = "invalid"
    """It said what cannot be: the process, or the answer."""
    OVERLOADED = "overloaded"
    """Too many requests wait, or this one has for too long."""
    UNUSABLE = "unusable"
    """The process does not run: it is about to be started again, or cannot be."""


class Failed(StepUnavailable):
    """There is no answer; the text says why."""

    def __init__(self, failure: Failure, text: str) -> None:
        self.failure = failure
        super().__init__(text)


Answered: TypeAlias = "Callable[[Message | Failed], None]"
"""Called with a SAME or CHANGED, or with why there is none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds, and how many may wait."""

    timeout: float
    """For one request in the process, and for its wait before that."""
    starting: float = 4.0
    """For which requests wait, and not less, while the process is being started: Python and what the class imports.
    Whoever asks later is answered at once, until it has started."""
    hopeless: float = 60.0
    """After which a process that has not started is killed."""
    backoff: float = 1.0
    """Before the second start, give or take half; doubled each time."""
    max_backoff: float = 60.0
    proven: float = 60.0
    """After which a process that has run so long is forgiven."""
    waiting: int = 256
    """Requests that wait for the one under way."""
    waiting_bytes: int = 32 << 20


@dataclass(slots=True)
class Counts:
    """What has happened, in all processes of the step."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Requests, by `answered` or a Failure; kept by the step, which has the last word on answers."""
    bypassed: int = 0
    """Spans that went on as they were; kept by the step."""
    starts: int = 0
    cpu: float = 0.0
    """Seconds that processes have taken that have ended."""


@dataclass(slots=True)
class _Ask:
    body: bytes
    answered: Answered
    deadline: float


class Child:
    """A process that is kept running from the first request on. Owned by one event loop."""

    def __init__(self, setup: bytes, limits: Limits, random: Callable[[], float] = random.random) -> None:
        """`setup` is the body of a SETUP message; see `worker.Setup`."""
        self.counts = Counts()
        self.problem = ""
        """Why it does not run; empty while it does, or has not been asked to."""
        self.pid = 0
        """0 while none runs."""
        self._setup, self._limits, self._random = setup, limits, random
        self._waiting: deque[_Ask] = deque()
        self._waiting_bytes = 0
        self._now: _Ask | None = None
        """The one that the process has."""
        self._number = 0
        self._link: _Link | None = None
        """To a process that is ready, or has not said yet whether it is."""
        self._ready = False
        self._late = False
        """It has been waited for long enough, now or the last time: nobody is to wait before it is ready."""
        self._used = Usage(0.0, 0)
        self._bad = 0
        """Starts in a row that have come to nothing."""
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = self._down = False

    @property
    def usage(self) -> Usage:
        """CPU seconds of all its processes, and memory of the one that runs."""
        now = self._look()
        return Usage(self.counts.cpu + now.cpu, now.resident)

    def ask(self, body: bytes, answered: Answered, due: float = inf) -> None:
        """Give the process a serialised request. `answered` is called exactly once, on the event loop, and before it is
        `due` by the loop's clock."""
        limits = self._limits
        if self._closing or self._down or self._late:
            return answered(Failed(Failure.UNUSABLE, self.problem or "it is being stopped"))
        if len(self._waiting) >= limits.waiting or self._waiting_bytes + len(body) > limits.waiting_bytes:
            return answered(Failed(Failure.OVERLOADED, f"{len(self._waiting)} requests wait for it already"))
        loop = asyncio.get_running_loop()
        now, latest = loop.time(), due - limits.timeout
        if now > latest:
            return answered(Failed(Failure.OVERLOADED, "its sender would give up before it may have an answer"))
        patience = limits.timeout if self._ready else max(limits.timeout, limits.starting)
        self._waiting.append(_Ask(body, answered, min(now + patience, latest)))
        self._waiting_bytes += len(body)
        if self._task is None:
            self._task = loop.create_task(self._keep_running(), name="custom step")
        self._go_on()

    def retire(self) -> None:
        """Answer what waits, and end the process then."""
        self._closing = True
        self._end_if_idle()

    async def gone(self) -> None:
        """Return when it has ended; after `retire`."""
        if self._task is not None:
            await asyncio.wait([self._task])

    # Requests.

    def _go_on(self) -> None:
        """Give the process the next one, if it is ready, and see to it that nobody waits too long."""
        loop = asyncio.get_running_loop()
        if self._ready and self._now is None and self._waiting and self._link is not None:
            asked = self._now = self._next()
            asked.deadline = loop.time() + self._limits.timeout
            self._number = (self._number + 1) & 0xFFFFFFFF
            self._link.send(pack(What.REQUEST, asked.body, self._number))
        self._set_timer(loop)
        self._end_if_idle()

    def _next(self) -> _Ask:
        asked = self._waiting.popleft()
        self._waiting_bytes -= len(asked.body)
        return asked

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ends = [asked.deadline for asked in (self._now, *self._waiting) if asked is not None]
        if ends:
            self._timer = loop.call_at(min(ends), self._too_long)

    def _too_long(self) -> None:
        now = asyncio.get_running_loop().time()
        late = [asked for asked in self._waiting if asked.deadline <= now]
        if late:
            self._waiting = deque(asked for asked in self._waiting if asked.deadline > now)
            self._waiting_bytes -= sum(len(asked.body) for asked in late)
        for asked in late:
            text = "it waited too long for its turn" if self._ready else "it has not started in time"
            asked.answered(Failed(Failure.OVERLOADED, text))
        if self._now is not None and self._now.deadline <= now:
            asked, self._now = self._now, None
            self._kill(f"it took more than {self._limits.timeout:g} s for a request, and was killed")
            asked.answered(Failed(Failure.TIMED_OUT, f"it took more than {self._limits.timeout:g} s"))
        self._go_on()

    def _heard(self, link: _Link, message: Message) -> None:
        if link is not self._link:
            return  # Of a process that was given up.
        self._used = Usage(max(self._used.cpu, message.cpu), self._used.resident)
        if not self._ready:
            if message.what == What.READY:
                self._ready, self._late, self.problem = True, False, ""
            elif message.what == What.UNUSABLE:
                self._kill(message.body.decode(errors="replace"))
            else:
                self._kill("it does not keep to the protocol")
        elif self._now is None or message.number != self._number:
            self._kill("it does not keep to the protocol")
        else:
            asked, self._now = self._now, None
            if message.what in (What.SAME, What.CHANGED):
                asked.answered(message)
            elif message.what == What.RAISED:
                asked.answered(Failed(Failure.RAISED, message.body.decode(errors="replace")))
            else:
                self._kill("it does not keep to the protocol")
                asked.answered(Failed(Failure.INVALID, "it does not keep to the protocol"))
        self._go_on()

    def _broken(self, link: _Link, problem: str) -> None:
        if link is self._link:
            self._kill(problem)

    def _hung_up(self, link: _Link) -> None:
        """It has closed its socket: mostly because it ends, and then how it does says more."""
        if link is self._link:
            self._ready = False
            asyncio.get_running_loop().call_later(_ENDING, self._broken, link, "it has closed its socket")

    # The process.

    async def _keep_running(self) -> None:
        """Start it again and again, until it is not wanted any more."""
        loop = asyncio.get_running_loop()
        try:
            while self._wanted():
                began = loop.time()
                self.counts.starts += 1
                try:
                    await self._run_once()
                except Exception as error:
                    logger.exception("the process of a custom step cannot be started")
                    self.problem = f"its process cannot be started: {error}"
                self._lost()
                if not self._wanted():
                    return
                self._bad = 0 if loop.time() - began > self._limits.proven else self._bad + 1
                wait = min(self._limits.max_backoff, self._limits.backoff * 2 ** min(self._bad - 1, 20))
                logger.warning("the process of a custom step has ended: %s", self.problem)
                self._down = True
                await asyncio.sleep(max(0.0, wait) * (0.5 + self._random()))
                self._down = False
        finally:
            self._closing = True
            self._lost()

    def _wanted(self) -> bool:
        return not self._closing

    async def _run_once(self) -> None:
        """Start it, and return when it has ended."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        link = self._link = _Link(self)
        timers = (
            loop.call_later(self._limits.starting, self._is_late, link),
            loop.call_later(self._limits.hopeless, self._is_hopeless, link),
        )
        try:
            with theirs:
                process, _ = await loop.subprocess_exec(
                    lambda: link,
                    *(sys.executable, "-m", WORKER, str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            for timer in timers:
                timer.cancel()
            raise
        self.pid, self._used = process.get_pid(), Usage(0.0, 0)
        self._end_if_idle()
        try:
            await loop.create_unix_connection(lambda: _Channel(link), sock=ours)
            link.send(pack(What.SETUP, self._setup))
            await link.exited.wait()
        finally:
            for timer in timers:
                timer.cancel()
            self._forget(link, self.problem)
            kill_group(self.pid)
            reap_group(self.pid)
            link.close()
            process.close()
            self.counts.cpu += self._used.cpu
            self.pid, self._used = 0, Usage(0.0, 0)

    def _is_late(self, link: _Link) -> None:
        if link is not self._link or self._ready:
            return
        self._late = True
        self.problem = f"it has not started within {self._limits.starting:g} s, and is not waited for"
        while self._waiting:
            self._next().answered(Failed(Failure.UNUSABLE, self.problem))
        self._go_on()

    def _is_hopeless(self, link: _Link) -> None:
        if link is self._link and not self._ready:
            self._kill(f"it had not started within {self._limits.hopeless:g} s, and was killed")

    def _kill(self, problem: str) -> None:
        """End the process that runs; what has become of it is seen in `_run_once`."""
        self._look()
        link = self._link
        self._forget(link, problem)
        if self.pid:
            kill_group(self.pid)

    def _forget(self, link: _Link | None, problem: str) -> None:
        if link is not None and link is self._link:
            self._link, self._ready = None, False
            self.problem = problem or "the process has ended"

    def _lost(self) -> None:
        """There is no process: nobody is to wait for one."""
        self._link, self._ready = None, False
        self.problem = self.problem or "the process has ended"
        asked, self._now = self._now, None
        if asked is not None:
            asked.answered(Failed(Failure.DIED, "its process has ended"))
        while self._waiting:
            self._next().answered(Failed(Failure.UNUSABLE, self.problem))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _exited(self, link: _Link, code: int | None) -> None:
        if link is self._link:
            how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
            self._forget(link, f"its process has ended by itself, {how}")

    def _end_if_idle(self) -> None:
        if not (self._closing and self._now is None and not self._waiting):
            return
        if self.pid:
            self._kill("it is not wanted any more")
        elif self._down and self._task is not None:
            self._task.cancel()
        # Else it is being started, and is ended when it has been: half a start is a process that nobody knows.

    def _look(self) -> Usage:
        """What the process has used so far; of one that has just ended, what was seen last."""
        if self.pid and (seen := usage_of(self.pid)) is not None:
            self._used = Usage(max(self._used.cpu, seen.cpu), seen.resident)
        return self._used


class _Link(asyncio.SubprocessProtocol):
    """What comes from one process: its end, what it prints, and by way of `_Channel` its messages."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.exited = asyncio.Event()
        self._process: asyncio.SubprocessTransport | None = None
        self._channel: asyncio.Transport | None = None
        self._output = Output()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._process = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._output.take(data)

    def process_exited(self) -> None:
        assert self._process is not None
        self.child._exited(self, self._process.get_returncode())
        self.exited.set()

    def opened(self, transport: asyncio.Transport) -> None:
        self._channel = transport

    def send(self, message: bytes) -> None:
        if self._channel is not None:
            self._channel.write(message)

    def close(self) -> None:
        self._output.end()
        if self._channel is not None:
            self._channel.abort()


class _Channel(asyncio.Protocol):
    """The sidecar's end of the pair of sockets."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._unpacker = Unpacker()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.opened(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        try:
            message = self._unpacker.feed(data)
        except Garbage:
            self._link.child._broken(self._link, "it does not keep to the protocol")
            return
        if message is not None:
            self._link.child._heard(self._link, message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.child._hung_up(self._link)


def kill_group(pid: int) -> None:
    """End the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def reap_group(pid: int) -> None:
    """Bury what a process that has ended had started: the first process of a container inherits it."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-pid, os.WNOHANG)[0]:
            pass
