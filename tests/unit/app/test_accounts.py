"""What a sidecar and the operator tell each other of money, over a real link with TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from link_world import Attached, World, linked
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.meter.spend import Spend
from tracekeeper_spec.budget import Budget
from waiting import until

LOG = "cd" * 16


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with linked(tmp_path) as world:
        world.accounts.metered(Spend(LOG, SystemClock().now))
        world.accounts.follow((Budget("daily"),))
        yield world


def save(world: World, *, last: bool = False) -> None:
    assert world.accounts.spend is not None
    world.accounts.spend.dump(last=last)
    world.accounts.spend.written()


def note(world: World, nano: int = 5) -> None:
    assert world.accounts.spend is not None
    world.accounts.spend.note(SystemClock().now(), "a", "m", "u", "p", "talk", nano, 1, 0)


def welcome(call: Attached, every: float = 0.5) -> None:
    call.say(pb.ToSidecar(welcome=pb.Welcome(report_every_seconds=300, statement_every_seconds=every)))


def seen(call: Attached, number: int, *, stored: bool) -> None:
    call.say(pb.ToSidecar(statement_seen=pb.StatementSeen(log_id=LOG, number=number, stored=stored)))


def numbers(call: Attached) -> list[int]:
    return [message.statement.number for message in call.of("statement")]


async def test_what_was_spent_is_stated_until_it_is_stored(world: World) -> None:
    note(world)
    save(world)
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        welcome(operator.last)
        await until(lambda: numbers(operator.last), "it is stated")
        (said,) = operator.last.of("statement")
        assert (said.statement.log_id, said.statement.stored, said.statement.last) == (LOG, 0, False)
        (row,) = said.statement.rows
        assert (row.agent, row.user, row.nano_dollars) == ("a", "u", 5)
        assert [each.id for each in said.statement.conversations] == ["talk"]
        seen(operator.last, 1, stored=False)
        await operator.stop()
        await operator.start()
        await until(lambda: len(operator.now) == 1 and operator.last.of("hello"), "it is back")
        welcome(operator.last)
        await until(lambda: numbers(operator.last) == [1], "it is stated again")
        seen(operator.last, 1, stored=True)
        note(world)
        found = world.accounts.spend
        assert found is not None
        await until(lambda: not found.statements(), "it is stored")
        save(world)
        await until(lambda: numbers(operator.last) == [1, 2], "the next is stated")
        assert operator.last.of("statement")[1].statement.stored == 1


async def test_an_operator_that_does_not_ask_is_told_nothing(world: World) -> None:
    note(world)
    save(world)
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        welcome(operator.last, 0.0)
        await until(lambda: world.link.health().attached, "it is attached")
        assert not await world.accounts.settle(_saving(world), 0.05)
        assert numbers(operator.last) == []


async def test_the_end_tells_all_at_once_and_does_not_wait_for_long(world: World) -> None:
    note(world)
    save(world)
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        welcome(operator.last, 300.0)
        await until(lambda: numbers(operator.last) == [1], "it is stated")
        note(world, 7)
        assert not await world.accounts.settle(_saving(world), 0.05)
        await until(lambda: numbers(operator.last) == [1, 2], "both are stated")
        assert operator.last.of("statement")[1].statement.last
        seen(operator.last, 1, stored=False)
        seen(operator.last, 2, stored=False)
        assert await world.accounts.settle(_saving(world), 30.0)


async def test_what_could_not_be_kept_is_not_said_to_be_counted(world: World) -> None:
    note(world)

    async def refused() -> None:
        """A checkpoint for which there is no room."""

    assert not await world.accounts.settle(refused, 0.05)


async def test_what_came_after_the_last_that_could_be_kept_is_not_said_to_be_counted_either(world: World) -> None:
    note(world)
    save(world)
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        welcome(operator.last)
        await until(lambda: numbers(operator.last) == [1], "it is stated")

        async def refused() -> None:
            seen(operator.last, 1, stored=False)

        assert await world.accounts.settle(refused, 30.0)
        note(world, 7)
        assert not await world.accounts.settle(refused, 0.05)
        assert world.accounts.spend is not None
        world.accounts.spend.dump(last=True)
        assert not await world.accounts.settle(refused, 0.05)


async def test_without_budgets_nothing_is_noted(world: World) -> None:
    world.accounts.follow(())
    note(world)
    assert world.accounts.spend is not None and not world.accounts.spend.pending
    assert await world.accounts.settle(_saving(world))


async def test_how_budgets_stand_is_remembered(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        assert world.accounts.state("daily")[0] is None
        key = pb.BudgetKey(values=["bob"], spent_nano_dollars=9, state="Exceeded", allowed=False)
        state = pb.BudgetState(name="daily", limit_nano_dollars=10, spent_nano_dollars=9, state="Critical", keys=[key])
        operator.last.say(pb.ToSidecar(budgets=pb.BudgetStates(budgets=[state])))
        await until(lambda: world.accounts.state("daily")[0], "it is told")
        found, age, told = world.accounts.state("daily")
        assert found is not None and (found.spent, found.state) == (9, "Critical") and not found.keys["bob",].allowed
        assert age < 30 and told > 1e9
        world.accounts.follow(())
        assert world.accounts.state("daily")[0] is None


def _saving(world: World) -> Callable[[], Awaitable[None]]:
    async def checkpoint() -> None:
        save(world, last=True)

    return checkpoint
