"""The operator's side of budgets for tests: the real control server with TLS, an API server, and pods that attach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from google.protobuf.message import Message
from grpc import aio

from control_api import Api, serve
from control_objects import config
from control_world import CONFIG, SidecarClient, World, serving
from people_world import ALICE, TOKEN
from tracekeeper_operator.access import Access
from tracekeeper_operator.budgets.account import Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.calls import SERVICE, BudgetCalls
from tracekeeper_operator.budgets.checkpoint import Checkpoints
from tracekeeper_operator.budgets.shard import SHARDS, Told
from tracekeeper_operator.budgets.statements import Statements
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.gate import Gate
from tracekeeper_operator.control.persons import Persons
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.store import Store
from tracekeeper_spec.budget import Budget, Decision, GroupBy, Limit, Severity, Threshold

UID = "uid-agents"
DENY = (Threshold(75), Threshold(100, Severity.CRITICAL, Decision.DENY))
DAILY = Budget("daily", limit=Limit("10"), thresholds=DENY)
USERS = Budget("users", limit=Limit("1"), group_by=(GroupBy.USER,), thresholds=DENY)
LOG = "0123456789abcdef" * 2
DOLLAR = 10**9

Answer = TypeVar("Answer", bound=Message)


@dataclass
class BudgetWorld:
    """Config shop/agents with `budgets`, which people and pods ask about."""

    world: World
    api: Api
    kube: Kube
    book: Book
    checkpoints: Checkpoints
    statements: Statements
    budgets: list[Budget]
    directory: Path
    numbers: dict[str, int] = field(default_factory=dict)

    def spend(self, *rows: Row, namespace: str = "shop", log: str = LOG, missed: int = 0) -> None:
        """Pods of a namespace have stated this."""
        number = self.numbers[log] = self.numbers.get(log, 0) + 1
        self.book.take(
            Told(namespace, log, number, number - 1, list(rows), [], missed), "shop/agents", tuple(self.budgets)
        )

    def row(self, dollars: float, **names: Any) -> Row:
        """Spent just now."""
        usual = {"agent": "planner", "model": "m", "user": "ann", "project": "", "tokens": 100, "unpriced": 0}
        values: dict[str, Any] = {**usual, **names}
        return Row(quarter=int(self.world.clock.now() // 900), nano=int(dollars * DOLLAR), **values)

    async def ask(self, name: str, asked: Message, told: type[Answer], token: str = TOKEN) -> Answer:
        async with self.world.channel() as channel:
            method = channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=type(asked).SerializeToString,
                response_deserializer=told.FromString,
            )
            answer: Answer = await method(asked, metadata=(("authorization", f"Bearer {token}"),), timeout=30)
            return answer

    async def refused(self, name: str, asked: Message, told: type[Message], token: str = TOKEN) -> tuple[Any, str]:
        """How it is refused."""
        try:
            await self.ask(name, asked, told, token)
        except aio.AioRpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError("it is answered")

    @asynccontextmanager
    async def sidecar(self, pod: str = "a", namespace: str = "shop") -> AsyncIterator[SidecarClient]:
        async with self.world.sidecar(pod, namespace=namespace, config=UID) as client:
            yield client

    def kubeconfig(self) -> str:
        path = self.directory / "kubeconfig"
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}],
            "clusters": [{"name": "k", "cluster": {"server": self.api.url}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
        }
        path.write_text(yaml.safe_dump(document))
        return str(path)


@asynccontextmanager
async def budget_world(directory: Path, *, read: bool = True) -> AsyncIterator[BudgetWorld]:
    """`read`: whether what was saved is read already."""
    world = World(configs={})
    budgets = [DAILY, USERS]

    def find(uid: str, namespace: str = "") -> ConfigFacts | None:
        """The config is lent to namespace `guest`, too."""
        if uid not in (UID, CONFIG) or namespace not in ("", "shop", "guest"):
            return None
        return ConfigFacts(UID, "shop", "agents", None, budgets=tuple(budgets), budgets_from="shop/agents")

    world.find = find  # type: ignore[method-assign]
    world.__post_init__()
    async with serve() as api, Kube(Access(api.url, token="operator")) as kube:
        api.people[TOKEN] = ALICE
        api.may = lambda asked: asked["resourceAttributes"]["namespace"] == "shop"
        store = Store()
        store.put(config())
        book = Book(lambda: {"shop/agents": budgets}, world.clock)
        told: list[Callable[[int], None]] = []
        checkpoints = Checkpoints(kube, "tk", "leader-1", book, world.clock, lambda index: told[0](index))
        statements = Statements(book, world.server, find, checkpoints.hurry, world.clock, world.metrics)
        told.append(statements.stored)
        calls = BudgetCalls(Gate(Persons(kube), store.get), world.verify, store.get, find, book, world.clock)
        world.server.add(calls.handler())
        if read:
            for index in range(SHARDS):
                await checkpoints.read(index)
        async with serving(world):
            assert world.material is not None
            (directory / "ca.crt").write_text(world.material.ca)
            yield BudgetWorld(world, api, kube, book, checkpoints, statements, budgets, directory)


def leader(world: BudgetWorld, name: str, told: list[int] | None = None) -> tuple[Book, Checkpoints]:
    """Another one, on the same API server."""
    book = Book(lambda: {"shop/agents": world.budgets}, world.world.clock)
    heard = told if told is not None else []
    return book, Checkpoints(world.kube, "tk", name, book, world.world.clock, heard.append)


@asynccontextmanager
async def working_budget_world(directory: Path) -> AsyncIterator[BudgetWorld]:
    """The same, and what pods state is taken into the books and kept, as time goes."""
    async with budget_world(directory) as world:
        running = [asyncio.create_task(each) for each in (world.checkpoints.run(), world.statements.run())]
        yield world
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
