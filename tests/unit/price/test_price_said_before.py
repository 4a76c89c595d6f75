"""What spans say of their price before the step sees them: another Tracekeeper's word, and an application's."""

from __future__ import annotations

from typing import Any

import pytest

from priced_requests import (
    CALL,
    COST,
    DOLLARS,
    NOW,
    REPORTED,
    ROOT,
    SOURCE,
    SUM,
    WHICH,
    body,
    dollars,
    priced,
    pricer,
    said,
    span,
    spans_of,
)
from tracekeeper_spec.price import Price, PriceOverride

OWN = Price((PriceOverride("gpt-4o", "1", "2"),))
PAID = {COST: 0.00102, SOURCE: "own", WHICH: "override 1/2"}
"""What the call costs by it."""


@pytest.mark.parametrize("source", ["own", "reported", "computed"])
@pytest.mark.parametrize("written", [0.0, 1e-6, 0.5])
def test_an_override_goes_before_what_came_whoever_is_said_to_have_written_it(source: str, written: float) -> None:
    by = pricer(OWN)
    reported = {REPORTED: written} if source == "reported" else {}
    assert priced(CALL | {COST: written, SOURCE: source}, by=by) == [PAID | reported]
    assert (by.own, by.before) == (1, 0)


def test_an_override_goes_before_a_price_that_is_said_to_be_unknown() -> None:
    assert priced(CALL | {SOURCE: "unknown"}, by=pricer(OWN)) == [PAID]


def test_what_the_application_reported_first_stays_when_its_price_is_replaced_again() -> None:
    before = CALL | {COST: 0.5, SOURCE: "own", REPORTED: 0.25}
    assert priced(before, by=pricer(OWN)) == [PAID | {REPORTED: 0.25}]


def test_a_call_that_the_same_override_has_priced_stays_as_it_is() -> None:
    by = pricer(OWN)
    once = by.price(body(span(CALL | {COST: 0.5})), NOW * 10**9)
    assert by.price(once, NOW * 10**9) is once
    assert (by.own, by.before) == (1, 1)


@pytest.mark.parametrize("source", ["own", "reported", "computed"])
def test_a_zero_for_tokens_is_no_price_whoever_is_said_to_have_written_it(source: str) -> None:
    reported = {REPORTED: 0.0} if source == "reported" else {}
    assert priced(CALL | {COST: 0.0, SOURCE: source}) == [{COST: DOLLARS, SOURCE: "computed"} | reported]


@pytest.mark.parametrize("written", [0.0, -1.0, "a lot", "0", 0])
def test_where_an_override_goes_before_them_the_report_that_counts_is_kept(written: float | str) -> None:
    assert priced(CALL | {COST: written, "llm.cost.total": 0.5}, by=pricer(OWN)) == [PAID | {REPORTED: 0.5}]
    assert priced(CALL | {COST: 0.25, "llm.cost.total": 0.5}, by=pricer(OWN)) == [PAID | {REPORTED: 0.25}]
    assert priced(CALL | {COST: written}, by=pricer(OWN)) == [PAID | {REPORTED: written}]


def test_an_override_of_zero_is_believed_by_the_tracekeeper_that_the_span_goes_through_next() -> None:
    free = pricer(Price((PriceOverride("gpt-4o", "0", "0"),)))
    once = free.price(body(span(CALL | {COST: 0.5})), NOW * 10**9)
    (found,) = map(said, spans_of(once))
    assert found == found | {COST: 0.0, SOURCE: "own", WHICH: "override 0/0", REPORTED: 0.5}
    assert pricer().price(once, NOW * 10**9) is once
    assert dollars(once) == 0.0


def test_a_price_that_is_said_to_be_unknown_is_looked_up_here_too() -> None:
    assert priced(CALL | {SOURCE: "unknown"}) == [{COST: DOLLARS, SOURCE: "computed"}]


@pytest.mark.parametrize(
    "free",
    [
        CALL | {"gen_ai.provider.name": "ollama", "gen_ai.request.model": "llama3"},
        {"gen_ai.operation.name": "chat", COST: 0.0},
        CALL | {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0},
    ],
)
def test_what_costs_nothing_stays_so(free: dict[str, Any]) -> None:
    by = pricer()
    once = by.price(body(span(free)), NOW * 10**9)
    (found,) = map(said, spans_of(once))
    assert found[COST] == 0.0
    assert by.price(once, NOW * 10**9) is once


@pytest.mark.parametrize("zero", [{COST: 0.0}, {COST: 0}, {"llm.cost.total": 0.0}])
def test_a_zero_hides_no_price_that_is_reported_by_another_name(zero: dict[str, Any]) -> None:
    (found,) = priced(CALL | zero | {"operation.cost": 0.5})
    assert (found[COST], found[SOURCE]) == (0.5, "reported")


def test_a_root_adds_up_what_stands_on_its_spans_and_not_what_stood_there() -> None:
    data = body(span(CALL | {COST: 0.0, SOURCE: "own"}), span(ROOT, 9, root=True))
    *_, root = map(said, spans_of(pricer(OWN).price(data, NOW * 10**9)))
    assert root[SUM] == 0.00102


def twice(said_of_it: dict[str, Any], also: tuple[str, float | str]) -> bytes:
    """A request of a call that says one thing a second time."""
    made = span(said_of_it)
    value = made.attributes.add(key=also[0]).value
    if isinstance(also[1], str):
        value.string_value = also[1]
    else:
        value.double_value = also[1]
    return body(made)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({COST: 0.5}, (COST, 9.9)),
        ({COST: "0.5"}, (COST, 9.9)),
        ({COST: 0.5, SOURCE: "reported"}, (COST, 9.9)),
        ({COST: 0.5, SOURCE: "own"}, (SOURCE, "reported")),
    ],
)
def test_of_two_costs_the_first_is_the_only_one_that_is_left(first: dict[str, Any], second: tuple[str, Any]) -> None:
    (found,) = spans_of(pricer().price(twice(CALL | first, second), NOW * 10**9))
    told = said(found)  # Which is each attribute once.
    assert (told[COST], told[SOURCE]) == (0.5, "reported")
