"""An application that makes up a million agents and a million models, and what a real sidecar shows of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from metered_spans import Said, add, fill
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.tables import HISTOGRAM_ROWS, ROWS
from tracekeeper_sidecar.wire.labels import MOST

MILLION, SPANS = 1_000_000, 4000
SERIES = 20_000
"""What a pod has at most, as the page on metering says."""
MARK = b"#" * 8
"""Where a span's number goes, in eight digits."""


def numbered() -> Callable[[int], bytes]:
    """Makes export requests of SPANS spans from the number of the first: each of a trace, an agent and a model of its
    own. One is serialised; the others have other digits."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": "shop"})
    spans, mark = resource.scope_spans.add().spans, MARK.decode()
    for _ in range(SPANS):
        call: Said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 7}
        names: Said = {"gen_ai.agent.name": f"agent-{mark}", "gen_ai.request.model": f"model-{mark}"}
        add(spans, b"of-trace" + MARK, MARK, b"", 3, time.time_ns(), 10**9, {**call, **names})
    form = message.SerializeToString().replace(b"%", b"%%").replace(MARK, b"%08d")
    return lambda first: form % tuple(number for number in range(first, first + SPANS) for _ in range(4))


def families(sidecar: RunningSidecar) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(sidecar.get("/metrics")[1])}


def rows(family: Metric) -> Iterator[tuple[tuple[str, str], ...]]:
    """The labels of each row, of histograms without the bucket."""
    found = [{key: value for key, value in each.labels.items() if key != "le"} for each in family.samples]
    return iter({tuple(sorted(labels.items())) for labels in found})


def counted(sidecar: RunningSidecar, name: str, **labels: str) -> float:
    family = families(sidecar).get(name)
    return sum(each.value for each in family.samples if labels.items() <= each.labels.items()) if family else 0.0


def test_a_million_agents_and_models_are_a_bounded_page_of_metrics(
    sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    backend = start_backend("--name", "a", "--count-only")
    sidecar = sidecars.start(config=manifest(otlp("a", "HTTP", backend.http)))
    request, spans = numbered(), "tracekeeper_metered_spans"
    for first in range(0, MILLION, SPANS):
        assert sidecar.send(request(first)) == 200
    assert sidecar.send(request(0)) == 200
    until(lambda: counted(sidecar, spans) == MILLION + SPANS, "every span is metered", 60.0)

    lines = [line for line in sidecar.get("/metrics")[1].splitlines() if not line.startswith("#")]
    assert len(lines) <= SERIES
    found = families(sidecar)
    values = defaultdict(set)
    for metric in METERED:
        held = list(rows(found[metric.name.removesuffix("_total")]))
        assert len(held) <= (HISTOGRAM_ROWS if metric.bounds else ROWS) + 1, metric.name
        for label, value in (pair for row in held for pair in row):
            values[label].add(value)
    for label in ("agent", "model"):
        assert "other" in values[label] and len(values[label]) <= MOST + 2, label  # With `other`, and empty.
    operations = "tracekeeper_operations"
    assert counted(sidecar, operations) == MILLION + SPANS, "sums stay true"
    assert counted(sidecar, operations, agent="agent-00000000") == 2, "who was there first goes on counting"
    assert counted(sidecar, "tracekeeper_meter_overflow") > MILLION / 2
    assert sidecar.settled()["acknowledged"] == MILLION + SPANS
    print(f"{len(lines)} series after {MILLION + SPANS} spans of as many agents and models")
