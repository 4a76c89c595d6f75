"""Budgets that namespaces share: added up once, and then kept up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from control_objects import StoodClock
from tracekeeper_operator.budgets.account import Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.ranking import Ranking, merged
from tracekeeper_operator.budgets.shard import SHARDS, Told, decode, encode, shard_of
from tracekeeper_operator.budgets.standing import Standing
from tracekeeper_operator.budgets.statements import MOST_REST, TICK, rest
from tracekeeper_spec.budget import Budget, GroupBy, Limit, Period

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
ALL = Budget("all", limit=Limit("1"), group_by=(GroupBy.USER,), period=Period.MONTH, shared=True)
PLAIN = Budget("plain", limit=Limit("1"), period=Period.MONTH, shared=True)
CONFIG = "root/all"


class World:
    def __init__(self) -> None:
        self.clock = StoodClock(wall=NOW)
        self.book = self.another()
        self.numbers: dict[str, int] = {}

    def another(self) -> Book:
        book = Book(lambda: {CONFIG: [ALL, PLAIN]}, self.clock)
        book.open.update(range(SHARDS))
        return book

    def spend(self, namespace: str, user: str, nano: int) -> None:
        number = self.numbers[namespace] = self.numbers.get(namespace, 0) + 1
        rows = [Row(int(self.clock.wall // 900), "a", "m", user, "", nano, 2, 1)]
        self.book.take(Told(namespace, f"{namespace:0>32}", number, number - 1, rows, [], 1), CONFIG, [ALL, PLAIN])

    def standing(self, budget: Budget = ALL, book: Book | None = None) -> Standing:
        found = (book or self.book).standing(CONFIG, budget, "team-1")
        assert found is not None
        return found


def test_a_shared_budget_is_added_up_once_whoever_asks() -> None:
    world = World()
    for number in range(20):
        world.spend(f"team-{number}", f"user-{number}", 5)
    first = world.standing()
    world.spend("team-3", "user-3", 7)
    again = world.standing()
    assert again.keys is first.keys and again.ranks is first.ranks
    assert (again.spent, again.keys.most()) == (107, 12)


def test_what_is_kept_up_is_what_another_controller_adds_up() -> None:
    world = World()
    world.standing()
    world.standing(PLAIN)
    for number in range(60):
        world.clock.wall += 600
        world.spend(f"team-{number % 7}", f"user-{number % 11}", 10**6 * number)
    anew = world.another()
    for old, new in zip(world.book.shards, anew.shards, strict=True):
        new.load(decode(encode(old.snapshot("leader"))))
    for budget in (ALL, PLAIN):
        kept, added = world.standing(budget), world.standing(budget, anew)
        assert list(kept.keys) == list(added.keys)
        assert {name: list(each) for name, each in kept.ranks.items()} == {
            name: list(each) for name, each in added.ranks.items()
        }
        assert replace(kept, keys=added.keys, ranks=added.ranks, since=added.since) == added
        assert kept.spent == sum(10**6 * number for number in range(60))


def test_a_quiet_namespace_still_counts_at_the_end_of_the_month() -> None:
    world = World()
    world.clock.wall = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
    world.spend("team-1", "ann", 5)
    for _ in range(20):
        world.clock.wall += 86_400
        world.book.sweep()
    anew = world.another()
    for old, new in zip(world.book.shards, anew.shards, strict=True):
        new.load(decode(encode(old.snapshot("leader"))))
    assert world.standing().spent == world.standing(book=anew).spent == 5


def test_a_budget_that_is_no_longer_shared_is_added_up_anew_when_it_is_again() -> None:
    world = World()
    world.spend("team-1", "ann", 5)
    assert world.standing().spent == 5
    own = replace(ALL, shared=False)
    row = Row(int(NOW // 900), "a", "m", "ann", "", 8, 1, 0)
    world.book.take(Told("team-1", "team-1".zfill(32), 2, 1, [row], [], 0), CONFIG, [own])
    assert world.standing(own).spent == 13
    assert world.standing().spent == 13


def test_rankings_together_say_of_nobody_more_than_it_has_spent() -> None:
    parts = [Ranking(50) for _ in range(4)]
    for number, ranking in enumerate(parts):
        for key in range(40):
            ranking.add((f"{key}",), key + number)
    found = merged(parts, 10)
    assert [(place.key, place.spent) for place in found] == [((f"{key}",), 4 * key + 6) for key in range(39, 29, -1)]
    assert found.of(("29",)).error >= 4 * 29 + 6
    found.add(("29",), 1)
    assert len(found) == 10 and found.of(("29",)).spent == 1


def test_who_tells_sidecars_leaves_the_loop_to_others_for_most_of_the_time() -> None:
    assert [rest(took) for took in (0.0, 0.1, 1.0, 60.0)] == [TICK, TICK, 9.0, MOST_REST]


def test_what_did_not_change_is_not_copied_again_to_be_saved_nor_sorted_again_to_be_shown() -> None:
    world = World()
    world.spend("team-1", "ann", 5)
    world.spend("team-2", "bob", 5)

    def copies(namespace: str) -> list[object]:
        shard = world.book.shards[shard_of(namespace)]
        accounts = shard.snapshot("leader").document["accounts"]
        return [each for account in accounts if account["key"][2] == namespace for each in account["ledgers"]]

    before = copies("team-1"), copies("team-2")
    keys = world.standing().keys
    first = next(iter(keys))
    assert next(iter(keys)) is first
    world.spend("team-2", "eve", 9)
    assert all(now is then for now, then in zip(copies("team-1"), before[0], strict=True))
    assert not any(now is then for now, then in zip(copies("team-2"), before[1], strict=True))
    assert next(iter(keys)).key == ("eve",)
