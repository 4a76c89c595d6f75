"""An application that makes names up: what it can do to the number of series, and to what others count."""

from __future__ import annotations

import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import NOW, Said, add, counted, fill
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.reading import Reading
from tracekeeper_sidecar.meter.rest import Rest
from tracekeeper_sidecar.meter.tables import COUNTED, HISTOGRAM_ROWS, ROWS
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.labels import MOST
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs

REQUESTS, SPANS = 40, 500
HONEST = ("honest", "agent", "tool")
LONGEST = 128


def make() -> Tally:
    return Tally(tables.make(), Tariffs(asking(Prices(()))), seed=1)


def reading(tally: Tally) -> Reading:
    return Reading(tables.Later(tables.copy_of(tally), "", 0, dict.fromkeys(METERED[-5:], ())))


def hostile(chance: random.Random, made: int = SPANS) -> ExportTraceServiceRequest:
    """Every name is another one; some are long, or cut in the middle of characters."""

    def name() -> str:
        return chance.choice(("", "é" * 200, "x" * 10_000 if chance.random() < 0.01 else "")) + str(chance.random())

    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": name()})
    spans = resource.scope_spans.add().spans
    for _ in range(made):
        said: Said = {
            "gen_ai.operation.name": chance.choice(("chat", "execute_tool", "invoke_agent", name())),
            "gen_ai.provider.name": name(),
            "gen_ai.request.model": name(),
            "gen_ai.response.model": name(),
            "gen_ai.agent.name": name(),
            "gen_ai.tool.name": name(),
            "gen_ai.workflow.name": name(),
            "gen_ai.conversation.id": name(),
            "error.type": name(),
            "gen_ai.response.finish_reasons": [name()],
            "gen_ai.usage.input_tokens": chance.randrange(1000),
            "gen_ai.usage.output_tokens": chance.randrange(1000),
        }
        add(spans, chance.randbytes(16), chance.randbytes(8), b"", chance.randrange(6), NOW * 10**9, 10**9, said)
    return message


def honest() -> bytes:
    service, agent, tool = HONEST
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": service})
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": agent, "gen_ai.tool.name": tool}
    add(resource.scope_spans.add().spans, b"t" * 16, b"s" * 8, b"p" * 8, 1, NOW * 10**9, 10**9, dict(said))
    return message.SerializeToString()


def test_names_without_end_move_series_no_further_than_the_bounds() -> None:
    chance, tally = random.Random(1), make()
    tally.take(honest(), NOW * 1000)
    for number in range(REQUESTS):
        tally.take(hostile(chance).SerializeToString(), (NOW + number) * 1000)
    tally.take(honest(), (NOW + REQUESTS) * 1000)
    tally.settle((NOW + REQUESTS) * 1000, everything=True)
    found = reading(tally)
    for metric, rows in found.families.items():
        assert len(rows) <= (HISTOGRAM_ROWS if metric.bounds else ROWS) + 1, metric.name
        assert len({row.labels for row in rows}) == len(rows), f"{metric.name}: two rows have the same labels"
        assert all(len(label.encode()) <= LONGEST for row in rows for label in row.labels)
    assert all(len(known) <= MOST for known in tally.labels.values())
    counts = counted(found)
    assert sum(counts["tracekeeper_metered_spans_total"].values()) == REQUESTS * SPANS + 2
    assert sum(counts["tracekeeper_operations_total"].values()) == REQUESTS * SPANS + 2
    assert counts["tracekeeper_tool_calls_total"][*HONEST, "ok", ""] == 2  # Who was there first goes on counting.
    assert tally.families["operations"].overflow > 0
    print(f"{sum(len(rows) for rows in found.families.values())} rows after {REQUESTS * SPANS} spans of made-up names")


def test_all_families_full_are_fewer_series_than_the_page_on_metering_says() -> None:
    series = [
        (len(metric.bounds) + 3) * (HISTOGRAM_ROWS + 1) if metric.bounds else ROWS + 1 for metric in COUNTED.values()
    ]
    assert sum(series) < 20_000


def test_a_family_full_of_rows_of_yesterday_has_room_again() -> None:
    chance, tally = random.Random(2), make()
    for _ in range(3):
        tally.take(hostile(chance, 70).SerializeToString(), NOW * 1000)
    tally.settle((NOW + 3600) * 1000, everything=True)
    assert len(tally.labels["agent"]) == MOST
    rest, day = Rest(tally), 86_400
    before = sum(len(family) for family in tally.families.values())
    for minute in range(5):
        rest.sweep(NOW + 3600 + day + 60 * (minute + 1))
        rest.sweep(NOW + 3600 + day + 60 * (minute + 1) + 1)
    assert sum(len(family) for family in tally.families.values()) == before - 5  # One a minute.
    for minute in range(5, before + 5):
        rest.sweep(NOW + 3600 + day + 60 * (minute + 1))
    tally.take(honest(), (NOW + 2 * day) * 1000)
    assert counted(reading(tally))["tracekeeper_tool_calls_total"][*HONEST, "ok", ""] == 1
