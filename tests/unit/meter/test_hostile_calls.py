"""What an application that is wrong, or means ill, can do to the meter by what it says in its spans."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import NOW, Said, add, fill
from tracekeeper_sidecar.admin.openmetrics import Form, write
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.reading import Histogram, Reading
from tracekeeper_sidecar.meter.tables import COUNTED
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.labels import TEXT
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import MOST, Answer, Ask, Tariffs
from tracekeeper_spec.price import PriceOverride

CALL: Said = {
    "gen_ai.operation.name": "chat",
    "gen_ai.agent.name": "planner",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 10,
}
PRICE = 2_600_000
"""Nanodollars of such a call."""


def make(ask: Ask | None = None) -> Tally:
    return Tally(tables.make(), Tariffs(ask or asking(Prices(()))), seed=1)


def body(*calls: Said, kind: int = 3, start: int = (NOW - 1) * 10**9, ends: range | None = None) -> bytes:
    """A request with a span for each call, each in a trace of its own; it ends `NOW`, or at those Unix times."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": "shop"})
    spans = resource.scope_spans.add().spans
    for number, said in enumerate(calls):
        end = (ends[number] if ends else NOW) * 10**9
        trace = number.to_bytes(15) + b"t"
        begin = end - 10**9 if ends else start
        add(spans, trace, b"s" * 8, b"" if kind == 2 else b"p" * 8, kind, begin, end - begin, dict(said))
    return message.SerializeToString()


def reading(tally: Tally) -> Reading:
    return Reading(tables.Later(tables.copy_of(tally), "", 0, dict.fromkeys(METERED[-5:], ())))


def values(tally: Tally, name: str) -> list[float | Histogram]:
    return [row.value for row in reading(tally).families[COUNTED[name]]]


def test_a_name_that_is_no_utf_8_is_other_however_often_it_comes() -> None:
    tally = make()
    calls = [CALL | {"gen_ai.agent.name": name} for name in ("XXXXXXXXX", "planner") * 150]
    tally.take(body(*calls).replace(b"XXXXXXXXX", b"bad\xff\xfename"), NOW * 1000)
    tally.take(body(CALL | {"gen_ai.agent.name": "newcomer"}), NOW * 1000)
    tally.take(body(CALL | {"gen_ai.agent.name": "X" * 140}).replace(b"X" * 140, b"\x80" * 140), NOW * 1000)
    assert tally.labels["agent"].texts == ["", TEXT, "planner", "newcomer"]
    assert sorted(values(tally, "operations"), key=str) == [1.0, 150.0, 151.0]


def test_names_that_look_the_same_on_the_page_are_one() -> None:
    tally = make()
    names = ("a\0", "a\ufffd", "a\0", "b")
    tally.take(body(*(CALL | {"gen_ai.agent.name": name} for name in names)), NOW * 1000)
    page = write(
        [(COUNTED["operations"], [(row.labels, row.value) for row in reading(tally).families[COUNTED["operations"]]])],
        Form.TEXT,
    )
    lines = [line.split()[0] for line in page.decode().splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines)) == 2
    assert sorted(values(tally, "operations"), key=str) == [1.0, 3.0]


def test_names_of_calls_that_wait_are_cut_before_they_are_kept() -> None:
    tally = make()
    tally.tell(lambda *_: None)
    nobodys = {name: value for name, value in CALL.items() if name != "gen_ai.agent.name"}
    long = {"user.id": "é" * 500_000, "gen_ai.conversation.id": "u" + "é" * 500_000}
    tally.take(body(nobodys | long), NOW * 1000)
    names = tally.names()
    assert tally.held == len(names) == 1
    assert names[0] is not None
    assert (names[0][0], names[0][2]) == ("é" * 64, "u" + "é" * 63)


def test_prices_of_many_new_models_are_asked_for_in_small_steps() -> None:
    asked: list[str] = []
    ask = asking(Prices(()))

    def asking_one(provider: str, models: tuple[str, ...], at: float, tier: str) -> object:
        asked.append(models[-1])
        return ask(provider, models, at, tier)

    tally = make(asking_one)  # type: ignore[arg-type]
    made_up = body(*(CALL | {"gen_ai.request.model": f"gpt-4o-{number}"} for number in range(100)))
    done, steps = 0, 0
    while steps == 0 or tally.left:
        before = len(asked)
        done = tally.take(made_up, NOW * 1000, done, 8)
        steps += 1
        assert 0 < len(asked) - before <= 8
        assert done + tally.left == 100
    assert (done, steps) == (100, 13)
    assert sum(row for row in values(tally, "operations") if isinstance(row, float)) == 100
    assert tally.take(made_up, NOW * 1000, 0, 8) == 100


