"""How long traces take, and how much was counted under the name of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from log_harness import DIRECTORY, ManualClock, open_log
from metered_spans import NOW, Said, add, fill
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.meter.checkpoint import CheckpointFile
from tracekeeper_sidecar.meter.families import DURATIONS, METER_OVERFLOW, TRACE_DURATION
from tracekeeper_sidecar.meter.reading import Histogram, Row
from tracekeeper_sidecar.meter.stage import Stage
from tracekeeper_sidecar.metrics import Metric
from tracekeeper_sidecar.wire.labels import MOST

SECOND = 10**9
SERVICES = 150
SPANS = "tracekeeper_metered_spans_total"


def one(start: float, took: float, span: bytes, parent: bytes = b"", kind: int = 1, service: str = "shop") -> bytes:
    """A request with one span of the trace; times are seconds."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": service})
    said: Said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "x"} if parent else {}
    begins = int((NOW + start) * SECOND)
    spans = resource.scope_spans.add().spans
    add(spans, b"t" * 16, span * 8, parent * 8, kind, begins, int(took * SECOND), said)
    return message.SerializeToString()


async def counted(messages: Iterable[bytes]) -> Mapping[Metric, tuple[Row, ...]]:
    """What a stage shows that has read these requests to their end."""
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, 8 << 20, history=4 << 20)
    stage = Stage(log, clock, CheckpointFile(DIRECTORY, files, 8 << 20))
    for message in messages:
        await log.append(message, 1)
    await stage.finish()
    families = stage.read().families
    stage.close()
    await log.close()
    return families


async def test_a_trace_takes_from_its_earliest_start_to_its_latest_end() -> None:
    # It goes on after its root: 9 s in all.
    (row,) = (await counted([one(2, 7, b"b", b"r"), one(0, 5, b"r", kind=2)]))[TRACE_DURATION]
    assert row.labels[1] == "shop" and isinstance(row.value, Histogram)
    bucket = next(place for place, bound in enumerate(DURATIONS) if bound >= 9)
    assert row.value.total == 9.0 and sum(row.value.counts) == row.value.counts[bucket] == 1
    exemplar = row.value.exemplars[bucket]
    assert exemplar is not None and (exemplar.trace_id, exemplar.value) == (b"t" * 16, 9.0)


async def test_what_is_counted_as_others_is_told() -> None:
    found = await counted(one(0, 1, bytes([number + 1]), b"p", service=f"s{number}") for number in range(SERVICES))
    told = {row.labels[1]: row.value for row in found[METER_OVERFLOW]}
    services = [row for metric, rows in found.items() if metric.name == SPANS for row in rows]
    names = {row.labels[1] for row in services}
    assert "other" in names and len(names) <= MOST + 1
    assert told[SPANS] == SERVICES - (len(names) - 1)
