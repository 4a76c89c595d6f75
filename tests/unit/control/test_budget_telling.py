"""`status.budgets`: what it says, and how often it is written."""

from __future__ import annotations

from typing import Any

from control_objects import StoodClock, config
from tracekeeper_operator.budgets.account import Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.shard import SHARDS, Told
from tracekeeper_operator.budgets.telling import EVERY, BudgetTeller
from tracekeeper_operator.plan import Plan, assess
from tracekeeper_spec.budget import Budget, Limit
from tracekeeper_spec.policy import PolicyDocument

DAILY = Budget("daily", limit=Limit("10"))


class World:
    def __init__(self) -> None:
        self.clock = StoodClock()
        self.book = Book(lambda: {"shop/agents": [DAILY]}, self.clock)
        self.book.open.update(range(SHARDS))
        self.news: list[str] = []
        self.teller = BudgetTeller(self.book, self.clock, self.news.append)
        self.number = 0

    def spend(self, dollars: int) -> None:
        self.number += 1
        row = Row(int(self.clock.now() // 900), "a", "m", "u", "", dollars * 10**9, 1, 0)
        self.book.take(Told("shop", "ab", self.number, self.number - 1, [row], [], 0), "shop/agents", [DAILY])

    def said(self, **spec: Any) -> Any:
        sections = spec or {"budgets": [{"name": "daily", "limit": {"amount": "10"}}]}
        (item,) = assess([config(**sections)], None)
        section = self.teller.say(item, Plan("shop", (item,), PolicyDocument(1), write=False, delete=False))
        return None if section is None else section.members.get("budgets", "nothing")


def test_a_state_is_told_at_once_and_an_amount_after_a_while() -> None:
    world = World()

    def spent() -> object:
        (only,) = world.said()
        return only["spent"], only["state"], only["allowed"]

    assert spent() == ("0.00", "Ok", True)
    world.spend(3)
    assert spent() == ("0.00", "Ok", True)
    world.spend(5)
    assert spent() == ("8.00", "Warning", True)
    world.spend(1)
    world.clock.mono += EVERY
    assert spent() == ("9.00", "Critical", True)
    assert world.said(logLevel="Debug") == "nothing"


def test_what_is_not_known_yet_leaves_the_status_as_it_is() -> None:
    world = World()
    world.book.open.clear()
    assert world.said() is None


async def test_a_look_at_the_statuses_is_asked_for_when_there_is_something_new() -> None:
    world = World()
    await world.teller.look()
    assert world.news == ["shop"]
    world.spend(1)
    await world.teller.look()
    assert world.news == ["shop"]
    world.clock.mono += EVERY
    await world.teller.look()
    await world.teller.look()
    assert world.news == ["shop"] * 2
    world.spend(9)
    await world.teller.look()
    assert world.news == ["shop"] * 3
