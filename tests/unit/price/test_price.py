"""Overrides before the book, what cannot be told, and names that people make up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from tracekeeper_sidecar.price.prices import MAX_REMEMBERED, Prices, Usage
from tracekeeper_sidecar.price.tariff import MAX_TOKENS, read_amount
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.price import PriceOverride
from tracekeeper_spec.processor import price_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
MILLION = Usage(1_000_000, 1_000_000)
DOLLAR = 1_000_000_000


def cost(prices: Prices, provider: str, model: str, usage: Usage = MILLION, at: float = NOW) -> int | None:
    tariff = prices.tariff(provider, model, at)
    return tariff.cost(usage) if tariff is not None else None


def test_an_override_goes_before_the_book() -> None:
    book, ours = Prices(()), Prices([PriceOverride("gpt-4o", "1.25", "5")])
    assert cost(book, "openai", "gpt-4o") == 12_500_000_000
    assert cost(ours, "openai", "gpt-4o") == 6_250_000_000
    assert cost(ours, "openai", "GPT-4o") == 6_250_000_000
    assert cost(ours, "openai", "gpt-4o-mini") == cost(book, "openai", "gpt-4o-mini")


def test_an_override_prices_what_no_book_knows() -> None:
    ours = Prices([PriceOverride("house-model*", "0.000001", "3.5")])
    assert cost(Prices(()), "acme", "house-model-7b") is None
    assert cost(ours, "acme", "house-model-7b", Usage(1_000_000, 0)) == 1_000
    assert cost(ours, "acme", "house-model-7b", Usage(0, 2)) == 7_000


def test_an_override_is_for_its_provider_whatever_that_is_called() -> None:
    ours = Prices([PriceOverride("gpt-4o", "1", "1", provider="azure")])
    assert cost(ours, "azure.ai.openai", "gpt-4o") == 2 * DOLLAR
    assert cost(ours, "Azure", "gpt-4o") == 2 * DOLLAR
    assert cost(ours, "openai", "gpt-4o") == 12_500_000_000


def test_a_whole_name_a_provider_a_later_day_and_an_earlier_place_go_first() -> None:
    ladder = [
        PriceOverride("m*", "1", "0"),
        PriceOverride("m*", "2", "0", from_="2026-01-01"),
        PriceOverride("m*", "3", "0", provider="p"),
        PriceOverride("model", "4", "0"),
        PriceOverride("model", "5", "0", from_="2026-05-01"),
        PriceOverride("model", "6", "0", provider="p"),
    ]
    for count in range(1, len(ladder) + 1):
        for order in (ladder[:count], ladder[:count][::-1]):
            assert cost(Prices(order), "p", "model", Usage(1_000_000, 0)) == count * DOLLAR
    twice = [PriceOverride("model", "7", "0"), PriceOverride("model", "8", "0")]
    assert cost(Prices(twice), "p", "model", Usage(1_000_000, 0)) == 7 * DOLLAR


def test_an_override_begins_on_its_day_in_utc() -> None:
    ours = Prices(
        [PriceOverride("gpt-4o", "1", "1", from_="2026-06-02"), PriceOverride("new", "1", "1", from_="2026-06-02")]
    )
    midnight = datetime(2026, 6, 2, tzinfo=UTC).timestamp()
    assert cost(ours, "openai", "gpt-4o", at=midnight - 0.001) == 12_500_000_000
    assert cost(ours, "openai", "gpt-4o", at=midnight) == 2 * DOLLAR
    assert cost(ours, "openai", "new", at=midnight - 0.001) is None
    assert cost(ours, "openai", "new", at=midnight) == 2 * DOLLAR


def test_an_override_of_any_of_a_models_names_goes_before_the_book() -> None:
    ours = Prices([PriceOverride("gpt-4o", "1", "1")])
    names = ("gpt-4o-2024-08-06", "gpt-4o")
    assert ours.of_any("openai", names, NOW) == ours.tariff("openai", "gpt-4o", NOW)
    assert ours.tariff("openai", names[0], NOW) == Prices(()).of_any("openai", names, NOW)
    assert Prices(()).of_any("openai", ("whisper-1", "", "gpt-4o"), NOW) == Prices(()).tariff("openai", "gpt-4o", NOW)
    assert ours.of_any("openai", ("", "no-such-model"), NOW) is None


def test_parts_without_a_price_of_their_own_cost_what_the_whole_costs() -> None:
    plain = Prices([PriceOverride("m", "2", "8")])
    parts = Prices(
        [
            PriceOverride(
                "m",
                "2",
                "8",
                cache_read_per_million="0.2",
                cache_write_per_million="2.5",
                reasoning_per_million="16",
                input_audio_per_million="32",
                output_audio_per_million="64",
            )
        ]
    )
    usage = Usage(1_000_000, 100_000, 500_000, 100_000, 30_000, 100_000, 20_000)
    assert cost(plain, "p", "m", usage) == 2_800_000_000
    # 0.3 M tokens of input for 2 $, 0.5 for 0.20 $, 0.1 for 2.50 $, 0.1 for 32 $; 0.05 M of output for 8, 16 and 64 $.
    assert cost(parts, "p", "m", usage) == 600_000_000 + 100_000_000 + 250_000_000 + 3_200_000_000 + 2_160_000_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage(-1, 0),
        Usage(0, -1),
        Usage(100, 0, cache_read=-1),
        Usage(100, 0, cache_read=101),
        Usage(100, 0, cache_read=60, cache_write=60),
        Usage(0, 100, reasoning=101),
        Usage(MAX_TOKENS + 1, 0),
        Usage(0, MAX_TOKENS + 1),
    ],
)
def test_numbers_that_cannot_be_have_no_price(usage: Usage) -> None:
    prices = Prices([PriceOverride("m", "2", "8", "p", None, "1", "1", "1")])
    assert cost(prices, "p", "m", Usage(100, 100, 50, 50, 100)) is not None
    assert cost(prices, "p", "m", usage) is None


def test_unknown_is_not_free_and_free_is_not_unknown() -> None:
    prices = Prices(())
    assert prices.tariff("openai", "no-such-model", NOW) is None
    assert prices.tariff("no-such-provider", "gpt-4o", NOW) is None
    assert prices.tariff("", "", NOW) is None
    assert cost(prices, "ollama", "no-such-model") == 0
    assert cost(prices, "openrouter", "deepseek-chat:free") == 0
    assert prices.tariff("github-copilot", "gpt-4.1", NOW) is None
    assert (
        cost(Prices([PriceOverride("gpt-oss*", "0.1", "0.1", provider="vllm")]), "vLLM", "gpt-oss:120b") == DOLLAR // 5
    )


def test_what_tokens_do_not_tell_is_unknown() -> None:
    prices = Prices(())
    # By the hour of sound, and with a price for pictures that no attribute tells from text.
    assert prices.tariff("openai", "whisper-1", NOW) is None
    assert prices.tariff("google", "gemini-2.5-flash-image", NOW) is None


def test_a_call_that_costs_something_by_itself() -> None:
    prices = Prices(())
    assert cost(prices, "perplexity", "sonar", Usage(0, 0)) == 12_000_000
    assert cost(prices, "perplexity", "sonar", Usage(1, 1)) == 12_002_000


def test_names_that_somebody_makes_up_are_not_all_remembered() -> None:
    prices = Prices([PriceOverride("gpt-4o", "1", "1")])
    for number in range(3 * MAX_REMEMBERED):
        assert prices.tariff("openai", f"made-up-{number}", NOW) is None
        assert len(prices._known) <= MAX_REMEMBERED
    assert prices.tariff("openai", "gpt-4o" * 100_000, NOW) is None
    assert cost(prices, "openai", "gpt-4o") == 2 * DOLLAR


def test_amounts_are_read_to_the_last_digit() -> None:
    assert read_amount("2.50") == 2_500_000_000_000_000
    assert read_amount(".000000000001") == 1_000
    assert read_amount("999999999.999999999999") == 999_999_999_999_999_999_999_000


def test_a_config_says_what_it_costs() -> None:
    written = {
        "processors": [
            {
                "name": "price",
                "type": "Price",
                "price": {
                    "overrides": [
                        {"model": "gpt-4o", "inputPerMillion": "1.25", "outputPerMillion": "5"},
                        {
                            "model": "gpt-4o",
                            "provider": "azure.ai.openai",
                            "from": "2026-03-01",
                            "inputPerMillion": "1",
                            "outputPerMillion": "4",
                            "cacheReadPerMillion": "0.1",
                        },
                    ]
                },
            }
        ]
    }
    spec, faults = parse_spec(written)
    assert not faults
    assert spec.processors is not None
    prices = Prices(price_of(spec.processors))
    assert cost(prices, "openai", "gpt-4o") == 6_250_000_000
    assert cost(prices, "azure", "gpt-4o") == 5 * DOLLAR
    assert cost(prices, "azure", "gpt-4o", Usage(1_000_000, 0, 1_000_000)) == DOLLAR // 10


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("inputPerMillion", 2.5, "in quotes"),
        ("inputPerMillion", "-1", "in quotes"),
        ("inputPerMillion", "1e3", "in quotes"),
        ("outputPerMillion", "1,50", "in quotes"),
        ("from", "2026-02-30", "is not a day"),
        ("from", "March", "a day"),
        ("model", "", "the name of a model"),
        ("provider", "open ai", "the name of a provider"),
    ],
)
def test_a_wrong_override_is_a_fault_at_its_field(field: str, value: object, problem: str) -> None:
    override = {"model": "gpt-4o", "inputPerMillion": "1", "outputPerMillion": "1", field: value}
    _, faults = parse_spec({"processors": [{"name": "price", "type": "Price", "price": {"overrides": [override]}}]})
    assert [fault.path for fault in faults] == [f"spec.processors[0].price.overrides[0].{field}"]
    assert problem in str(faults[0])


def test_the_example_of_the_reference_does_what_it_says() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/prices.md").read_text(encoding="utf-8")
    (example,) = [each.partition("```")[0] for each in page.split("```yaml")[1:] if "house-model" in each]
    spec, faults = parse_spec(yaml.safe_load(example)["spec"])
    assert not faults
    assert spec.processors is not None
    prices = Prices(price_of(spec.processors))
    assert cost(prices, "azure.ai.openai", "gpt-4o") == 11 * DOLLAR
    assert cost(prices, "openai", "gpt-4o") == 12_500_000_000
    later = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert cost(prices, "openai", "gpt-4o", at=later) == 10 * DOLLAR
    assert cost(prices, "azure.ai.openai", "gpt-4o", at=later) == 11 * DOLLAR
    assert cost(prices, "any", "house-model-7b", Usage(1_000_000, 0, 1_000_000)) == DOLLAR // 100


def test_the_book_is_small_and_says_how_old_it_is() -> None:
    content = files("tracekeeper_spec").joinpath("prices.json").read_bytes()
    assert len(content) <= 150_000
    head = json.loads(content.partition(b', "providers"')[0] + b"}")
    assert datetime.fromisoformat(head["dated"])
    assert head["source"].startswith("genai-prices ")
