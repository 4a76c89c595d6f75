"""The operator's side of a dump for tests: the real control server with TLS, an API server, and pods that attach."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from grpc import aio, ssl_channel_credentials
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from control_api import Api, serve
from control_objects import StoodClock, config
from tracekeeper_operator.access import Access
from tracekeeper_operator.certs import Lives, make
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.people import People
from tracekeeper_operator.control.persons import Persons
from tracekeeper_operator.control.server import ControlServer
from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.settings import Address
from tracekeeper_operator.store import Store
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import until

NAME = "tracekeeper-control.tracekeeper-system.svc"
SAMPLING = {"default": {"type": "Probabilistic", "probabilistic": {"probability": 0.1}}}
ALICE = {"username": "alice", "uid": "uid-alice", "groups": ["oncall", "system:authenticated"], "extra": {"k": ["v"]}}
TOKEN = "t0ken"
TRACE, SPAN = bytes(range(16)), bytes(range(8))


class Pod:
    """What attaches, as a sidecar does: it keeps what it is told, and says what the test has it say."""

    def __init__(self, name: str, call: Any, hello: pb.Hello) -> None:
        self.name, self._call, self._hello = name, call, hello
        self.told: list[pb.ToSidecar] = []
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def commands(self) -> list[pb.DumpCommand]:
        return [message.dump for message in self.told if message.WhichOneof("message") == "dump"]

    @property
    def stops(self) -> list[str]:
        return [message.dump_stop.id for message in self.told if message.WhichOneof("message") == "dump_stop"]

    async def command(self) -> pb.DumpCommand:
        """The last one, when one has come."""
        await until(lambda: self.commands, f"{self.name} is asked")
        return self.commands[-1]

    async def say(self, *, running: bool = False, **fields: Any) -> None:
        """How far it is with what it was asked for."""
        await self.say_of((await self.command()).id, running=running, **fields)

    async def say_of(self, name: str, **fields: Any) -> None:
        """The same of any dump."""
        await self._call.write(pb.FromSidecar(dump=pb.DumpState(id=name, **fields)))

    def asked(self, kind: str) -> list[Any]:
        """What it was told of that kind."""
        return [getattr(message, kind) for message in self.told if message.WhichOneof("message") == kind]

    async def next(self, kind: str, number: int = 1) -> Any:
        """The last of that kind, when so many have come."""
        await until(lambda: len(self.asked(kind)) >= number, f"{self.name} is asked for a {kind}")
        return self.asked(kind)[-1]

    async def show(self, tap: str, *names: str, running: bool = True, **fields: Any) -> None:
        """Spans of these names, for that tap."""
        request = ExportTraceServiceRequest()
        if names:
            resource = request.resource_spans.add()
            resource.resource.attributes.add(key="service.name").value.string_value = "shop"
            resource.scope_spans.add().spans.extend(Span(trace_id=TRACE, span_id=SPAN, name=name) for name in names)
        fields = {"request": request.SerializeToString(), "spans": len(names), **fields}
        await self._call.write(pb.FromSidecar(tap=pb.TapState(id=tap, running=running, **fields)))

    async def report(self, test: str, *, running: bool = True, **fields: Any) -> None:
        """What became of that test span."""
        await self._call.write(pb.FromSidecar(test=pb.TestState(id=test, running=running, trace_id=TRACE, **fields)))

    async def leave(self) -> None:
        self._call.cancel()
        await asyncio.wait((self._listening,))

    async def _listen(self) -> None:
        try:
            await self._call.write(pb.FromSidecar(hello=self._hello))
            async for message in self._call:
                self.told.append(message)
        except (aio.AioRpcError, asyncio.CancelledError):
            pass


@dataclass
class World:
    """Made by `world`."""

    api: Api
    store: Store
    clock: StoodClock
    server: ControlServer
    address: str
    authority: str
    """PEM."""
    directory: Path
    """For files that only this test has."""
    _running: asyncio.Future[None]
    pods: list[Pod] = field(default_factory=list)
    _channels: list[aio.Channel] = field(default_factory=list)

    def put(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A TracingConfig that the operator knows."""
        self.store.put(manifest)
        return manifest

    async def attach(self, *names: str, uid: str = "uid-agents", namespace: str = "shop") -> list[Pod]:
        """Pods with sidecars of this config, when the operator knows them."""
        pods = [self._pod(name, uid, namespace) for name in names]
        for pod in pods:
            await until(lambda: pod.name in self.attached(uid), f"{pod.name} is attached")  # noqa: B023 - used at once
        self.pods += pods
        return pods

    def attached(self, uid: str = "uid-agents") -> list[str]:
        return [found.identity.pod for found in self.server.attached(uid)]

    def channel(self) -> aio.Channel:
        """As the operator's clients have it."""
        channel = aio.secure_channel(
            self.address,
            ssl_channel_credentials(self.authority.encode()),
            options=[("grpc.ssl_target_name_override", NAME), ("grpc.enable_http_proxy", 0)],
        )
        self._channels.append(channel)
        return channel

    def kubeconfig(self, server: str = "", **user: Any) -> str:
        """A file for the command line; the user has a token unless something else is given."""
        path = self.directory / "kubeconfig"
        context = {"cluster": "k", "user": "u", "namespace": "shop"}
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": context}],
            "clusters": [{"name": "k", "cluster": {"server": server or self.api.url}}],
            "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        }
        path.write_text(yaml.safe_dump(document))
        return str(path)

    async def end(self) -> None:
        """The operator is no more."""
        self._running.cancel()
        await asyncio.wait((self._running,))

    async def close(self) -> None:
        for pod in self.pods:
            await pod.leave()
        for channel in self._channels:
            await channel.close()

    def _pod(self, name: str, uid: str, namespace: str) -> Pod:
        method = self.channel().stream_stream(
            "/tracekeeper.control.v1.Control/Attach",
            request_serializer=pb.FromSidecar.SerializeToString,
            response_deserializer=pb.ToSidecar.FromString,
        )
        call = method(metadata=(("authorization", f"Bearer {namespace}/{name}"),))
        return Pod(name, call, pb.Hello(version="1", config_uid=uid, policy_revision=1))


