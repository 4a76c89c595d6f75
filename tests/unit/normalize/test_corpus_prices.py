"""What the corpus costs: by the book, and no call twice."""

from __future__ import annotations

from decimal import Decimal

import genai_prices
import pytest

from genai_corpus import Case, attributes, cases, normalizer, pricer, spans_of, through

ALL = cases()
NANO = Decimal("1e-9")


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_golden_costs_are_those_of_the_book(case: Case) -> None:
    for call in case.golden["served"]["calls"]:
        usage = genai_prices.Usage(
            input_tokens=call["input"],
            output_tokens=call["output"],
            cache_read_tokens=call["cache_read"],
            cache_write_tokens=call["cache_write"],
            input_audio_tokens=call["input_audio"],
            output_audio_tokens=call["output_audio"],
        )
        by_book = genai_prices.calc_price(usage, model_ref=call["model"], provider_id=call["provider"])
        assert Decimal(call["cost"]) == by_book.total_price


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_trace_costs_what_its_calls_cost_by_the_book(case: Case) -> None:
    told = case.golden["told"]
    spans = [attributes(span) for span in spans_of(through(case.body(), normalizer(), pricer()))]
    counting = [has for has in spans if not has.get("tracekeeper.usage.repeated")]
    costs = [Decimal(str(has["gen_ai.usage.cost"])) for has in counting if "gen_ai.usage.cost" in has]
    totals = [Decimal(str(has["tracekeeper.trace.cost"])) for has in spans if "tracekeeper.trace.cost" in has]
    sources = [has["tracekeeper.cost.source"] for has in counting if "tracekeeper.cost.source" in has]
    if told["cost"] is None:
        assert "unknown" in sources
        assert all(
            has.get("gen_ai.usage.cost") is None for has in counting if has.get("tracekeeper.cost.source") == "unknown"
        )
    else:
        assert sum(costs, Decimal(0)).quantize(NANO) == Decimal(told["cost"]).quantize(NANO)
        assert "unknown" not in sources or not costs
    if costs:
        assert sum(totals, Decimal(0)).quantize(NANO) == sum(costs, Decimal(0)).quantize(NANO)
