"""Requests with prices written into them: which number stands there, where it comes from, what is left as it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import otlp_requests
from condition_cases import requests
from priced_requests import (
    CALL,
    COST,
    DOLLARS,
    NOW,
    REPORTED,
    ROOT,
    SOURCE,
    SUM,
    UNKNOWN,
    WHICH,
    WHOLE,
    body,
    priced,
    pricer,
    said,
    span,
    spans_of,
)
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.price.tariff import Usage
from tracekeeper_sidecar.wire import pricing
from tracekeeper_sidecar.wire.pricing import ASKS, IDLE
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_spec.price import NO_PRICE, Price, PriceOverride, ServiceTier

FAMILIES = ("cost", "unpriced_calls")


def test_a_call_gets_what_the_book_says() -> None:
    assert priced(CALL) == [{COST: DOLLARS, SOURCE: "computed"}]


def test_a_request_without_calls_is_given_back_as_it_came() -> None:
    data = body(span({"http.route": "/"}), span({"gen_ai.operation.name": "execute_tool"}, 2), span(ROOT, 3, root=True))
    assert pricer().price(data, NOW) is data


@pytest.mark.parametrize(
    ("also", "calls"),
    [
        ({"gen_ai.operation.name": "embeddings"}, True),
        ({"gen_ai.operation.name": "invoke_agent"}, False),
        ({"gen_ai.operation.name": "framework", "tracekeeper.kind": "pipeline"}, False),
        ({"gen_ai.operation.name": "responses", "tracekeeper.kind": "llm"}, True),
        ({"tracekeeper.usage.repeated": True}, False),
        ({"tracekeeper.usage.repeated": False}, True),
    ],
)
def test_what_calls_a_model_is_priced_and_nothing_else(also: dict[str, Any], calls: bool) -> None:
    assert bool(priced(CALL | also)[0]) == calls


@pytest.mark.parametrize(
    "reported",
    [
        {COST: 0.5},
        {COST: "0.5"},
        {"llm.cost.total": 0.5},
        {"langfuse.observation.cost_details": '{"input": 0.1, "total": 0.5}'},
        {"langfuse.observation.cost_details": '{"input": 0.1, "output": 0.4}'},
        {"operation.cost": 0.5},
        {COST: -1.0, "llm.cost.total": 0.5},
    ],
)
def test_what_the_application_reports_goes_before_the_book(reported: dict[str, Any]) -> None:
    found = priced(CALL | reported)[0]
    assert (found[COST], found[SOURCE]) == (0.5, "reported")
    assert WHICH not in found


def test_a_number_that_is_right_already_stays_where_it_is() -> None:
    data = body(span(CALL | {COST: 0.5}))
    (found,) = spans_of(pricer().price(data, NOW))
    assert list(said(found))[-2:] == [COST, SOURCE]


def test_an_override_goes_before_what_is_reported_which_is_kept() -> None:
    own = Price((PriceOverride("gpt-4o", "1", "2"),))
    expected = {COST: 0.00102, SOURCE: "own", WHICH: "override 1/2"}
    assert priced(CALL, by=pricer(own)) == [expected]
    assert priced(CALL | {COST: 0.5}, by=pricer(own)) == [expected | {REPORTED: 0.5}]
    assert priced(CALL | {COST: "0.5"}, by=pricer(own)) == [expected | {REPORTED: "0.5"}]
    assert priced(CALL | {"llm.cost.total": 0.5}, by=pricer(own)) == [expected | {REPORTED: 0.5}]


def test_unknown_is_a_state_and_never_a_number() -> None:
    assert priced(CALL | {"gen_ai.request.model": "house-model"}) == [{SOURCE: "unknown"}]
    assert priced(CALL | {"gen_ai.usage.input_tokens": -5}) == [{SOURCE: "unknown"}]
    assert priced({"gen_ai.operation.name": "chat"}) == [{SOURCE: "unknown"}]
    # Where a library knows no price it may write a zero.
    assert priced(CALL | {"gen_ai.request.model": "house-model", COST: 0}) == [{SOURCE: "unknown", REPORTED: 0}]


def test_a_reported_zero_is_one_only_where_no_tokens_were_used() -> None:
    assert priced(CALL | {COST: 0.0}) == [{COST: DOLLARS, SOURCE: "computed", REPORTED: 0.0}]
    assert priced({"gen_ai.operation.name": "chat", COST: 0.0}) == [{COST: 0.0, SOURCE: "reported"}]


@pytest.mark.parametrize("absurd", [-1.0, math.nan, math.inf, 1e6 + 1, 10**9, -1, "much", "nan", "", "1_0", True])
def test_a_cost_that_cannot_be_is_not_believed_and_kept_as_it_came(absurd: Any) -> None:
    by = pricer()
    (found,) = priced(CALL | {COST: absurd}, by=by)
    kept = found.pop(REPORTED)
    assert kept == absurd or math.isnan(kept)
    assert found == {COST: DOLLARS, SOURCE: "computed"}
    assert by.ignored == 1


@pytest.mark.parametrize(
    "details", ["", "{", "[1]", '{"total": "1"}', '{"total": -1}', "{}", "[" * 3000, '{"a": 1e999}']
)
def test_details_that_are_none_are_not_believed(details: str) -> None:
    assert priced(CALL | {"langfuse.observation.cost_details": details})[0][SOURCE] == "computed"


@pytest.mark.parametrize("tier", ["default", "auto", "standard"])
def test_the_standard_tier_has_the_price_of_the_book(tier: str) -> None:
    assert priced(CALL | {"openai.response.service_tier": tier})[0][COST] == DOLLARS


@pytest.mark.parametrize(
    "told",
    [
        {"openai.response.service_tier": "batch"},
        {"tracekeeper.service_tier": "Batch", "openai.request.service_tier": "x"},
    ],
)
def test_another_tier_has_the_price_that_the_config_says(told: dict[str, Any]) -> None:
    half = Price(service_tiers=(ServiceTier("batch", "0.5"),))
    whole = Price((PriceOverride("gpt-4o", "1", "2", service_tier="batch"), PriceOverride("gpt-4o", "9", "9")))
    assert priced(CALL | told) == [{SOURCE: "unknown"}]
    text = WHOLE.replace("2.5/10 cache_read=1.25", "batch 1.25/5 cache_read=0.625")
    assert priced(CALL | told, by=pricer(half)) == [{COST: DOLLARS / 2, SOURCE: "computed", WHICH: text}]
    assert priced(CALL | told, by=pricer(whole)) == [{COST: 0.00102, SOURCE: "own", WHICH: "override batch 1/2"}]
    assert priced(CALL, by=pricer(half))[0][COST] == DOLLARS


def test_what_was_priced_before_is_not_priced_anew() -> None:
    data = body(span(CALL), span(CALL | {"gen_ai.request.model": "house-model"}, 2), span(ROOT, 3, root=True))
    once = pricer().price(data, NOW)
    other = pricer(Price((PriceOverride("another", "9", "9"),)))
    assert other.price(once, NOW) is once
    assert other.before == 2


def test_a_source_without_its_number_is_written_anew() -> None:
    assert priced(CALL | {SOURCE: "computed", WHICH: "x"}) == [{COST: DOLLARS, SOURCE: "computed"}]
    assert priced(CALL | {SOURCE: "guessed", COST: 0.5}) == [{SOURCE: "reported", COST: 0.5}]


def sums(data: bytes) -> list[tuple[float | None, int | None]]:
    return [(each.get(SUM), each.get(UNKNOWN)) for each in map(said, spans_of(data))]


def test_the_root_has_the_sum_of_its_trace() -> None:
    by = pricer()
    strange = CALL | {"gen_ai.request.model": "house-model"}
    by.price(body(span(CALL, 1), span(CALL, 2), span(CALL, 3, trace=b"u" * 16)), NOW)
    found = by.price(body(span(ROOT, 9, root=True), span(strange, 4), span(CALL, 5)), NOW)
    assert sums(found) == [(3 * DOLLARS, 1), (None, None), (None, None)]
    look(found)


def test_a_root_whose_calls_are_all_unknown_has_no_number() -> None:
    strange = CALL | {"gen_ai.request.model": "house-model"}
    found = pricer().price(body(*(span(strange, number) for number in range(1, 301)), span(ROOT, 999, root=True)), NOW)
    assert sums(found)[-1] == (None, 300)


def test_a_call_that_is_its_own_root_and_one_below_a_remote_parent() -> None:
    remote = span(CALL, 2, trace=b"r" * 16)
    remote.flags = 0x300
    assert sums(pricer().price(body(span(CALL, 1, root=True), remote), NOW)) == [(DOLLARS, None)] * 2


def test_a_request_that_comes_again_is_added_up_once() -> None:
    by, data = pricer(), body(span(CALL, 1), span(ROOT, 9, root=True))
    assert by.price(data, NOW) == by.price(data, NOW)
    assert sums(by.price(data, NOW))[-1] == (DOLLARS, None)


def test_sums_go_on_when_prices_are_read_anew() -> None:
    before, after = pricer(), pricer(Price((PriceOverride("gpt-4o", "1", "2"),)))
    before.price(body(span(CALL, 1)), NOW)
    after.keep(before)
    cost, unknown = sums(after.price(body(span(CALL, 2), span(ROOT, 9, root=True)), NOW))[-1]
    assert cost == pytest.approx(0.00362)
    assert unknown is None
    assert (after.computed, after.own) == (1, 1)


def test_sums_are_forgotten_when_nothing_has_come_for_long() -> None:
    by = pricer()
    by.price(body(span(CALL, 1)), NOW * 10**9)
    assert by.traces == 1
    late = by.price(body(span(ROOT, 9, root=True)), (NOW + IDLE + 61) * 10**9)
    assert (sums(late), by.traces) == ([(None, None)], 0)


def test_traces_without_end_take_no_more_room_than_there_is() -> None:
    by = pricer()
    for first in range(0, pricing.MOST_TRACES + 1000, 500):
        by.price(body(*(span(CALL, 1, trace=(first + at).to_bytes(16)) for at in range(1, 501))), NOW * 10**9)
    assert by.traces == pricing.MOST_TRACES
    assert by.forgotten == 1000


def test_models_that_are_made_up_hold_nobody_up() -> None:
    by = pricer()
    made_up = [CALL | {"gen_ai.request.model": f"made-up-{number}"} for number in range(3 * ASKS)]
    found = priced(*made_up, by=by)
    assert [each.get(SOURCE) for each in found] == ["unknown"] * ASKS + [None] * 2 * ASKS
    assert (by.unknown, by.left) == (ASKS, 2 * ASKS)
    assert priced(CALL, by=by)[0][COST] == DOLLARS


def test_what_a_span_had_is_still_there() -> None:
    data = body(*(span(CALL | {"k" * number: "x" * number}, number) for number in range(1, 400)))
    before, after = spans_of(data), spans_of(pricer().price(data, NOW))
    for old, new in zip(before, after, strict=True):
        del new.attributes[-2:]
        assert old == new


NUMBER = st.one_of(st.none(), st.integers(-5, 200_000), st.just(2 * 10**9), st.floats(), st.just("7"))
MODELS = ["gpt-4o", "gpt-4o-mini", "gemini-2.5-pro", "claude-sonnet-4-5", "house-model"]


@st.composite
def call(draw: st.DrawFn) -> dict[str, Any]:
    names = ["input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens", "cost"]
    found: dict[str, Any] = {f"gen_ai.usage.{name}": draw(NUMBER) for name in names}
    found |= {"gen_ai.operation.name": draw(st.sampled_from(["chat", "embeddings", "invoke_agent"]))}
    found |= {
        "gen_ai.request.model": draw(st.sampled_from(MODELS)),
        "gen_ai.provider.name": draw(st.sampled_from(["", "openai"])),
    }
    if draw(st.booleans()):
        found |= {SOURCE: draw(st.sampled_from(["own", "computed", "unknown", "odd"]))}
    return {name: value for name, value in found.items() if value is not None}


@settings(otlp_requests.property_test, max_examples=300)
@given(calls=st.lists(call(), max_size=6), overridden=st.booleans())
def test_roots_agree_with_spans_and_the_meter_with_both(calls: Sequence[dict[str, Any]], overridden: bool) -> None:
    price = Price((PriceOverride("gpt-4o*", "1.23", "4.56"),)) if overridden else NO_PRICE
    data = body(*(span(each, number) for number, each in enumerate(calls, 1)), span(ROOT, 99, root=True))
    once = pricer(price).price(data, NOW * 10**9)
    look(once)
    assert pricer().price(once, NOW * 10**9) is once
    *found, root = map(said, spans_of(once))
    models = [each for each in found if each["gen_ai.operation.name"] != "invoke_agent"]
    unknown = sum(each[SOURCE] == "unknown" for each in models)
    nano = [round(each[COST] * 1e9) for each in models if each[SOURCE] != "unknown"]
    assert root.get(SUM) == (sum(nano) / 1e9 if nano else None)
    assert root.get(UNKNOWN) == (unknown or None)
    assert counted(once) == (sum(nano), unknown)


@settings(otlp_requests.property_test, max_examples=200)
@given(bodies=st.lists(requests(), max_size=3))
def test_any_request_is_one_afterwards(bodies: list[bytes]) -> None:
    by = pricer()
    for data in bodies:
        look(data)
        found = by.price(data, NOW * 10**9)
        assert look(found).spans == look(data).spans
        assert by.price(found, NOW * 10**9) is found


def counted(data: bytes) -> tuple[int, int]:
    """Nanodollars, and calls without a price, as the meter counts them; and as it tells who asks for budgets."""
    tally, told = Tally(tables.make(), Tariffs(asking(Prices())), 1), [0, 0]

    def note(at: float, agent: int, model: int, names: object, nano: int, tokens: int, unpriced: int) -> None:
        told[0] += nano
        told[1] += unpriced

    tally.tell(note)
    tally.take(data, NOW * 1000)
    tally.settle(NOW * 1000, True)
    rows = [[family.numbers(row)[0] for row in family.rows()] for family in map(tally.families.__getitem__, FAMILIES)]
    found = [sum(each) for each in rows]
    assert found == told
    return told[0], told[1]


def test_the_meter_counts_what_spans_say_and_else_what_it_computes() -> None:
    assert counted(body(span(CALL))) == (2_600_000, 0)
    assert counted(body(span(CALL | {SOURCE: "own", COST: 0.5}))) == (500_000_000, 0)
    assert counted(body(span(CALL | {SOURCE: "unknown", "gen_ai.request.model": "house-model"}))) == (0, 1)
    # Nobody is to say without a number that the meter does not know it, nor that tokens cost nothing.
    assert counted(body(span(CALL | {SOURCE: "unknown"}))) == (2_600_000, 0)
    assert counted(body(span(CALL | {SOURCE: "own", COST: 0.0}))) == (2_600_000, 0)
    assert counted(body(span({"gen_ai.operation.name": "chat", SOURCE: "own", COST: 0.0}))) == (0, 0)
    assert counted(body(span(CALL | {SOURCE: "computed", COST: -1.0}))) == (2_600_000, 0)
    assert counted(body(span(CALL | {COST: 0.5}))) == (2_600_000, 0)
    assert counted(body(span(CALL | {"tracekeeper.usage.repeated": True}))) == (0, 0)


@pytest.mark.parametrize("nano", [1, 999, 2_600_000, 123_456_789_012_345, 10**15 - 1, 10**15])
def test_every_number_of_nanodollars_comes_back_from_a_double(nano: int) -> None:
    assert counted(body(span(CALL | {SOURCE: "reported", COST: nano / 1e9}))) == (nano, 0)


def test_costs_are_those_of_the_tariff() -> None:
    prices, by = Prices(), pricer()
    for model in MODELS[:4]:
        for read in (0, 500):
            usage = Usage(250_000, 1_000, read)
            told = {
                "gen_ai.usage.input_tokens": usage.input,
                "gen_ai.usage.output_tokens": usage.output,
                "gen_ai.usage.cache_read.input_tokens": read,
            }
            (found,) = priced(CALL | told | {"gen_ai.provider.name": "", "gen_ai.request.model": model}, by=by)
            tariff = prices.tariff("", model, NOW)
            assert tariff is not None
            assert round(found[COST] * 1e9) == tariff.cost(usage)
