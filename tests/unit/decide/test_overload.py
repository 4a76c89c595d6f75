"""Overload: entered at a bound, left only when all is well below it for a while, counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.decide.overload import Cause, Change, Deciding, Load, Overload, OverloadSettings

SETTINGS = OverloadSettings(open_traces=1000, bytes=64 << 20, lag=60.0, leave_below=0.7, leave_after=10.0)
LIGHT = Load(open_traces=10, bytes=1 << 20, lag=0.5)


def make() -> tuple[Overload, list[Change]]:
    changes: list[Change] = []
    return Overload(SETTINGS, 0.0, changes.append), changes


@pytest.mark.parametrize(
    ("load", "cause", "words"),
    [
        (replace(LIGHT, open_traces=1000), Cause.TRACES, "1,000 traces wait for their decision, the bound is 1,000"),
        (replace(LIGHT, bytes=65 << 20), Cause.BYTES, "open traces take 65 MiB, the bound is 64 MiB"),
        (replace(LIGHT, lag=61.0), Cause.LAG, "sampling is 61 s behind, the bound is 60 s"),
    ],
)
def test_each_bound_is_entered_at_its_number(load: Load, cause: Cause, words: str) -> None:
    overload, changes = make()
    assert not overload.observe(1.0, LIGHT)
    assert overload.observe(2.0, load)
    assert overload.deciding is Deciding.BY_TRACE_ID
    assert overload.entered == {cause: 1}
    assert [(change.now, change.cause) for change in changes] == [(Deciding.BY_TRACE_ID, cause)]
    assert words in changes[0].reason


def test_just_below_the_bounds_nothing_happens() -> None:
    overload, changes = make()
    assert not overload.observe(1.0, Load(open_traces=999, bytes=(64 << 20) - 1, lag=59.9))
    assert not changes


def test_left_after_a_calm_time_and_not_before() -> None:
    overload, changes = make()
    overload.observe(1.0, replace(LIGHT, lag=90.0))
    assert overload.observe(2.0, LIGHT)
    assert overload.observe(11.9, LIGHT)
    assert not overload.observe(12.0, LIGHT)
    assert changes[-1].now is Deciding.WHOLE
    assert "rules hold again" in changes[-1].reason
    assert overload.seconds == pytest.approx(11.0)


def test_between_the_marks_the_state_stays_and_the_calm_begins_anew() -> None:
    overload, _ = make()
    between = replace(LIGHT, open_traces=800)
    assert not overload.observe(0.5, between)
    overload.observe(1.0, replace(LIGHT, open_traces=2000))
    overload.observe(2.0, LIGHT)
    assert overload.observe(9.0, between)
    assert overload.observe(10.0, LIGHT)
    assert overload.observe(19.9, LIGHT)
    assert not overload.observe(20.0, LIGHT)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    overload, _ = make()
    overload.observe(100.0, replace(LIGHT, lag=90.0))
    overload.observe(50.0, LIGHT)
    assert overload.seconds == 0.0
    assert overload.observe(105.0, LIGHT)
    assert not overload.observe(110.0, LIGHT)


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.0, 120.0)), max_size=80))
def test_never_leaves_with_a_load_near_its_bound_and_never_stays_out_above_it(steps: list[tuple[float, float]]) -> None:
    overload, changes = make()
    now, calm = 0.0, 0.0
    for wait, lag in steps:
        now += wait
        before = len(changes)
        active = overload.observe(now, replace(LIGHT, lag=lag))
        assert active or lag < SETTINGS.lag
        calm = calm + wait if lag < SETTINGS.leave_below * SETTINGS.lag else 0.0
        if len(changes) > before and not active:
            assert calm >= SETTINGS.leave_after
    kinds = [change.now for change in changes]
    assert kinds == [Deciding.BY_TRACE_ID, Deciding.WHOLE] * (len(kinds) // 2) + [Deciding.BY_TRACE_ID] * (
        len(kinds) % 2
    )
