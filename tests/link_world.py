"""Both ends of a sidecar's link: an operator that does as a test says, and sampling that remembers what it was told."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from forward_support.certificates import Authority, Pair, server_context
from forward_support.raw_h2 import HEAD, RawSide
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import Clock, SystemClock
from tracekeeper_sidecar.control.accounts import Accounts
from tracekeeper_sidecar.control.dumps import Dumps
from tracekeeper_sidecar.control.errands import Errands
from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.link import Link
from tracekeeper_sidecar.control.standing import Standing
from tracekeeper_sidecar.control.tap import Tap, TapAsked
from tracekeeper_sidecar.control.taps import Taps
from tracekeeper_sidecar.control.trial import Trial
from tracekeeper_sidecar.control.trials import Trials
from tracekeeper_sidecar.coordination import KeptBatch, Report
from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward.dump import Progress
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_spec.policy import Control

SERVICE = "tracekeeper.control.v1.Control"
UID = "uid-of-agents"
TOKEN = "header.claims.signature"


@dataclass(frozen=True)
class Refusal:
    """How a call is to end."""

    code: grpc.StatusCode
    details: str = ""


class Attached:
    """One sidecar's stream, seen by the operator."""

    def __init__(self, metadata: dict[str, str | bytes]) -> None:
        self.metadata = metadata
        self.said: list[pb.FromSidecar] = []
        self.gone = False
        self.left = False
        """It has said that it says nothing more."""
        self.out: asyncio.Queue[pb.ToSidecar | Refusal] = asyncio.Queue()

    def of(self, kind: str) -> list[pb.FromSidecar]:
        return [message for message in self.said if message.WhichOneof("message") == kind]

    def say(self, message: pb.ToSidecar) -> None:
        self.out.put_nowait(message)

    def end(self, code: grpc.StatusCode, details: str = "") -> None:
        self.out.put_nowait(Refusal(code, details))


class Operator:
    """A real gRPC server with TLS."""

    def __init__(self, pair: Pair) -> None:
        self.port = 0
        self.calls: list[Attached] = []
        self.welcome: float | None = 0.5
        """Seconds between reports; None: a Hello is not answered."""
        self.standings = 0.0
        """Seconds between standings in which only counts are new; 0: they are not asked for."""
        self.refusal: Callable[[Attached], Refusal | None] = lambda call: None
        self._credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
        self._server: grpc.aio.Server | None = None

    @property
    def last(self) -> Attached:
        return self.calls[-1]

    @property
    def now(self) -> list[Attached]:
        return [call for call in self.calls if not call.gone]

    async def start(self) -> None:
        """Listen; the second time on the same port as the first."""
        server = self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._attach,
            request_deserializer=pb.FromSidecar.FromString,
            response_serializer=pb.ToSidecar.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Attach": handler}),))
        self.port = server.add_secure_port(f"127.0.0.1:{self.port}", self._credentials)
        await server.start()

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0)

    async def _attach(
        self,
        requests: AsyncIterator[pb.FromSidecar],
        context: grpc.aio.ServicerContext[pb.FromSidecar, pb.ToSidecar],
    ) -> AsyncIterator[pb.ToSidecar]:
        call = Attached(dict(context.invocation_metadata() or ()))
        self.calls.append(call)
        reading = asyncio.ensure_future(self._read(call, requests))
        try:
            if refusal := self.refusal(call):
                await context.abort(refusal.code, refusal.details)
            while not isinstance(message := await call.out.get(), Refusal):
                yield message
            if message.code is not grpc.StatusCode.OK:
                await context.abort(message.code, message.details)
        finally:
            call.gone = True
            reading.cancel()

    async def _read(self, call: Attached, requests: AsyncIterator[pb.FromSidecar]) -> None:
        async for message in requests:
            if message.WhichOneof("message") == "hello" and self.welcome is not None:
                welcome = pb.Welcome(report_every_seconds=self.welcome, standing_every_seconds=self.standings)
                call.say(pb.ToSidecar(welcome=welcome))
            call.said.append(message)
        call.left = True
        call.end(grpc.StatusCode.OK)


class Rude:
    """A TLS server of a test's own, behind the operator's certificate."""

    def __init__(self, handle: Callable[[RawSide, int], Awaitable[None]], context: ssl.SSLContext) -> None:
        """`handle` is given each connection, and how many there were before."""
        self.port = 0
        self.connections = 0
        self._handle, self._context = handle, context
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self._open.add(writer)
        try:
            await self._handle(RawSide(reader, writer), number)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def begun(side: RawSide) -> int:
    """Take a stream's Hello and answer with the Welcome; the stream's number."""
    while (frame := await side.frame())[0] != h2.DATA:
        pass
    side.headers(frame[2], HEAD)
    say(side, frame[2], pb.ToSidecar(welcome=pb.Welcome(report_every_seconds=300)))
    return frame[2]


