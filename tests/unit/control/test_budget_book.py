"""The book of what was spent, without I/O: its size, what it forgets, how fast money goes, and who has spent most."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_objects import StoodClock
from tracekeeper_operator.budgets.account import Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.burn import WINDOWS, Burn
from tracekeeper_operator.budgets.marks import KEEP, MOST, Marks
from tracekeeper_operator.budgets.ranking import Ranking
from tracekeeper_operator.budgets.shard import (
    CROWDED,
    MOST_BYTES,
    SHARDS,
    Damaged,
    Shard,
    Snapshot,
    Told,
    decode,
    encode,
    shard_of,
)
from tracekeeper_operator.budgets.standing import State, dollars, state
from tracekeeper_spec.budget import Budget, GroupBy, Limit, Period

DAILY = Budget("daily", limit=Limit("10"))
USERS = Budget("users", limit=Limit("1"), group_by=(GroupBy.USER,))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def row(at: float, nano: int, user: str = "") -> Row:
    return Row(int(at // 900), "a", "m", user, "", nano, 1, 0)


def told(number: int, rows: list[Row], namespace: str = "shop", log: str = "ab") -> Told:
    return Told(namespace, log, number, number - 1, rows, [], 0)


def book(clock: StoodClock, *budgets: Budget) -> Book:
    made = Book(lambda: {"shop/agents": budgets}, clock)
    made.open.update(range(SHARDS))
    return made


def test_ten_thousand_pods_fit_into_the_config_maps() -> None:
    shards = [Shard() for _ in range(SHARDS)]
    for number in range(10_000):
        namespace = f"team-{number % 300}"
        shards[shard_of(namespace)].take(
            told(1, [row(NOW, 5)], namespace, f"{number:032x}"), "shop/agents", [DAILY], NOW
        )
    sizes = [len(encode(shard.snapshot("leader"))) for shard in shards]
    assert max(sizes) < 100_000 and sum(sizes) < 400_000


def test_a_shard_fits_whatever_is_spent_in_it_and_no_total_is_lost() -> None:
    shard, chance, most = Shard(), random.Random(7), 60_000
    for number in range(1, 11):
        rows = [row(NOW, 10**6 + number, f"user-{chance.randbytes(40).hex()}") for _ in range(1000)]
        shard.take(told(number, rows), "shop/agents", [DAILY, USERS], NOW)
    for number in range(2000):
        shard.take(told(1, [], log=f"{number:032x}"), "shop/agents", [], NOW)
    data = encode(shard.snapshot("leader"), most)
    assert len(data) <= most
    again = Shard()
    again.load(decode(data))
    for budget in (DAILY, USERS):
        before, after = (next(a for a in s.accounts.values() if a.key.budget == budget.name) for s in (shard, again))
        assert [each.nano for each in after.ledgers.values()] == [each.nano for each in before.ledgers.values()]
    assert len(encode(shard.snapshot("leader"))) <= MOST_BYTES


@pytest.mark.parametrize(
    "data", [b"", b"x", encode(Snapshot({"format": 2}, {}, 0)), encode(Snapshot({"format": 1}, {}, 0))]
)
def test_what_cannot_be_read_is_said_to_be_damaged(data: bytes) -> None:
    shard = Shard()
    shard.take(told(1, [row(NOW, 5)]), "shop/agents", [DAILY], NOW)
    with pytest.raises(Damaged):
        shard.load(decode(data))
    assert len(shard.accounts) == 1


def test_logs_are_forgotten_when_nobody_speaks_of_them() -> None:
    marks = Marks()
    for number in range(MOST + 5):
        marks.note("shop", f"{number}", 1, NOW + number)
    assert len(marks) == MOST and marks.find("shop", "4") is None and marks.find("shop", "5") is not None
    marks.note("shop", "5", 2, NOW + KEEP)
    marks.forget(NOW + MOST)
    assert marks.find("shop", "5") is not None and marks.find("shop", "6") is None
    assert marks.find("kitchen", "5") is None


def test_a_budget_begins_anew_with_another_calendar_or_other_groups_and_not_with_another_limit() -> None:
    clock = StoodClock(wall=NOW)
    found = book(clock, DAILY)
    found.take(told(1, [row(NOW, 5)]), "shop/agents", [DAILY])

    def spent(budget: Budget) -> int:
        standing = found.standing("shop/agents", budget, "shop")
        assert standing is not None
        return standing.spent

    assert spent(replace(DAILY, limit=Limit("1"))) == 5
    assert spent(replace(DAILY, period=Period.WEEK)) == 0
    assert spent(DAILY) == 0


def test_periods_that_are_over_and_crowds_keep_few_keys() -> None:
    shard = Shard()
    users = [row(NOW, 5, f"user-{number}") for number in range(1000)]
    for number in range(CROWDED // 1000):
        shard.take(told(1, users, f"team-{number}"), "shop/agents", [USERS], NOW)
    shard.snapshot("leader")
    shard.take(told(1, users, "late"), "shop/agents", [USERS], NOW)
    later = NOW + 86_400
    shard.take(told(2, [row(later, 5, "ann")], "team-0"), "shop/agents", [USERS], later)
    accounts = {key.namespace: account for key, account in shard.accounts.items()}
    sizes = [len(accounts[name].current(USERS, NOW).keys) for name in ("team-0", "team-1", "late")]
    assert sizes == [0, 1000, 100]
    assert accounts["late"].current(USERS, NOW).nano == accounts["team-0"].current(USERS, NOW).nano == 5000


def test_whoever_shares_a_budget_sees_no_names_of_others() -> None:
    clock = StoodClock(wall=NOW)
    shared = replace(USERS, shared=True, limit=Limit("0.000000020"))
    found = book(clock, shared)
    found.take(told(1, [row(NOW, 30, "ann"), row(NOW, 5, "bob")]), "root/all", [shared])
    found.take(told(1, [row(NOW, 40, "bob"), row(NOW, 50, "eve")], "kitchen", "cd"), "root/all", [shared])

    def names(namespace: str) -> tuple[int, dict[str, int], set[str]]:
        seen = found.seen("root/all", shared, namespace)
        assert seen is not None
        ranks = {place.key[0] for ranking in seen.ranks.values() for place in ranking}
        return seen.spent, {place.key[0]: place.spent for place in seen.keys}, ranks & {"ann", "bob", "eve"}

    assert names("shop") == (125, {"bob": 45, "ann": 30}, {"ann", "bob"})
    assert names("cellar") == (125, {}, set())
    assert names("root") == (125, {"eve": 50, "bob": 45, "ann": 30}, {"ann", "bob", "eve"})


def test_late_rows_count_in_their_own_period_for_a_day() -> None:
    clock = StoodClock(wall=NOW)
    found = book(clock, DAILY)
    midnight = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    found.take(told(1, [row(midnight - 900, 5), row(midnight, 7), row(midnight - 90_000, 11)]), "shop/agents", [DAILY])
    (account,) = found.accounts()
    assert {ledger.begins: ledger.nano for ledger in account.ledgers.values()} == {midnight - 86_400: 5, midnight: 7}
    clock.wall = midnight + 86_400 * 2.5
    found.take(told(2, [row(midnight, 13)]), "shop/agents", [DAILY])
    assert account.ledgers[midnight].nano == 7


def test_the_forecast_goes_by_the_last_hours_and_the_burn_by_each_window() -> None:
    clock = StoodClock(wall=NOW)
    found = book(clock, DAILY)
    for hours in range(12):
        clock.wall = NOW - 3600 * (11 - hours)
        found.take(told(hours + 1, [row(clock.wall, 500_000_000 if hours > 5 else 0)]), "shop/agents", [DAILY])
    standing = found.standing("shop/agents", DAILY, "shop")
    assert standing is not None
    assert dollars(standing.spent) == "3.00"
    assert float(dollars(standing.forecast)) == pytest.approx(9.0, abs=0.3)
    assert standing.burn["6h"] == pytest.approx(0.3) and standing.burn["5m"] == pytest.approx(0.05)
    assert standing.burn["3d"] == pytest.approx(0.3)


@given(st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 10**9)), max_size=60))
def test_windows_hold_what_was_spent_in_them(spent: list[tuple[int, int]]) -> None:
    burn = Burn()
    for ago, nano in sorted(spent, reverse=True):
        burn.add(NOW - ago, nano, NOW - ago)
    for name, seconds in WINDOWS.items():
        size = 300 if seconds <= 21_600 else 3600
        inside = sum(nano for ago, nano in spent if ago < seconds - size)
        around = sum(nano for ago, nano in spent if ago <= seconds + size)
        assert inside <= burn.spent(seconds, NOW) <= around, name
    assert len(burn.fine) <= 74 and len(burn.coarse) <= 74


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 100)), max_size=300), st.integers(1, 12))
def test_the_dearest_are_never_said_to_have_spent_more_than_they_have(added: list[tuple[int, int]], room: int) -> None:
    ranking, truth = Ranking(room), Counter[int]()
    for key, nano in added:
        ranking.add((str(key),), nano)
        truth[key] += nano
    places = list(ranking)
    assert len(places) <= room
    for place in places:
        assert place.spent <= truth[int(place.key[0])] <= place.spent + place.error
    assert sum(place.spent + place.error for place in places) == sum(truth.values())
    known = {place.key[0] for place in places}
    assert all(str(key) in known for key, nano in truth.items() if nano * room > sum(truth.values()))


def test_states_are_exact_at_their_borders() -> None:
    limit = DAILY.limit.nano
    for spent, expected in (
        (limit * 3 // 4 - 1, State.OK),
        (limit * 3 // 4, State.WARNING),
        (limit * 9 // 10 - 1, State.WARNING),
        (limit * 9 // 10, State.CRITICAL),
        (limit - 1, State.CRITICAL),
        (limit, State.EXCEEDED),
    ):
        assert state(DAILY, spent) is expected
