"""What counting spans by their labels costs: ns of one core per span, before (the receiver reads every span as it is)
and after (with the pass over the log that counts it); and what a scrape costs.

python bench/metering.py [--requests 200] [--spans 512]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import SPANS_PER_TRACE, Template, attributes, fill

from tracekeeper_sidecar.admin import exposition
from tracekeeper_sidecar.admin.openmetrics import Form, write
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram, Reading, Row
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs

ROUNDS = 5
NOW = 1_760_000_000_000
"""Unix time of the load, in ms."""
GOAL = 350.0
"""Nanoseconds per span that counting may take."""
RESULT = Path(__file__).parent / "results" / "metering.json"
REST: dict[str, str | int] = {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.path": "/v1/orders",
    "server.address": "orders.shop",
    "server.port": 8080,
    "network.protocol.version": "1.1",
    "user_agent.original": "python-requests/2.32",
    "thread.name": "worker-3",
}


def requests(spans: int, count: int, said: Callable[[int], dict[str, str | int]], kind: int) -> list[bytes]:
    """Export requests, each of traces of its own, whose spans say what `said` gives them by their numbers."""
    chance, found = random.Random(1), []
    for place in range(count):
        message = ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        fill(resource.resource.attributes, {"service.name": "bench"})
        scope = resource.scope_spans.add()
        trace = b""
        for number in range(spans):
            if number % SPANS_PER_TRACE == 0:
                trace = chance.randbytes(16)
            root = number % SPANS_PER_TRACE == 0
            span = scope.spans.add(name="work", kind=2 if root else kind, trace_id=trace, span_id=chance.randbytes(8))
            span.parent_span_id = b"" if root else b"parent.."
            span.start_time_unix_nano = NOW * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + 350_000_000
            fill(span.attributes, said(place * spans + number))
        found.append(message.SerializeToString())
    return found


def agents(number: int) -> dict[str, str | int]:
    """A call of a model, by a new agent each time."""
    return attributes(number, 0) | {"gen_ai.agent.name": f"agent-{number:07d}"}


def nanoseconds(action: Callable[[bytes], object], bodies: list[bytes], spans: int) -> float:
    """Of one core, per span."""
    begin = time.process_time()
    for body in bodies:
        action(body)
    return (time.process_time() - begin) / (len(bodies) * spans) * 1e9


def counted(bodies: list[bytes], spans: int) -> float:
    """Of a tally whose traces end, and are settled, while it goes on."""
    tally = Tally(tables.make(), Tariffs(asking(Prices(()))), 1)
    clock = iter(range(NOW, NOW + 1_000 * len(bodies) * 2 + 1, 1_000))

    def take(body: bytes) -> None:
        at = next(clock)
        tally.take(body, at)
        tally.settle(at)

    take(bodies[0])  # With it the book of prices is read, once in a process.
    return nanoseconds(take, bodies, spans)


def reading(rows: int) -> Reading:
    """One with so many rows in each family, as far as families have room for them."""
    found = {}
    for metric in METERED:
        born = range(1, min(rows, tables.HISTOGRAM_ROWS if metric.bounds else tables.ROWS) + 1)
        buckets = len(metric.bounds) + 1
        exemplar = Exemplar(b"t" * 16, b"s" * 8, 0.5, NOW / 1000)
        histogram = Histogram(tuple(range(buckets)), 12.5, (exemplar,) * buckets)
        labels = [("shop/agents", *(f"{label}-{number:03d}" for label in metric.labels[1:])) for number in born]
        value: float | Histogram = histogram if metric.bounds else 12_345.0
        found[metric] = tuple(Row(each, value, number) for each, number in zip(labels, born, strict=True))
    return Reading(found)


def scraped(rows: int) -> tuple[float, int]:
    """Milliseconds of one core for a page in OpenMetrics, and its bytes."""
    taken, of = [], reading(rows)
    for _ in range(ROUNDS):
        begin = time.process_time()
        page = write(exposition.counted(of, rows), Form.OPENMETRICS)
        taken.append((time.process_time() - begin) * 1e3)
    return min(taken), len(page)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=512, help="in a request")
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    spans, count = options.spans, options.requests
    template = Template(spans)
    loads = {
        "calls of models": [template.request() for _ in range(count)],
        "HTTP": requests(spans, count, lambda _: dict(REST), 3),
        "a new agent in each span": requests(spans, count, agents, 3),
    }
    results: dict[str, object] = {"goal": GOAL}
    print(f"ns a span, {count} requests of {spans} spans{'before':>14}{'after':>8}{'counting':>10}")
    for name, bodies in loads.items():
        before = min(nanoseconds(look, bodies, spans) for _ in range(ROUNDS))
        counting = min(counted(bodies, spans) for _ in range(ROUNDS))
        results[name] = {"before": before, "after": before + counting, "counting": counting}
        print(f"{name:45}{before:8.0f}{before + counting:8.0f}{counting:10.0f}")
    for rows in (5, tables.ROWS):
        taken, size = scraped(rows)
        results[f"scrape of {rows} rows a family"] = {"milliseconds": taken, "bytes": size}
        print(f"a scrape of up to {rows:3} rows a family takes {taken:6.1f} ms beside the receivers, {size} bytes")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
