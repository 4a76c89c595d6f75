"""The pass that writes prices does the same uncompiled."""

from __future__ import annotations

from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

import otlp_requests
from condition_cases import requests
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire import pricing
from tracekeeper_sidecar.wire.tariffs import Tariffs


@settings(otlp_requests.property_test, max_examples=60)
@given(bodies=st.lists(requests(), max_size=3))
def test_uncompiled_it_writes_the_same(plain_pricing: tuple[ModuleType, ModuleType], bodies: list[bytes]) -> None:
    ask = asking(Prices())
    plain, tariffs = plain_pricing
    one, other = pricing.Pricer(Tariffs(ask), 7), plain.Pricer(tariffs.Tariffs(ask), 7)
    for number, body in enumerate(bodies):
        now = (1_790_000_000 + number) * 10**9
        assert one.price(body, now) == other.price(body, now)
