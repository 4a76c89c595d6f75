"""Room for accounts: nobody takes that of others, and what there is no room for is not lost and not said to be zero."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from budget_world import budget_world
from control_objects import StoodClock
from tracekeeper_operator.budgets.account import AccountKey, Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.calls import decision
from tracekeeper_operator.budgets.shard import (
    MOST_ACCOUNTS,
    MOST_OF_ONE,
    SHARDS,
    Shard,
    Taken,
    Told,
    shard_of,
)
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.budget import Budget, Decision, Limit
from waiting import until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAILY = Budget("daily", limit=Limit("1"), unknown=Decision.DENY)
SHARED = Budget("all", limit=Limit("1"), shared=True)


def told(namespace: str, number: int = 1) -> Told:
    row = Row(int(NOW // 900), "a", "m", "u", "", 5 * 10**9, 1, 0)
    return Told(namespace, "ab" * 16, number, number - 1, [row], [], 0)


def neighbour(of: str) -> str:
    """Another namespace of the same shard."""
    return next(f"team-{n}" for n in range(999) if shard_of(f"team-{n}") == shard_of(of))


def fill(shard: Shard) -> None:
    """With accounts into which something was counted, of many namespaces."""
    for number in range(MOST_ACCOUNTS):
        shard.take(told(f"ns-{number // 100}", number % 100 + 1), f"ns/c{number}", [DAILY], NOW)
    assert len(shard.accounts) == MOST_ACCOUNTS


def test_budgets_that_are_only_written_take_no_room_from_others() -> None:
    victim = neighbour("evil")
    written = {f"evil/c{n}": [Budget(f"b{i}", limit=Limit("1")) for i in range(8)] for n in range(600)}
    book = Book(lambda: {**written, f"{victim}/c": [DAILY]}, StoodClock(wall=NOW))
    book.open.update(range(SHARDS))
    assert len(list(book.standings())) == 4801
    assert book.take(told(victim), f"{victim}/c", [DAILY]) is Taken.COUNTED
    standing = book.standing(f"{victim}/c", DAILY, victim)
    assert standing is not None and standing.spent == 5 * 10**9
    assert len(book.shards[shard_of("evil")].accounts) <= MOST_OF_ONE // 2 + 1


def test_a_namespace_that_spends_under_many_budgets_fills_its_own_room_alone() -> None:
    victim, book = neighbour("evil"), Book(dict, StoodClock(wall=NOW))
    book.open.update(range(SHARDS))
    taken = [book.take(told("evil", n + 1), f"evil/c{n}", [DAILY]) for n in range(MOST_OF_ONE)]
    assert set(taken) == {Taken.COUNTED}
    assert book.take(told("evil", MOST_OF_ONE + 1), "evil/more", [DAILY]) is Taken.FULL
    assert book.take(told(victim), f"{victim}/c", [DAILY]) is Taken.COUNTED


def test_an_account_that_was_only_looked_at_gives_way() -> None:
    shard = Shard()
    shard.look(AccountKey("shop/idle", "daily", "shop"), NOW)
    for number in range(MOST_OF_ONE):
        assert shard.take(told("shop", number + 1), f"shop/c{number}", [DAILY], NOW) is Taken.COUNTED
    assert AccountKey("shop/idle", "daily", "shop") not in shard.accounts


def test_what_there_is_no_room_for_is_unknown_and_not_zero() -> None:
    clock = StoodClock(wall=NOW)
    book = Book(lambda: {"shop/c": [DAILY, SHARED]}, clock)
    book.open.update(range(SHARDS))
    shard = book.shards[shard_of("shop")]
    fill(shard)
    assert book.take(told("shop"), "shop/c", [DAILY, SHARED]) is Taken.FULL
    assert shard.marks.find("shop", "ab" * 16) is None
    assert book.standing("shop/c", DAILY, "shop") is None
    answer = decision(DAILY, None, (), NOW)
    assert (answer.state, answer.allowed) == ("Unknown", False)
    whole = book.standing("shop/c", SHARED, "shop")
    assert whole is not None and not whole.complete and "1 namespaces" in whole.words()
    clock.wall += 8 * 86_400
    book.sweep()
    assert book.take(told("shop"), "shop/c", [DAILY, SHARED]) is Taken.COUNTED
    assert book.standing("shop/c", DAILY, "shop") is not None


async def test_a_statement_that_finds_no_room_is_not_answered(tmp_path: Path) -> None:
    async with budget_world(tmp_path) as world, world.sidecar() as sidecar:
        fill(world.book.shards[shard_of("shop")])
        row = pb.SpendRow(quarter_hour=int(world.world.clock.now() // 900), nano_dollars=5)
        await sidecar.say(statement=pb.Statement(log_id="ab" * 16, number=1, rows=[row]))
        name = "tracekeeper_budget_statements_total"
        await until(lambda: world.world.metric(name, result="full") == 1, "it is refused")
        assert not world.book.is_stored("shop", "ab" * 16, 1)
        await world.statements.tell()
        assert world.book.standing("shop/agents", world.budgets[0], "shop") is None
