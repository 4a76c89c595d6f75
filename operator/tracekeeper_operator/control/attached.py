"""One sidecar's stream, as the server sees it: what waits to be written to it, and how it ends.

While nothing waits there is nothing but the task that reads. A task that writes is there only while something waits, so
that ten thousand streams that rest cost no more than they must.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .groups import Answer
from .tokens import PodIdentity

MOST_WAITING = 256
"""Messages that wait for one sidecar; one that has more does not read."""
MOST_BYTES = 4 * 1024 * 1024
"""Of what waits for one sidecar."""

Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class End:
    """Why a stream is over."""

    reason: str
    """For metrics."""
    code: grpc.StatusCode
    text: str
    """For the sidecar's log."""


SLOW = End(
    "slow",
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "the sidecar does not read what it is told: it may hang, or the network be too slow; it can come back at once",
)


class Attached:
    """Owned by the event loop of the control server."""

    __slots__ = (
        "_bytes",
        "_end",
        "_share",
        "_task",
        "_waiting",
        "_write",
        "_writer",
        "able",
        "config_uid",
        "ended",
        "every",
        "group",
        "identity",
        "lost_at",
        "revision",
        "since",
        "standing",
        "told",
        "told_at",
        "version",
    )

    def __init__(self, identity: PodIdentity, write: Write, task: asyncio.Task[None], since: float) -> None:
        self.identity = identity
        self.config_uid = ""
        """As in its Hello; empty until that has come."""
        self.version = ""
        self.able = False
        """Whether it knows candidates of policies."""
        self.revision = 0
        """Of the policy that it works by; 0 while it has none."""
        self.standing: pb.Standing | None = None
        """What it has said of itself last; None while it has not, and for good where it is too old for that."""
        self.lost_at = float("-inf")
        """When it last told of spans that were dropped since it had told before; monotonic seconds."""
        self.since = since
        """When the stream began; monotonic seconds."""
        self.group: object = None
        """Whose part of a target it has."""
        self.every = 0.0
        """How often it was told to report."""
        self.told: Answer | None = None
        """What it was told of its part last, at `told_at`."""
        self.told_at = 0.0
        self.ended = asyncio.Event()
        """Set when the stream is over."""
        self._write, self._task = write, task
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._share: bytes | None = None
        self._writer: asyncio.Task[None] | None = None
        self._end: End | None = None

    @property
    def end(self) -> End | None:
        """Why the server has ended it; None while it has not."""
        return self._end

    @property
    def silent(self) -> bool:
        """Whether no span of the application ever came to it, as far as it says."""
        return self.standing is not None and self.standing.received <= self.standing.tests

    @property
    def unscraped(self) -> bool:
        """Whether for long nobody has asked for its metrics, as far as it says."""
        return self.standing is not None and self.standing.unscraped

    @property
    def at_floor(self) -> bool:
        """Whether its sampling cannot go as low as its target asks for, as far as it says."""
        return self.standing is not None and self.standing.at_floor

    def send(self, message: pb.ToSidecar) -> None:
        """Never waits; to a stream that has ended, nothing happens. Each message goes out unless the stream ends."""
        self.send_bytes(message.SerializeToString())

    def send_bytes(self, data: bytes) -> None:
        """The same for a message that is serialised already, maybe for many sidecars at a time."""
        if self._over:
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(data) > MOST_BYTES:
            self.finish(SLOW)
            return
        self._waiting.append(data)
        self._bytes += len(data)
        self._begin_to_write()

    def send_share(self, data: bytes) -> None:
        """A serialised Share, in place of one that has not gone out yet."""
        if not self._over:
            self._share = data
            self._begin_to_write()

    def finish(self, end: End) -> None:
        """End the stream; the first reason counts."""
        if not self._over:
            self._end = end
            self._task.cancel()

    async def close(self) -> None:
        """The stream is over: nothing more is written."""
        self.ended.set()
        self._waiting.clear()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    @property
    def _over(self) -> bool:
        return self._end is not None or self.ended.is_set()

    def _begin_to_write(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._share is not None or self._waiting:
                if self._share is not None:
                    data, self._share = self._share, None
                else:
                    data = self._waiting.popleft()
                    self._bytes -= len(data)
                await self._write(data)
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            self._waiting.clear()  # the stream has ended meanwhile, which its reader hears of, too
        finally:
            self._writer = None
