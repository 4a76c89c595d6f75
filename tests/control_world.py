"""A real control server with TLS, and sidecars that attach to it with the official gRPC client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from grpc import aio

from tracekeeper_operator.certs import Lives, Material, make
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.control.attach import PATH
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.server import ControlServer
from tracekeeper_operator.control.tokens import PodIdentity, TokenRefused
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.settings import Address
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.sampling import Adaptive as Limits
from waiting import PATIENCE, until

CONFIG = "uid-of-agents"
LIMITS = Limits(target_traces_per_second=1000.0, min_probability=0.01)


class ShiftedClock(SystemClock):
    """The machine's, with a wall time that tests can put forward, and a monotonic one that they can hold."""

    ahead = 0.0
    _held: float | None = None
    _lost = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() - self._lost if self._held is None else self._held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile no monotonic time passes, however slow the machine is; afterwards it goes on from there."""
        self._held = self.monotonic()
        try:
            yield
        finally:
            self._lost, self._held = super().monotonic() - self._held, None


def material() -> Material:
    return make(time.time(), ["localhost"], Lives())


@dataclass
class World:
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    metrics: ControllerMetrics = field(default_factory=ControllerMetrics)
    material: Material | None = field(default_factory=material)
    settle: float = 0.0
    configs: dict[str, ConfigFacts] = field(
        default_factory=lambda: {CONFIG: ConfigFacts(CONFIG, "shop", "agents", LIMITS)}
    )
    life: float = 3600.0
    """Seconds for which tokens are good."""
    server: ControlServer = field(init=False)

    def __post_init__(self) -> None:
        listen = Address("127.0.0.1", 0)
        self.server = ControlServer(
            listen, lambda: self.material, self.verify, self.find, self.clock, self.metrics, settle=self.settle
        )

    def find(self, uid: str, namespace: str = "") -> ConfigFacts | None:
        """Configs are lent to nobody."""
        facts = self.configs.get(uid)
        return facts if facts is not None and namespace in ("", facts.namespace) else None

    async def verify(self, token: str) -> PodIdentity:
        """Tokens are `NAMESPACE/POD`."""
        if token == "too early":
            raise TokenRefused("the keys of the API server are not to be had", transient=True)
        namespace, separator, pod = token.partition("/")
        if not separator:
            raise TokenRefused("it is not signed")
        return PodIdentity(namespace, pod, f"uid-{namespace}-{pod}", "default", self.clock.now() + self.life)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def channel(self, trust: Material | None = None) -> aio.Channel:
        """A connection of its own."""
        trusted = trust or self.material
        assert trusted is not None
        credentials = grpc.ssl_channel_credentials(trusted.ca.encode())
        options = [("grpc.use_local_subchannel_pool", 1)]
        return aio.secure_channel(f"localhost:{self.server.port}", credentials, options)

    @asynccontextmanager
    async def sidecar(
        self, pod: str, *, namespace: str = "shop", config: str = CONFIG, token: str | None = None
    ) -> AsyncIterator[SidecarClient]:
        """Attached: it has been welcomed."""
        async with self.channel() as channel:
            client = SidecarClient(channel, f"{namespace}/{pod}" if token is None else token)
            try:
                await client.say(hello=pb.Hello(version="1", config_uid=config))
                await client.read("welcome")
                yield client
            finally:
                client.call.cancel()


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[World]:
    task = asyncio.create_task(world.server.run())
    try:
        await until(lambda: world.server.started.is_set() or task.done(), "the control server serves")
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class SidecarClient:
    """One stream."""

    def __init__(self, channel: aio.Channel, token: str | None) -> None:
        metadata = [("authorization", f"Bearer {token}")] if token is not None else []
        self.call: Any = channel.stream_stream(PATH)(metadata=aio.Metadata(*metadata))

    async def say(self, **message: Any) -> Self:
        await self.call.write(pb.FromSidecar(**message).SerializeToString())
        return self

    async def report(self, rates: Mapping[str, float]) -> Self:
        keys = [pb.KeyRate(key=key, rate=rate) for key, rate in rates.items()]
        return await self.say(report=pb.Report(keys=keys))

    async def keep(self, traces: Iterable[int], rule: str = "errors", threshold: int = 0) -> Self:
        ids = b"".join(trace.to_bytes(16, "big") for trace in traces)
        kept = pb.Kept(rule=rule, threshold=threshold, decided=time.time(), trace_ids=ids)
        return await self.say(kept=pb.Decisions(kept=[kept]))

    async def read(self, kind: str) -> Any:
        """The next message of that kind; others before it are left out."""
        async with asyncio.timeout(PATIENCE):
            while True:
                data = await self.call.read()
                assert data is not aio.EOF, await self.said()
                message = pb.ToSidecar.FromString(data)
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)

    async def hear_of(self, count: int) -> list[tuple[str, int, int]]:
        """Rule, threshold and trace of that many traces that others keep."""
        heard: list[tuple[str, int, int]] = []
        while len(heard) < count:
            for kept in (await self.read("kept")).kept:
                ids = kept.trace_ids
                numbers = [int.from_bytes(ids[at : at + 16], "big") for at in range(0, len(ids), 16)]
                heard += [(kept.rule, kept.threshold, number) for number in numbers]
        return heard

    async def told(self, part: float, tolerance: float = 0.01) -> Any:
        """The first Share of about that many traces a second."""
        while True:
            share = await self.read("share")
            if abs(share.traces_per_second - part) <= tolerance * part:
                return share

    async def said(self) -> tuple[grpc.StatusCode, str]:
        """With what the stream ends."""
        async with asyncio.timeout(PATIENCE):
            with suppress(grpc.RpcError):
                while await self.call.read() is not aio.EOF:
                    pass
            return await self.call.code(), await self.call.details()
