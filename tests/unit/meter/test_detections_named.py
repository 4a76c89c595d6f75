"""How many detections are counted, whoever wrote a span's list of them."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import NOW, Said, add
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs


def counted(*lists: list[str] | str) -> dict[str, int]:
    """Detections by name, of spans that each say one such list."""
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number, each in enumerate(lists, 1):
        said: Said = {"tracekeeper.detected": each}
        add(spans, b"t" * 16, bytes([number]) * 8, b"p" * 8, 1, NOW * 10**9, 10**9, said)
    tally = Tally(tables.make(), Tariffs(asking(Prices(()))), seed=1)
    tally.take(message.SerializeToString(), NOW * 1000)
    family, names = tally.families["detections"], tally.labels["detector"].texts
    return {names[family.key(row) >> 16 & 255] or "": family.numbers(row)[0] for row in family.rows()}


def test_a_detector_counts_once_a_span() -> None:
    assert counted(["Loop"] * 1000, ["Loop", "FanOut", "Loop"]) == {"Loop": 2, "FanOut": 1}


def test_a_name_that_no_detector_has_is_none() -> None:
    assert counted(["Loops", "", "loop", "x" * 5000], "Loop", []) == {}
