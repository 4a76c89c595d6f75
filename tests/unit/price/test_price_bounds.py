"""Calls that are odd: names beyond all bounds, times that cannot be, tokens under two names, sums without end."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from priced_requests import (
    BOOK,
    CALL,
    COST,
    DOLLARS,
    NOW,
    ROOT,
    SOURCE,
    SUM,
    UNKNOWN,
    WHICH,
    WHOLE,
    body,
    books_of,
    dollars,
    priced,
    pricer,
    said,
    span,
    spans_of,
)
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.pricing import ASKS, MOST_ASKS, Pricer
from tracekeeper_sidecar.wire.rows import Births, Family
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.tariffs import MOST, Tariffs
from tracekeeper_sidecar.wire.varint import delimited
from tracekeeper_spec.price import Price, PriceOverride

GREATEST = (2**63 - 1) / 1e9
LATER = Price((PriceOverride("gpt-4o", "1", "2", from_="2026-01-01"),))
"""A price that does not hold in 1970."""


def test_the_sum_of_a_trace_goes_no_further_than_it_can() -> None:
    by, dear = pricer(), CALL | {COST: 1e6}
    for first in range(0, 19_000, 500):
        by.price(body(*(span(dear, first + number) for number in range(1, 501))), NOW * 10**9)
    *_, root = map(said, spans_of(by.price(body(span(ROOT, 99_999, root=True)), NOW * 10**9)))
    assert root[SUM] == GREATEST


def test_a_counter_goes_no_further_than_it_can() -> None:
    family = Family(1, Births())
    for _ in range(3):
        family.add(2, 2**63, 1)
    (row,) = family.rows()
    assert family.numbers(row) == [2**64 - 1]


def test_a_provider_whose_name_is_too_long_has_no_price_of_the_book() -> None:
    by, odd = pricer(), CALL | {"gen_ai.provider.name": "p" * 300}
    assert priced(odd, odd | {COST: 0.5}, by=by) == [{SOURCE: "unknown"}, {COST: 0.5, SOURCE: "reported"}]
    assert by.left == 0


def test_calls_that_are_left_are_unknown_to_the_root() -> None:
    calls = [CALL | {"gen_ai.request.model": f"made-up-{number}"} for number in range(ASKS + 5)]
    spans = [span(each, number) for number, each in enumerate(calls, 1)]
    by = pricer()
    *_, root = map(said, spans_of(by.price(body(*spans, span(ROOT, 999, root=True)), NOW * 10**9)))
    assert (by.left, root[UNKNOWN]) == (5, ASKS + 5)


def test_known_models_at_other_times_keep_no_new_one_from_its_price() -> None:
    by, spans = pricer(LATER), []
    for number in range(ASKS + 5):
        spans.append(span(CALL, number + 1))
        spans[-1].end_time_unix_nano = (NOW - 900 * number) * 10**9
    spans.append(span(CALL | {"gen_ai.request.model": "gpt-4o-mini"}, 999))
    *_, last = map(said, spans_of(by.price(body(*spans), NOW * 10**9)))
    assert last[SOURCE] == "computed"


def at_quarters(*quarters: int) -> bytes:
    """Calls that have ended so many quarters of an hour ago."""
    spans = [span(CALL, number) for number in range(1, len(quarters) + 1)]
    for one, quarter in zip(spans, quarters, strict=True):
        one.end_time_unix_nano = (NOW - 900 * quarter) * 10**9
    return body(*spans)


def test_calls_of_two_quarters_of_an_hour_by_turns_are_asked_for_once_each() -> None:
    tariffs = Tariffs(asking(Prices(LATER)))
    by = Pricer(tariffs, 7)
    found = by.price(at_quarters(*[0, 1] * 500), NOW * 10**9)
    assert {said(each)[COST] for each in spans_of(found)} == {0.00102}
    assert tariffs.asked == 2


def test_no_request_asks_for_more_than_so_many_prices() -> None:
    tariffs = Tariffs(asking(Prices(LATER)))
    by = Pricer(tariffs, 7)
    by.price(at_quarters(*range(2 * MOST_ASKS)), NOW * 10**9)
    assert (by.own, by.left, tariffs.asked) == (MOST_ASKS, MOST_ASKS, MOST_ASKS)


def test_prices_of_days_that_have_gone_leave_room_for_those_of_now() -> None:
    by = Pricer(Tariffs(asking(Prices(LATER))), 7)
    for first in range(0, MOST, 200):
        by.price(at_quarters(*range(first, first + 200)), NOW * 10**9)
    by.price(at_quarters(*[-2, -1] * 500), NOW * 10**9)
    assert (by.left, by.own) == (0, MOST + 1000)


@pytest.mark.parametrize("end", [0, (NOW + 86_400 * 2) * 10**9])
def test_a_call_whose_end_cannot_be_costs_what_it_does_now(end: int) -> None:
    made = span(CALL)
    made.end_time_unix_nano = end
    (found,) = map(said, spans_of(pricer(LATER).price(body(made), NOW * 10**9)))
    assert found[COST] == 0.00102
    assert dollars(body(made), price=LATER) == 0.00102


WRITE, CREATE = "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"


@pytest.mark.parametrize("written", [{WRITE: 900}, {CREATE: 0, WRITE: 900}, {WRITE: 900, CREATE: 0}])
def test_tokens_under_two_names_are_those_that_are_not_zero(written: dict[str, Any]) -> None:
    claude = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5"}
    assert priced(CALL | claude | written)[0][COST] == pytest.approx(0.0003 + 0.003375 + 0.00015)


def test_two_models_whose_names_begin_alike_have_each_its_price_in_the_meter() -> None:
    long = "m" * 128
    both = Price((PriceOverride(long + "-a", "1", "0"), PriceOverride(long + "-b", "3", "0")))
    calls = [CALL | {"gen_ai.request.model": long + end} for end in ("-a", "-b")]
    assert dollars(body(*(span(each, number) for number, each in enumerate(calls, 1))), price=both) == 0.004


def test_the_resource_says_the_book_once_for_all_its_calls() -> None:
    data = body(span(CALL), span(CALL, 2))
    once = pricer().price(data, NOW * 10**9)
    assert books_of(once) == [BOOK]
    assert len(once) - len(data) <= 2 * 73 + 40
    assert pricer().price(once, NOW * 10**9) is once


@pytest.mark.parametrize("call", [CALL | {COST: 0.5}, CALL | {"gen_ai.request.model": "house-model"}, {"x": "y"}])
def test_it_says_no_book_where_no_call_is_priced_by_it(call: dict[str, Any]) -> None:
    assert books_of(pricer().price(body(span(call)), NOW * 10**9)) == [None]


def test_calls_of_a_resource_that_names_another_book_say_their_price_themselves() -> None:
    once = pricer().price(body(span(CALL)), NOW * 10**9).replace(BOOK.encode(), b"2020-01-01")
    # What another book has priced stays; the call that comes to it is priced by ours.
    message = ExportTraceServiceRequest.FromString(once)
    message.resource_spans[0].scope_spans[0].spans.append(span(CALL, 2))
    after = pricer().price(message.SerializeToString(), NOW * 10**9)
    before, found = map(said, spans_of(after))
    assert (before[SOURCE], WHICH in before) == ("computed", False)
    assert (found[COST], found[SOURCE], found[WHICH]) == (DOLLARS, "computed", WHOLE)
    assert books_of(after) == ["2020-01-01"]


@pytest.mark.parametrize("order", ["no resource", "resource last"])
def test_a_resource_that_is_not_there_yet_is_made(order: str) -> None:
    message = ExportTraceServiceRequest.FromString(body(span(CALL))).resource_spans[0]
    resource = delimited(1, message.resource.SerializeToString())
    message.ClearField("resource")
    data = delimited(1, message.SerializeToString() + (resource if order == "resource last" else b""))
    assert look(data).spans == 1
    after = pricer().price(data, NOW * 10**9)
    assert look(after).spans == 1
    assert books_of(after) == [BOOK]
    assert pricer().price(after, NOW * 10**9) is after