async def verify(token: str) -> PodIdentity:
    """In these tests a pod's token is its name."""
    namespace, _, name = token.partition("/")
    return PodIdentity(namespace, name, f"uid-{name}", "default", 4e9)


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    """A control server that people and pods reach, of an operator that knows one TracingConfig, shop/agents."""
    clock = StoodClock()
    material = make(time.time(), [NAME, "localhost"], Lives())
    async with serve() as api, Kube(Access(api.url, token="operator")) as kube:
        api.people[TOKEN] = ALICE
        api.may = lambda asked: asked["user"] == "alice" and asked["resourceAttributes"]["namespace"] == "shop"
        store = Store()
        store.put(config(sampling=SAMPLING))
        server = ControlServer(
            Address("127.0.0.1", 0), lambda: material, verify, partial(facts, store), clock, ControllerMetrics()
        )
        people = People(Persons(kube), store.get, server, clock)
        server.add(people.handler())
        running = asyncio.ensure_future(server.run())
        await until(server.started.is_set, "the server has started")
        made = World(api, store, clock, server, f"127.0.0.1:{server.port}", material.ca, directory, running)
        try:
            yield made
        finally:
            await made.close()
            await made.end()


def facts(store: Store, uid: str, of: str = "") -> ConfigFacts | None:
    """What the control server asks of a config, by its UID; nothing is lent to another namespace."""
    for namespace, name in store.keys():
        found = store.get(namespace, name)
        if found is not None and found["metadata"]["uid"] == uid and of in ("", namespace):
            return ConfigFacts(uid, namespace, name, None)
    return None
