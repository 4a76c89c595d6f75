"""How the book is read: the first model that matches, the last price that holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tracekeeper_sidecar.price.book import Book, Dated, day_of
from tracekeeper_sidecar.price.tariff import Amounts, Tariff, Usage, read_amount, read_tariff


def shelf(*models: list[str]) -> Book:
    provider = {"providers": "*acme", "models": "^m", "fallback": ["other"], "book": list(models)}
    other = {"providers": "", "models": "", "fallback": ["third"], "book": [["lent", "7"]]}
    third = {"providers": "", "models": "", "fallback": [], "book": [["lent-on", "8"]]}
    providers = {"p": provider, "other": other, "third": third}
    return Book({"dated": "2026-01-01", "source": "a test", "providers": providers})


def price(book: Book, model: str, provider: str = "p") -> int | None:
    """Dollars for a million tokens of input."""
    found = book.prices(provider, model)
    tariff = found[-1].tariff if found else None
    cost = tariff.cost(Usage(1_000_000, 0)) if tariff is not None else None
    return None if cost is None else cost // 1_000_000_000


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("m", 1),
        ("m-1", 2),
        ("m-2", 2),
        ("M-2", 2),
        ("m-3", None),
        ("a-x", 5),
        ("axb", 6),
        ("am1", None),
        ("~m", 9),
        ("q", 10),
        ("q-1", 11),
    ],
)
def test_the_first_model_that_matches_is_the_one(model: str, dollars: int | None) -> None:
    book = shelf(
        ["m", "1"],
        ["^m-1 m-2", "2"],
        ["m m-1 m-2", "3"],
        ["^m-1", "4"],
        ["$-x", "5"],
        ["~^a.b$", "6"],
        ["^a&$m", "7"],
        ["=~m", "9"],
        ["q", "10"],
        ["^q", "11"],
    )
    assert price(book, model) == dollars


def test_a_date_in_a_name_may_be_without_dashes() -> None:
    book = shelf(["m-2026-03-01", "1"], ["m-20260401", "2"])
    assert price(book, "m-20260301") == 1
    assert price(book, "m-20260401") == 2
    assert price(book, "m-20261301") is None
    assert price(book, "m-2026-04-01") is None


def test_a_provider_sells_models_of_others_and_not_of_those_behind_them() -> None:
    book = shelf(["m", "1"])
    assert price(book, "lent") == 7
    assert price(book, "lent-on") is None
    assert price(book, "lent-on", "other") == 8


def test_a_provider_is_known_by_what_the_book_says() -> None:
    book = shelf(["m", "1"])
    assert book.provider(" P ") == "p"
    assert book.provider("our.acme.cloud") == "p"
    assert book.provider("Nobody") == "nobody"
    assert price(book, "m", "") == 1
    assert price(book, "acme/m", "langchain") == 1
    assert price(book, "nobody/m", "langchain") is None
    assert price(book, "acme/m", "p") is None


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_time_of_day_begins_and_ends_to_the_minute() -> None:
    day, night = Dated(None, minutes=(30, 990)), Dated(None, minutes=(990, 30))
    for text, held in [
        ("2026-05-04T00:29:59.9", False),
        ("2026-05-04T00:30", True),
        ("2026-05-04T16:29:59.9", True),
        ("2026-05-04T16:30", False),
    ]:
        assert day.holds(moment(text)) is held
        assert night.holds(moment(text)) is not held


def test_a_day_begins_at_midnight_in_utc() -> None:
    price = Dated(None, from_day=day_of("2026-05-04"))
    assert not price.holds(moment("2026-05-03T23:59:59.9"))
    assert price.holds(moment("2026-05-04T00:00"))


def test_a_price_is_read_with_its_tiers() -> None:
    assert read_tariff("") is None
    one, half = read_amount("1"), read_amount(".5")
    assert read_tariff("1,,.5;200000:.5") == Tariff(Amounts(one, None, half), ((200_000, Amounts(half)),))
    assert read_tariff("1,,,,,,,.5") == Tariff(Amounts(one, call=500 * one))


def test_tokens_without_a_price_make_a_call_without_one() -> None:
    only_out = Tariff(Amounts(output=read_amount("1"), cache_read=read_amount("1")))
    assert only_out.cost(Usage(0, 1)) == 1_000
    assert only_out.cost(Usage(1, 1)) is None
    assert only_out.cost(Usage(1, 1, cache_read=1)) == 2_000
    assert Tariff(Amounts(input=read_amount("1"))).cost(Usage(1, 1)) is None
