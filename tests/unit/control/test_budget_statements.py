"""Statements of sidecars over the real control server: counted once, stored before that is said, and answered for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from budget_world import DAILY, DOLLAR, LOG, USERS, BudgetWorld, budget_world, leader
from control_world import SidecarClient
from tracekeeper_operator.budgets import checkpoint
from tracekeeper_operator.budgets.shard import SHARDS, shard_of
from tracekeeper_operator.errors import LeadLost
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.budget import Budget, GroupBy, Limit
from waiting import until

SHOP = shard_of("shop")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BudgetWorld]:
    async with budget_world(tmp_path) as world:
        yield world


def statement(
    world: BudgetWorld, number: int = 1, dollars: int = 3, *, stored: int = 0, last: bool = False
) -> pb.Statement:
    row = pb.SpendRow(
        quarter_hour=int(world.world.clock.now() // 900), agent="planner", user="ann", nano_dollars=dollars * DOLLAR
    )
    return pb.Statement(log_id=LOG, number=number, rows=[row], stored=stored, last=last)


def spent(world: BudgetWorld, budget: Budget = DAILY, namespace: str = "shop") -> int:
    standing = world.book.standing("shop/agents", budget, namespace)
    assert standing is not None
    return standing.spent


async def test_a_statement_is_counted_once_and_stored_before_that_is_said(world: BudgetWorld) -> None:
    async with world.sidecar() as sidecar:
        await sidecar.say(statement=statement(world))
        assert not (await sidecar.read("statement_seen")).stored
        await sidecar.say(statement=statement(world, dollars=5))
        assert not (await sidecar.read("statement_seen")).stored
        assert spent(world) == 3 * DOLLAR
        await world.checkpoints.write(SHOP)
        seen = await sidecar.read("statement_seen")
        assert (seen.log_id, seen.number, seen.stored) == (LOG, 1, True)
        await sidecar.say(statement=statement(world))
        assert (await sidecar.read("statement_seen")).stored
        book, checkpoints = leader(world, "leader-2")
        await checkpoints.read(SHOP)
        assert book.is_stored("shop", LOG, 1)
        found = book.standing("shop/agents", DAILY, "shop")
        assert found is not None and found.spent == 3 * DOLLAR
        assert world.world.metric("tracekeeper_budget_statements_total", result="repeated") == 2


async def test_what_comes_too_early_is_left_for_later(world: BudgetWorld) -> None:
    async with world.sidecar() as sidecar:
        await sidecar.say(statement=statement(world, 2, stored=0))
        await sidecar.say(statement=statement(world, 1, 4))
        assert (await sidecar.read("statement_seen")).number == 1
        await sidecar.say(statement=statement(world, 2, 5))
        assert (await sidecar.read("statement_seen")).number == 2
        assert spent(world) == 9 * DOLLAR
        assert world.world.metric("tracekeeper_budget_statements_total", result="early") == 1


async def test_nothing_is_counted_before_what_was_saved_is_read(tmp_path: Path) -> None:
    async with budget_world(tmp_path, read=False) as world, world.sidecar() as sidecar:
        await sidecar.say(statement=statement(world))
        name = "tracekeeper_budget_statements_total"
        await until(lambda: world.world.metric(name, result="early") == 1, "it has come")
        await world.checkpoints.read(SHOP)
        await sidecar.say(statement=statement(world))
        await sidecar.read("statement_seen")
        assert spent(world) == 3 * DOLLAR


async def test_a_pod_that_ends_need_not_wait_for_long(world: BudgetWorld) -> None:
    running = asyncio.create_task(world.checkpoints.run())
    try:
        async with world.sidecar() as sidecar:
            await sidecar.say(statement=statement(world, last=True))
            assert not (await sidecar.read("statement_seen")).stored
            assert (await sidecar.read("statement_seen")).stored
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_controller_that_ends_saves_what_it_has(world: BudgetWorld) -> None:
    running = asyncio.create_task(world.checkpoints.run())
    await asyncio.sleep(0)
    await until(lambda: len(world.book.open) == SHARDS, "all is read")
    world.spend(world.row(2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    book, checkpoints = leader(world, "leader-2")
    await checkpoints.read(SHOP)
    found = book.standing("shop/agents", DAILY, "shop")
    assert found is not None and found.spent == 2 * DOLLAR


async def test_a_statement_says_the_project_and_the_environment_of_what_was_spent(world: BudgetWorld) -> None:
    stages = Budget("stages", limit=Limit("10"), group_by=(GroupBy.PROJECT, GroupBy.ENVIRONMENT))
    world.budgets.append(stages)
    told = statement(world)
    told.rows[0].project, told.rows[0].environment = "shop-front", "staging"
    async with world.sidecar() as sidecar:
        await sidecar.say(statement=told)
        await sidecar.read("statement_seen")
    standing = world.book.standing("shop/agents", stages, "shop")
    assert standing is not None
    assert [(place.key, place.spent) for place in standing.keys] == [(("shop-front", "staging"), 3 * DOLLAR)]


async def test_each_namespace_has_its_own_account_unless_it_is_shared(world: BudgetWorld) -> None:
    shared = Budget("all", limit=Limit("100"), shared=True)
    world.budgets.append(shared)
    async with world.sidecar() as one, world.sidecar("b", "guest") as other:
        for sidecar, dollars in ((one, 3), (other, 4)):
            await sidecar.say(statement=statement(world, dollars=dollars))
            await sidecar.read("statement_seen")
    assert (spent(world), spent(world, namespace="guest")) == (3 * DOLLAR, 4 * DOLLAR)
    assert spent(world, shared) == spent(world, shared, "guest") == 7 * DOLLAR


@pytest.mark.parametrize(
    "wrong",
    [
        {"log_id": "../etc"},
        {"number": 0},
        {"rows": [pb.SpendRow(agent="x" * 129)]},
        {"rows": [pb.SpendRow(nano_dollars=10**18 + 1)]},
        {"rows": [pb.SpendRow()] * 1001},
        {"conversations": [pb.ConversationSpend(id="x")] * 51},
    ],
)
async def test_what_no_sidecar_states_ends_the_stream(world: BudgetWorld, wrong: dict[str, object]) -> None:
    async with world.sidecar() as sidecar:
        await sidecar.say(statement=pb.Statement(**{"log_id": LOG, "number": 1, **wrong}))  # type: ignore[arg-type]
        code, details = await sidecar.said()
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "Statement" in details


async def test_one_pod_does_not_speak_for_many_logs(world: BudgetWorld) -> None:
    async with world.sidecar() as sidecar:
        for index in range(20):
            said = statement(world, dollars=1)
            said.log_id = f"{index:032x}"
            await sidecar.say(statement=said)
        await sidecar.say(statement=pb.Statement(log_id="0" * 32, number=1))
        seen = [await sidecar.read("statement_seen") for _ in range(9)]
        assert len({each.log_id for each in seen}) == 8
    assert spent(world) == 8 * DOLLAR


async def test_a_pod_that_comes_back_speaks_for_no_more_logs_than_before(world: BudgetWorld) -> None:
    for begin in (0, 8):
        async with world.sidecar() as sidecar:
            for index in range(begin, begin + 8):
                said = statement(world, dollars=1)
                said.log_id = f"{index:032x}"
                await sidecar.say(statement=said)
            await sidecar.say(statement=pb.Statement(log_id="0" * 32, number=1))
            await until_seen(sidecar, "0" * 32, 2 if begin == 0 else 1)
        await until(lambda: not world.world.server.pods(), "it is gone")
        await world.statements.tell()
    assert spent(world) == 8 * DOLLAR


async def until_seen(sidecar: SidecarClient, log_id: str, times: int) -> None:
    """All before that was read as well."""
    while times:
        times -= (await sidecar.read("statement_seen")).log_id == log_id


async def test_sidecars_are_told_how_their_budgets_stand(world: BudgetWorld) -> None:
    async with world.sidecar() as sidecar:
        await world.statements.tell()
        first = (await sidecar.read("budgets")).budgets
        assert [(each.name, each.state, each.allowed) for each in first] == [
            ("daily", "Ok", True),
            ("users", "Ok", True),
        ]
        world.spend(world.row(8, user="bob"), world.row(0.5))
        await world.statements.tell()
        daily, users = (await sidecar.read("budgets")).budgets
        assert (daily.state, daily.spent_nano_dollars, daily.allowed) == ("Warning", 8_500_000_000, True)
        assert [(list(key.values), key.state, key.allowed) for key in users.keys] == [(["bob"], "Exceeded", False)]
        assert (users.allowed, list(users.group_by)) == (False, ["User"])
        await world.statements.tell()
        world.budgets.remove(USERS)
        await world.statements.tell()
        assert [each.name for each in (await sidecar.read("budgets")).budgets] == ["daily"]


# Where it is kept.


async def test_whoever_led_before_writes_nothing_any_more(world: BudgetWorld) -> None:
    world.spend(world.row(1))
    await world.checkpoints.write(SHOP)
    _, checkpoints = leader(world, "leader-2")
    await checkpoints.read(SHOP)
    await checkpoints.write(SHOP)
    world.spend(world.row(1))
    with pytest.raises(LeadLost, match="leader-2 has written it"):
        await world.checkpoints.write(SHOP)
    assert not world.book.is_stored("shop", LOG, 2)
    await checkpoints.write(SHOP)


async def test_what_people_do_to_a_config_map_is_put_right(
    world: BudgetWorld, caplog: pytest.LogCaptureFixture
) -> None:
    name = checkpoint.name_of(SHOP)
    world.spend(world.row(1))
    await world.checkpoints.write(SHOP)
    found = world.api.get("configmaps", "tk", name)
    world.api.put("configmaps", {**found, "metadata": {**found["metadata"], "annotations": {"a": "b"}}})
    await world.checkpoints.write(SHOP)
    world.api.remove("configmaps", "tk", name)
    await world.checkpoints.write(SHOP)
    world.api.put("configmaps", {**world.api.get("configmaps", "tk", name), "binaryData": {"book": "eJwB!"}})
    book, checkpoints = leader(world, "leader-2")
    await checkpoints.read(SHOP)
    standing = book.standing("shop/agents", DAILY, "shop")
    assert standing is not None and standing.spent == 0
    assert "cannot be read" in caplog.text and name in caplog.text


async def test_while_it_cannot_be_saved_nothing_is_said_to_be(world: BudgetWorld) -> None:
    async with world.sidecar() as sidecar:
        await sidecar.say(statement=statement(world))
        await sidecar.read("statement_seen")
        world.api.fail("PATCH", checkpoint.name_of(SHOP), 503, "busy")
        running = asyncio.create_task(world.checkpoints.run())
        try:
            await until(lambda: world.checkpoints.problem, "it has failed")
            assert not world.book.is_stored("shop", LOG, 1)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert (await sidecar.read("statement_seen")).stored
