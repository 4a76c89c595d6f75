"""Tiers of service in a config: what is read, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.price.tariff import Usage
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.price import Price
from tracekeeper_spec.processor import price_of

AT = 1_790_000_000.0
MILLION = Usage(1_000_000, 1_000_000)
DOLLAR = 1_000_000_000


def spec(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"processors": [{"name": f"p{at}", "type": "Price", "price": each} for at, each in enumerate(prices)]}


def read(*prices: dict[str, Any]) -> Price:
    parsed, faults = parse_spec(spec(*prices))
    assert not faults
    assert parsed.processors is not None
    return price_of(parsed.processors)


def cost(price: Price, tier: str, model: str = "gpt-4o") -> int | None:
    tariff = Prices(price).of_any("openai", (model,), AT, tier)
    return tariff.cost(MILLION) if tariff is not None else None


def test_all_steps_together_say_what_calls_cost() -> None:
    price = read(
        {"serviceTiers": [{"name": "batch", "times": "0.5"}, {"name": "flex", "times": "0.25"}]},
        {
            "overrides": [
                {"model": "gpt-4o", "serviceTier": "priority", "inputPerMillion": "5", "outputPerMillion": "20"},
                {"model": "ours", "inputPerMillion": "1", "outputPerMillion": "3"},
            ],
            "serviceTiers": [{"name": "batch", "times": "0.1"}],
        },
    )
    assert [cost(price, tier) for tier in ("", "default", "batch", "flex", "priority", "scale")] == [
        12_500_000_000, 12_500_000_000, 6_250_000_000, 3_125_000_000, 25 * DOLLAR, None
    ]  # fmt: skip
    assert [cost(price, tier, "ours") for tier in ("", "batch", "scale")] == [4 * DOLLAR, 2 * DOLLAR, 4 * DOLLAR]


def test_machines_of_ones_own_cost_nothing_at_any_tier() -> None:
    tariff = Prices().of_any("ollama", ("llama3",), AT, "batch")
    assert tariff is not None
    assert tariff.cost(MILLION) == 0


@pytest.mark.parametrize(
    ("price", "path"),
    [
        ({"serviceTiers": [{"name": "batch", "times": "half"}]}, "serviceTiers[0].times"),
        ({"serviceTiers": [{"name": "batch", "times": "-1"}]}, "serviceTiers[0].times"),
        ({"serviceTiers": [{"name": "batch", "times": 0.5}]}, "serviceTiers[0].times"),
        ({"serviceTiers": [{"name": "batch"}]}, "serviceTiers[0].times"),
        ({"serviceTiers": [{"name": "Batch", "times": "1"}]}, "serviceTiers[0].name"),
        ({"serviceTiers": [{"name": "a", "times": "1"}, {"name": "a", "times": "2"}]}, "serviceTiers[1].name"),
        ({"overrides": [{"model": "m", "inputPerMillion": "1", "outputPerMillion": "free"}]}, "outputPerMillion"),
        ({"overrides": [{"model": "m", "inputPerMillion": "nan", "outputPerMillion": "1"}]}, "inputPerMillion"),
    ],
)
def test_what_is_no_price_is_named(price: dict[str, Any], path: str) -> None:
    _, faults = parse_spec(spec(price))
    assert [fault for fault in faults if path in str(fault)], faults