def test_a_price_that_holds_always_is_asked_for_once_whenever_calls_end() -> None:
    tariffs = Tariffs(asking(Prices((PriceOverride("dated-model", "1", "1", from_="2020-01-01"),))))
    tally = Tally(tables.make(), tariffs, seed=1)
    tally.take(body(*[CALL] * 50, ends=range(NOW - 50 * 900, NOW, 900)), NOW * 1000)
    assert tariffs.asked == 1
    dated = CALL | {"gen_ai.request.model": "dated-model"}
    tally.take(body(*[dated] * 50, ends=range(NOW - 50 * 900, NOW, 900)), NOW * 1000)
    assert tariffs.asked == 51


def test_models_that_are_made_up_take_no_price_from_those_that_are_there() -> None:
    tally = make(lambda *_: Answer(None, lambda _: PRICE, True))
    for first in range(0, MOST, 100):
        tally.take(body(*(CALL | {"gen_ai.request.model": f"made-up-{first + at}"} for at in range(100))), NOW * 1000)
    assert values(tally, "unpriced_calls") == []
    tally.take(body(*[CALL] * 3, *(CALL | {"gen_ai.request.model": f"more-{at}"} for at in range(MOST))), NOW * 1000)
    tally.take(body(CALL), (NOW + 61) * 1000)
    before = sum(value for value in values(tally, "unpriced_calls") if isinstance(value, float))
    assert before <= 3
    tally.take(body(CALL), (NOW + 62) * 1000)
    assert sum(value for value in values(tally, "unpriced_calls") if isinstance(value, float)) == before


@pytest.mark.parametrize("amount", ["999999999", "999999999.0000000001"])
def test_a_cost_that_cannot_be_is_unknown_and_stops_nothing(amount: str) -> None:
    tally = make(asking(Prices((PriceOverride("gpt-4o", amount, amount),))))
    small = CALL | {"gen_ai.usage.input_tokens": 90}
    tally.take(body(small, CALL | {"gen_ai.usage.input_tokens": 10**9}, small), NOW * 1000)
    assert values(tally, "operations") == [3.0]
    assert values(tally, "unpriced_calls") == [1.0]
    assert values(tally, "cost") == [pytest.approx(2 * 100 * 999.999999)]


@pytest.mark.parametrize("amount", ["1000", "1000.0000000001"])
def test_sums_of_the_greatest_costs_do_not_begin_anew(amount: str) -> None:
    """Both ways of making costs, by adding up and by asking, take a million dollars for the most."""
    tally = make(asking(Prices((PriceOverride("gpt-4o", amount, amount),))))
    tally.take(body(*[CALL | {"gen_ai.usage.input_tokens": 999_000_000}] * 3), NOW * 1000)
    assert values(tally, "cost") == [pytest.approx(3 * 999_000.01)]
    tally.take(body(CALL | {"gen_ai.usage.input_tokens": 10**9}), NOW * 1000)
    assert values(tally, "unpriced_calls") == [1.0]


def test_a_span_that_does_not_say_when_it_began_has_taken_no_time() -> None:
    tally = make()
    for _ in range(12):
        tally.take(body({}, kind=2, start=0), NOW * 1000)
        tally.settle(NOW * 1000, everything=True)
    tally.take(body({}, kind=2, start=1), NOW * 1000)
    tally.settle(NOW * 1000, everything=True)
    (found,) = values(tally, "request_duration")
    assert isinstance(found, Histogram)
    assert (sum(found.counts), found.total) == (13, 0)


def test_the_environment_of_a_call_is_its_spans_or_its_resources() -> None:
    tally, told = make(), list[tuple[str, ...]]()
    tally.tell(lambda at, agent, model, names, *rest: told.append(names))
    message = ExportTraceServiceRequest.FromString(body(CALL, CALL | {"deployment.environment.name": "canary"}))
    fill(message.resource_spans[0].resource.attributes, {"deployment.environment": "production"})
    tally.take(message.SerializeToString(), NOW * 1000)
    assert [names[3] for names in told] == ["production", "canary"]


@pytest.mark.parametrize(
    ("also", "kind"),
    [
        ({"tracekeeper.kind": "handoff"}, "handoff"),
        ({"tracekeeper.kind": "guardrail", "gen_ai.operation.name": "framework"}, "guardrail"),
        ({"tracekeeper.kind": "runner", "gen_ai.operation.name": "chat"}, "llm"),
        ({"tracekeeper.kind": "x" * 40, "gen_ai.operation.name": "framework"}, "other"),
        ({"tracekeeper.usage.repeated": True, "gen_ai.operation.name": "chat"}, "other"),
    ],
)
def test_kinds_are_those_of_operations_and_else_what_the_span_says(also: Said, kind: str) -> None:
    tally = make()
    said = {name: value for name, value in CALL.items() if name != "gen_ai.operation.name"} | also
    message = ExportTraceServiceRequest.FromString(
        body({key: value for key, value in said.items() if value is not True})
    )
    for key in (key for key, value in said.items() if value is True):
        message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key=key).value.bool_value = True
    tally.take(message.SerializeToString(), NOW * 1000)
    (row,) = reading(tally).families[COUNTED["operations"]]
    assert row.labels[COUNTED["operations"].labels.index("kind")] == kind
    assert bool(values(tally, "cost")) == (kind == "llm")
