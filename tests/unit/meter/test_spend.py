"""Rows of what was spent: how they become statements, and what of them outlives a kill."""

from __future__ import annotations

import json

import pytest

from tracekeeper_sidecar.meter.spend import LONGEST, MOST_ROWS, MOST_STATED, OTHER, Spend, SpendRow

NOW = 1_800_000_000.0
LOG = "ab" * 16


def spend(log: str = LOG) -> Spend:
    return Spend(log, lambda: NOW)


def note(
    found: Spend, nano: int = 5, *, at: float = NOW, user: str = "", agent: str = "a", talk: str = "", unpriced: int = 0
) -> None:
    found.note(at, agent, "m", user, "p", talk, nano, 10, unpriced)


def test_what_is_told_is_on_disk_before_and_stays_as_it_is_until_it_is_stored() -> None:
    found = spend()
    note(found)
    found.dump()
    assert found.statements() == ()
    found.written()
    (first,) = found.statements()
    assert (first.log_id, first.number) == (LOG, 1)
    assert first.rows == (SpendRow(int(NOW // 900), "a", "m", "", "p", 5, 10, 0),)
    note(found)
    found.dump()
    found.written()
    assert found.statements() == (first,)
    found.stored(LOG, 2)
    found.stored("another", 1)
    assert found.statements() == (first,)
    found.stored(LOG, 1)
    assert found.statements() == () and found.pending
    found.dump()
    found.written()
    assert [each.number for each in found.statements()] == [2]


def test_the_last_is_sealed_behind_one_that_waits() -> None:
    found = spend()
    for _ in range(3):
        note(found)
        found.dump(last=True)
        found.written()
    assert [(each.number, each.rows[0].nano) for each in found.statements()] == [(1, 5), (2, 5)]
    assert found.pending
    found.stored(LOG, 1)
    assert [each.number for each in found.statements()] == [2]


def test_whoever_was_killed_goes_on_with_what_was_on_disk() -> None:
    found = spend()
    note(found, 7, user="u", talk="t", unpriced=1)
    found.missed(3)
    found.dump()
    note(found, 11)
    saved = found.dump(last=True)
    after = spend("new")
    after.load(saved)
    assert [(each.number, each.rows, each.conversations, each.missed) for each in after.statements()] == [
        (1, (SpendRow(int(NOW // 900), "a", "m", "u", "p", 7, 10, 1),), (("t", "a", 7, 10),), 3),
        (2, (SpendRow(int(NOW // 900), "a", "m", "", "p", 11, 10, 0),), (), 0),
    ]
    assert after.log_id == LOG and after.dump() == saved


@pytest.mark.parametrize("damaged", [b"", b"[]", b"null", b'{"format":2}', b'{"format":1,"rows":[[1]]}', b"\xff\x00"])
def test_what_cannot_be_read_changes_nothing(damaged: bytes) -> None:
    found = spend()
    note(found)
    before = found.dump()
    with pytest.raises(ValueError, match="cannot be read"):
        found.load(damaged)
    assert found.dump() == before


def test_names_have_bounds_and_amounts_have_none() -> None:
    found = spend()
    for number in range(5 * MOST_ROWS):
        note(found, number, user=f"user-{number}", agent=f"agent-{number % 700}", talk=f"talk-{number}")
    note(found, 3, user="é" * 500, agent="\ud800")
    found.dump()
    found.written()
    (said,) = found.statements()
    assert sum(row.nano for row in said.rows) == sum(range(5 * MOST_ROWS)) + 3
    assert sum(row.tokens for row in said.rows) == 10 * (5 * MOST_ROWS + 1)
    assert len(said.rows) <= MOST_STATED + 2 and any(row.agent == OTHER for row in said.rows)
    assert all(len(name.encode()) <= LONGEST for row in said.rows for name in row[1:5])
    assert len(said.conversations) == 50 and said.conversations[0].id == f"talk-{5 * MOST_ROWS - 1}"


def test_times_that_cannot_be_are_now() -> None:
    found = spend()
    for at in (NOW - 80_000, NOW - 90_000, NOW + 100_000, 0.0):
        note(found, 1, at=at)
    found.dump()
    found.written()
    rows = {row.quarter: row.nano for row in found.statements()[0].rows}
    assert rows == {int((NOW - 80_000) // 900): 1, int(NOW // 900): 3}


def test_nothing_is_noted_where_nobody_asks() -> None:
    found = spend()
    found.wanted = False
    note(found)
    assert not found.pending


def test_environments_are_told_apart_and_older_rows_have_none() -> None:
    found = spend()
    for environment in ("production", "staging", "production"):
        found.note(NOW, "a", "m", "u", "p", "", 5, 10, 0, environment)
    dump = found.dump()
    found.written()
    (statement,) = found.statements()
    assert {(row.environment, row.nano) for row in statement.rows} == {("production", 10), ("staging", 5)}
    again = spend("b" * 32)
    again.load(dump)
    again.written()
    assert again.statements() == (statement,)
    told = json.loads(dump)
    told["sealed"][0][0] = [row[:8] for row in told["sealed"][0][0]]
    again.load(json.dumps(told).encode())
    again.written()
    assert {row.environment for row in again.statements()[0].rows} == {""}


def test_no_statement_says_more_than_the_operator_takes() -> None:
    from tracekeeper_operator.control import statement as operator
    from tracekeeper_sidecar.meter.spend import MOST_COUNTED, MOST_NANO

    assert (MOST_NANO, MOST_COUNTED) == (operator.MOST_NANO, operator.MOST_COUNT)
    found = spend()
    for _ in range(2):
        found.note(NOW, "a", "m", "", "p", "talk", MOST_NANO, MOST_COUNTED, MOST_COUNTED)
    dump = found.dump()
    found.written()
    again = spend()
    again.load(dump)
    for each in (found, again):
        (stated,) = each.statements()
        row, talk = stated.rows[0], stated.conversations[0]
        assert (row.nano, row.tokens, row.unpriced, talk.nano) == (MOST_NANO, MOST_COUNTED, MOST_COUNTED, MOST_NANO)
