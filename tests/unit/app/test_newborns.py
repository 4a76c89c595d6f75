"""New rows are 0 once for every scraper, then true for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from log_harness import ManualClock
from tracekeeper_sidecar.admin.exposition import counted
from tracekeeper_sidecar.admin.newborn import FORGOTTEN_AFTER, LONGEST, MOST_SCRAPERS, STEP, Newborns
from tracekeeper_sidecar.meter.families import REQUEST_CALLS_HIGHEST, REQUEST_DURATION, REQUESTS
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram, Reading, Row

A, B = "10.0.0.1", "10.0.0.2"


def test_both_of_two_scrapers_see_a_row_rise_from_0() -> None:
    newborns = Newborns(ManualClock())
    assert newborns.shown_to(A, 0) == newborns.shown_to(B, 0) == 0
    assert [newborns.shown_to(each, 1) for each in (A, B, A, B)] == [0, 0, 1, 1]


def test_who_comes_later_sees_0_of_what_others_have_not_seen_either() -> None:
    newborns = Newborns(ManualClock())
    assert newborns.shown_to(A, 1) == 0
    assert newborns.shown_to(B, 1) == 0
    assert newborns.shown_to(A, 1) == 1


def test_nobody_waits_long_for_a_scraper_that_does_not_come() -> None:
    clock = ManualClock()
    newborns = Newborns(clock)
    newborns.shown_to(B, 0)
    assert newborns.shown_to(A, 1) == 0
    clock.advance(LONGEST - 1)
    assert newborns.shown_to(A, 1) == 0
    clock.advance(1)
    assert newborns.shown_to(A, 2) == 1, "the row that is new now is 0"


def test_who_is_gone_is_not_waited_for() -> None:
    clock = ManualClock()
    newborns = Newborns(clock)
    newborns.shown_to(B, 0)
    clock.advance(FORGOTTEN_AFTER)
    assert [newborns.shown_to(A, 5), newborns.shown_to(A, 5)] == [0, 5]


def test_a_person_is_told_the_truth_and_changes_nothing() -> None:
    newborns = Newborns(ManualClock())
    assert newborns.shown_to(A, 0) == 0
    assert newborns.shown_to("", 3) == 3
    assert newborns.shown_to(A, 3) == 0


def test_at_the_end_everything_is_shown() -> None:
    newborns = Newborns(ManualClock())
    newborns.end()
    assert newborns.shown_to(A, 3) == 3


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["birth", "count"]),
        st.integers(min_value=0, max_value=MOST_SCRAPERS - 1),
        st.floats(min_value=0.1, max_value=80.0),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_whatever_the_order_no_count_falls_and_every_scraper_sees_it_begin_at_0(
    steps: list[str | int | float],
) -> None:
    clock = ManualClock()
    newborns, counts, born_at = Newborns(clock), dict[int, int](), dict[int, float]()
    seen: dict[int, dict[int, list[int]]] = {scraper: {} for scraper in range(MOST_SCRAPERS)}
    last = dict.fromkeys(seen, clock.time)
    for scraper in seen:
        newborns.shown_to(str(scraper), 0)
    for step in steps:
        if isinstance(step, float):
            clock.advance(step)
        elif step == "birth":
            counts[len(counts) + 1] = 1
            born_at[len(counts)] = clock.time
        elif step == "count":
            counts = {row: count + 1 for row, count in counts.items()}
        elif isinstance(step, int):
            last[step] = clock.time
            shown = newborns.shown_to(str(step), max(counts, default=0))
            for row, count in counts.items():
                seen[step].setdefault(row, []).append(count if row <= shown else 0)
    for scraper, rows in seen.items():
        for row, values in rows.items():
            assert values == sorted(values)
            if max(last.values()) - born_at[row] < LONGEST - STEP:
                assert values[0] == 0, f"scraper {scraper} saw row {row} begin at {values[0]}"


def test_only_what_counts_is_0_at_first() -> None:
    exemplar = Exemplar(b"t" * 16, b"s" * 8, 0.1, 1.0)
    counts = (1, *[0] * len(REQUEST_DURATION.bounds))
    histogram = Histogram(counts, 0.001, (exemplar, *[None] * len(REQUEST_DURATION.bounds)))
    reading = Reading(
        {
            REQUESTS: (Row(("", "s", "old", "", "ok", ""), 7, 0), Row(("", "s", "new", "", "ok", ""), 1, 3)),
            REQUEST_CALLS_HIGHEST: (Row(("", "s", "new", ""), 147, 2),),
            REQUEST_DURATION: (Row(("", "s", "new", ""), histogram, 1),),
        }
    )
    first = {metric: [value for _, value in rows] for metric, rows in counted(reading, 0)}
    assert first == {
        REQUESTS: [7, 0],
        REQUEST_CALLS_HIGHEST: [147],
        REQUEST_DURATION: [Histogram((0,) * len(counts), 0.0, ())],
    }
    then = {metric: [value for _, value in rows] for metric, rows in counted(reading, 3)}
    assert then == {REQUESTS: [7, 1], REQUEST_CALLS_HIGHEST: [147], REQUEST_DURATION: [histogram]}
