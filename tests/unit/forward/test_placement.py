"""Where delivery entries begin."""

from __future__ import annotations

from tracekeeper_sidecar.forward.placement import first_positions
from tracekeeper_sidecar.model import Position

BEGIN, MIDDLE, LATER, END = (Position(segment, 64, 100 * segment) for segment in (1, 2, 3, 4))


def test_the_very_first_entries_get_everything() -> None:
    assert first_positions(["a", "b"], {}, BEGIN, END) == {"a": BEGIN, "b": BEGIN}


def test_known_entries_go_on_where_they_were_and_new_ones_begin_at_the_end() -> None:
    assert first_positions(["a", "b"], {"a": MIDDLE}, BEGIN, END) == {"a": MIDDLE, "b": END}


def test_when_all_are_replaced_the_new_ones_take_over_what_was_pending() -> None:
    assert first_positions(["c"], {"a": LATER, "b": MIDDLE}, BEGIN, END) == {"c": MIDDLE}


def test_a_new_entry_takes_over_from_those_that_go_while_others_stay() -> None:
    known = {"a": MIDDLE, "b": LATER, "c": BEGIN}
    assert first_positions(["c", "a2"], known, BEGIN, END) == {"c": BEGIN, "a2": MIDDLE}


def test_nothing_is_taken_over_that_the_log_no_longer_has() -> None:
    assert first_positions(["b"], {"a": BEGIN}, MIDDLE, END) == {"b": MIDDLE}


def test_a_damaged_cursor_sends_again() -> None:
    assert first_positions(["a"], {"a": None}, BEGIN, END) == {"a": BEGIN}


def test_a_cursor_ahead_of_the_log_waits_at_its_end() -> None:
    ahead = Position(9, 64, 10_000)
    assert first_positions(["a"], {"a": ahead}, BEGIN, END) == {"a": END}