def say(side: RawSide, stream: int, message: pb.ToSidecar) -> None:
    side.data(stream, framed(message.SerializeToString()))


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@dataclass
class Sampling:
    """A `coordination.Hub`."""

    found: Report | None = field(default_factory=lambda: Report({"cart, GET /": 12.5, "": 1.0}, 0.25))
    shares: list[tuple[float, int, float]] = field(default_factory=list)
    heard: list[KeptBatch] = field(default_factory=list)
    attached: list[bool] = field(default_factory=list)
    waiting: list[KeptBatch] = field(default_factory=list)
    wake: Callable[[], None] = lambda: None

    def keep(self, *batches: KeptBatch) -> None:
        first = not self.waiting
        self.waiting += batches
        if first:
            self.wake()

    def report(self) -> Report | None:
        return self.found

    def kept(self) -> Sequence[KeptBatch]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def call_when_kept(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def on_share(self, share: float, sidecars: int, floor: float) -> None:
        self.shares.append((share, sidecars, floor))

    def on_kept(self, batch: KeptBatch) -> None:
        self.heard.append(batch)

    def on_attached(self, attached: bool) -> None:
        self.attached.append(attached)

    @property
    def is_attached(self) -> bool:
        return bool(self.attached) and self.attached[-1]


class Recording:
    """What can dump, tap, and send a test span."""

    def __init__(self) -> None:
        self.tapped: list[TapAsked] = []
        self.tap = Tap()
        self.tested: list[float] = []
        self.trial = Trial(trace_id=bytes(range(16)))
        self.asked: list[DumpAsked] = []
        self.progress = Progress()
        self.stopped = 0

    def begin_dump(self, asked: DumpAsked) -> Progress:
        self.asked.append(asked)
        return self.progress

    async def stop_dump(self) -> None:
        self.stopped += 1
        self.progress.running = False

    def begin_tap(self, asked: TapAsked) -> Tap:
        self.tapped.append(asked)
        return self.tap

    def stop_tap(self, tap: Tap) -> None:
        tap.running = False

    def begin_trial(self, timeout: float) -> Trial:
        self.tested.append(timeout)
        return self.trial


class World:
    """A link, with what it meets on its side. Made by `linked`."""

    def __init__(self, folder: Path, clock: Clock, uniform: Callable[[], float]) -> None:
        self.authority = Authority()
        self.sampling: Sampling | None = Sampling()
        self.recording = Recording()
        self.standing = Standing(revision=7, digest="sha256:7")
        self.looks: list[Standing] = []
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.folder = folder
        recording = self.recording
        errands = Errands(Dumps(recording, clock), Taps(recording, clock), Trials(recording, clock))
        self.accounts = Accounts(clock)
        self.link = Link(str(self.token), lambda: self.sampling, self.look, errands, self.accounts, clock, uniform)

    def look(self) -> Standing:
        """How the sidecar fares."""
        self.looks.append(self.standing)
        return self.standing

    @property
    def hub(self) -> Sampling:
        assert self.sampling is not None
        return self.sampling

    @property
    def problem(self) -> str:
        return self.link.health().problem

    def attach_to(self, port: int, revision: int = 7, ca: bytes | None = None, uid: str = UID) -> None:
        """Follow a policy that names this server."""
        control = Control(f"localhost:{port}", (ca or self.authority.pem).decode())
        self.link.follow(Goal(control, uid, revision))

    @asynccontextmanager
    async def operator(self, pair: Pair | None = None) -> AsyncIterator[Operator]:
        """One that the link is to attach to."""
        operator = Operator(pair or self.authority.issue())
        await operator.start()
        try:
            self.attach_to(operator.port)
            yield operator
        finally:
            await operator.stop()

    @asynccontextmanager
    async def rude(self, handle: Callable[[RawSide, int], Awaitable[None]]) -> AsyncIterator[Rude]:
        """The same, of a test's own."""
        context = server_context(self.folder, self.authority.issue())
        context.set_alpn_protocols(["h2"])
        rude = Rude(handle, context)
        await rude.start()
        try:
            self.attach_to(rude.port)
            yield rude
        finally:
            await rude.stop()


@asynccontextmanager
async def linked(
    folder: Path, clock: Clock | None = None, uniform: Callable[[], float] = lambda: random.random() / 20
) -> AsyncIterator[World]:
    """A link at work; it tries again soon."""
    world = World(folder, clock or SystemClock(), uniform)
    running = asyncio.ensure_future(world.link.run())
    try:
        yield world
    finally:
        running.cancel()
        await asyncio.wait((running,))
        if not running.cancelled() and running.exception() is not None:
            raise running.exception()  # type: ignore[misc]
