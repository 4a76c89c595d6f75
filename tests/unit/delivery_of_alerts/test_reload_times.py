"""When a program is told again to read its files."""

from __future__ import annotations

from tracekeeper_operator.alerts.reload import FIRST, MOST, PATIENCE, RARELY, Reload, called, is_due, taken, want


def test_new_content_is_offered_at_once_and_then_ever_less_often_until_it_is_taken() -> None:
    reload = want(None, "a", 100.0)
    assert is_due(reload, 100.0) and reload == want(reload, "a", 500.0)
    waits = []
    now = 100.0
    for _ in range(7):
        reload = called(reload, now)
        waits.append(reload.due - now)
        assert not is_due(reload, reload.due - 0.1) and is_due(reload, reload.due)
        now = reload.due
    assert waits == [FIRST, 10.0, 20.0, 40.0, MOST, MOST, MOST]
    late = called(reload, 100.0 + PATIENCE + 1)
    assert late.due == 101.0 + PATIENCE + RARELY
    assert not is_due(taken(late), 1e9)


def test_other_content_begins_anew() -> None:
    old = taken(called(Reload("a", 0.0, 0.0), 9000.0))
    new = want(old, "b", 9100.0)
    assert is_due(new, 9100.0) and called(new, 9100.0).due == 9100.0 + FIRST
