"""How often namespaces are read again: often where there are few, and seldom enough where there are many."""

from __future__ import annotations

import pytest

from tracekeeper_operator.pace import BUDGET, MOST, Pace


@pytest.mark.parametrize(
    ("namespaces", "reads", "seconds"),
    [(0, 0, 60), (1, 2, 60), (7, 2, 60), (100, 1, 400), (200, 2, 1600), (5000, 2, MOST)],
)
def test_the_more_there_is_to_read_the_longer_it_takes_to_come_round(
    namespaces: int, reads: int, seconds: float
) -> None:
    pace = Pace(60.0)
    for number in range(namespaces):
        pace.note(f"ns-{number}", reads)
    assert pace.wait("a") == pytest.approx(seconds, abs=1)


def test_two_hundred_namespaces_with_a_credential_each_stay_within_the_budget() -> None:
    pace = Pace(60.0)
    for number in range(200):
        pace.note(f"ns-{number}", 2)
    asked = 200 * 2 / pace.wait("a")
    print(
        f"200 namespaces with a policy and a credential each: read once in {pace.wait('a'):.0f} s, {asked:.2f} reads/s"
    )
    assert asked <= BUDGET + 1e-9


def test_what_is_read_now_counts_and_what_went_does_not() -> None:
    pace = Pace(1.0)
    for reads in (1000, 7, 70):
        pace.note("a", reads)
    assert pace.wait("a") == pytest.approx(70 / BUDGET)
    pace.note("b", 35)
    pace.note("a", 0)
    pace.note("a", 0)
    assert pace.wait("a") == pytest.approx(140)


def test_where_something_is_missing_it_is_looked_for_soon() -> None:
    pace = Pace(60.0)
    pace.note("a", 400, missing=True)
    pace.note("b", 400)
    assert (pace.wait("a"), pace.wait("b")) == (60.0, MOST)
    pace.note("a", 400)
    assert pace.wait("a") == MOST


def test_what_somebody_asked_for_is_never_shortened() -> None:
    pace = Pace(3600.0)
    pace.note("a", 5000)
    assert pace.wait("a") == 3600.0
