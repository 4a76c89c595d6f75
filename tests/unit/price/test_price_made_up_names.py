"""Names that are made up to be taken for those of others: these keep their prices."""

from __future__ import annotations

from typing import Any

import pytest

from crafted_names import SEEDS, twin
from priced_requests import CALL, COST, NOW, SOURCE, body, dollars, said, span, spans_of
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire import labels
from tracekeeper_sidecar.wire.pricing import Pricer
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_spec.price import NO_PRICE, Price, PriceOverride

PROVIDER, MODEL, ANSWERED = "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"
REAL = "claude-3-5-sonnet-20241022"
CLAUDE = CALL | {PROVIDER: "anthropic", MODEL: REAL}
OF_16 = "our-own-model-16"
CASES = [
    (CLAUDE | {MODEL: twin(REAL)}, CLAUDE),
    (CLAUDE | {MODEL: "x", ANSWERED: twin(REAL)}, CLAUDE | {MODEL: "x", ANSWERED: REAL}),
    (CALL | {MODEL: "\0gpt-4n"}, CALL),
    (CALL | {PROVIDER: "gpt-4n", MODEL: "openah"}, CALL),
]
"""What is made up, and what it is to be taken for."""


@pytest.mark.parametrize(("made_up", "real"), CASES)
def test_a_model_keeps_its_price_whatever_names_came_before(made_up: dict[str, Any], real: dict[str, Any]) -> None:
    lost = []
    for seed in SEEDS:
        by = Pricer(Tariffs(asking(Prices(NO_PRICE))), seed)
        by.price(body(span(made_up)), NOW * 10**9)
        (found,) = map(said, spans_of(by.price(body(span(real)), NOW * 10**9)))
        if found[SOURCE] != "computed" or found[COST] == 0:
            lost.append(seed)
    assert lost == []


@pytest.mark.parametrize(("made_up", "real"), CASES[:2])
def test_so_it_does_where_it_is_counted(made_up: dict[str, Any], real: dict[str, Any]) -> None:
    many = body(*(span(real, number) for number in range(1, 9)))
    alone = dollars(many)
    first = body(span(made_up))
    before = dollars(first)
    assert alone > 0
    # Seeds of labels are drawn anew for each.
    assert {round(dollars(first, many) - before, 6) for _ in SEEDS} == {round(alone, 6)}


def crafted(real: bytes, seed: int) -> bytes:
    """A text of 16 bytes that `labels.hashed` takes for the real one, where the seed is known."""

    def after(word: bytes) -> int:
        mixed = ((0xCBF29CE484222325 ^ seed) + 16 ^ int.from_bytes(word)) * 0x9FB21C651E98DF25 & 2**64 - 1
        return mixed ^ mixed >> 32

    number = 0
    while True:
        first = f"{number:08}".encode()
        second = (after(first) ^ after(real[:8]) ^ int.from_bytes(real[8:])).to_bytes(8)
        if max(second) < 128:
            return first + second
        number += 1


def test_a_name_made_for_a_seed_that_is_the_same_everywhere_is_no_other_one() -> None:
    """Which model has answered is kept by such a hash, for the next process to compare. Prices do not go by it."""
    own = Price((PriceOverride(OF_16, "1", "2"),))
    real = CALL | {MODEL: "x", ANSWERED: OF_16}
    made_up = crafted(OF_16.encode(), 3)
    assert labels.hashed(made_up, 0, 16, 3) == labels.hashed(OF_16.encode(), 0, 16, 3)
    assert dollars(body(span(real)), price=own) == 0.00102
    assert dollars(body(span(real | {ANSWERED: made_up.decode()})), body(span(real)), price=own) == 0.00102
