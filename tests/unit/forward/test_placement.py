"""Where delivery entries begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tracekeeper_sidecar.forward.placement import place
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor
from tracekeeper_sidecar.model import Position

BEGIN, MIDDLE, LATER, END = (Position(segment, 64, 100 * segment) for segment in (1, 2, 3, 4))


def placed(
    wanted: list[str],
    known: Mapping[str, Position | None],
    former: Mapping[str, Cursor] | None = None,
    begin: Position = BEGIN,
) -> dict[str, Position]:
    """Where entries begin; a name with a `+` asks for the oldest spans."""
    cursors = {name: Cursor(at, Account(start=at.seq)) if at else None for name, at in known.items()}
    found = place([(name.strip("+"), name.endswith("+")) for name in wanted], cursors, former or {}, begin, END)
    for cursor in found.values():
        settled = sum(length for _, length in cursor.acked)
        assert cursor.account.start + cursor.account.settled() == cursor.position.seq + settled
    return {name: cursor.position for name, cursor in found.items()}


def test_the_very_first_entries_get_everything() -> None:
    assert placed(["a", "b"], {}) == {"a": BEGIN, "b": BEGIN}


def test_known_entries_go_on_where_they_were_and_new_ones_begin_at_the_end() -> None:
    assert placed(["a", "b"], {"a": MIDDLE}) == {"a": MIDDLE, "b": END}


def test_when_all_are_replaced_the_new_ones_take_over_what_was_pending() -> None:
    assert placed(["c"], {"a": LATER, "b": MIDDLE}) == {"c": MIDDLE}


def test_a_new_entry_takes_over_from_those_that_go_while_others_stay() -> None:
    assert placed(["c", "a2"], {"a": MIDDLE, "b": LATER, "c": BEGIN}) == {"c": BEGIN, "a2": MIDDLE}


def test_nothing_is_taken_over_that_the_log_no_longer_has() -> None:
    assert placed(["b"], {"a": BEGIN}, begin=MIDDLE) == {"b": MIDDLE}


def test_a_damaged_cursor_sends_again() -> None:
    assert placed(["a"], {"a": None}) == {"a": BEGIN}


def test_a_cursor_ahead_of_the_log_waits_at_its_end() -> None:
    assert placed(["a"], {"a": Position(9, 64, 10_000)}) == {"a": END}


def test_what_was_settled_beyond_the_end_of_the_log_is_not_claimed() -> None:
    cursor = Cursor(LATER, Account(start=0, delivered=Counter(one=350)), ((50, 80),))
    assert place([("a", False)], {"a": cursor}, {}, BEGIN, END)["a"] == Cursor(END, Account(start=END.seq))


def test_an_entry_that_asks_for_the_oldest_spans_gets_them() -> None:
    assert placed(["a", "b+"], {"a": LATER}) == {"a": LATER, "b": BEGIN}


def test_the_wish_for_the_oldest_spans_moves_no_entry_that_is_there() -> None:
    assert placed(["a+"], {"a": LATER}) == {"a": LATER}


def test_an_entry_that_comes_back_for_the_oldest_spans_repeats_none() -> None:
    tombstone = Cursor(MIDDLE, Account(start=0, delivered=Counter(one=220)), ((30, 20),), removed=5.0)
    found = place(
        [("a", True), ("b", False)], {"b": Cursor(LATER, Account(start=LATER.seq))}, {"a": tombstone}, BEGIN, END
    )
    assert found["a"] == Cursor(MIDDLE, Account(start=MIDDLE.seq + 20), ((30, 20),))
    assert placed(["a", "b"], {"b": LATER}, {"a": tombstone}) == {"a": END, "b": LATER}


def test_a_tombstone_that_the_log_has_left_behind_says_nothing() -> None:
    tombstone = Cursor(BEGIN, Account(), (), removed=5.0)
    assert placed(["a+"], {"b": LATER}, {"a": tombstone}, begin=MIDDLE) == {"a": MIDDLE}
