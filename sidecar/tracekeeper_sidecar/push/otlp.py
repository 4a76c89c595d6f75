"""OTLP metrics over HTTP, in protobuf, with cumulative temporality.

Counters outlive restarts of the sidecar, so their start is not the process's; it is left out, which the data model
allows, because one that moves while the count does not looks like a restart. Names are those of the scrape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tracekeeper_sidecar.admin.openmetrics import Sample
from tracekeeper_sidecar.forward.encoding import encode
from tracekeeper_sidecar.meter.reading import Histogram
from tracekeeper_sidecar.metrics import Metric
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.caller import Caller, refused
from tracekeeper_sidecar.push.page import Page
from tracekeeper_spec.metering import PushHeader

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

PATH, PROTOBUF = "/v1/metrics", "application/x-protobuf"
UNITS = {"seconds": "s", "bytes": "By", "dollars": "{USD}", "tokens": "{token}"}
"""As UCUM writes them. What is in braces adds nothing to names where they are made of units."""


class OtlpTarget:
    """A receiver, and whose metrics it is sent."""

    def __init__(self, caller: Caller, pod: Pod, headers: tuple[PushHeader, ...]) -> None:
        self._caller, self._pod = caller, pod
        self._headers = (
            ("Content-Type", PROTOBUF),
            ("Content-Encoding", "gzip"),
            *((header.name, header.value) for header in headers),
        )

    def begin(self, page: Page, *, again: bool = False) -> None:
        """Nothing: it is told totals."""

    async def push(self, page: Page, timeout: float) -> None:  # noqa: ASYNC109 - see Target
        """See Target."""
        body = await asyncio.to_thread(lambda: request(page, self._pod).SerializeToString())
        packed = await encode(body, "gzip")
        answer = await self._caller.call("POST", PATH, packed, self._headers, timeout=timeout)
        if not 200 <= answer.status < 300:
            raise refused(self._caller.endpoint, answer)

    async def tidy(self, now: float) -> None:
        """Nothing is left behind there."""

    def close(self) -> None:
        """See Target."""
        self._caller.close()


def request(page: Page, pod: Pod) -> ExportMetricsServiceRequest:
    """The page as one export."""
    from opentelemetry.proto.collector.metrics.v1 import (  # noqa: PLC0415 - slow import
        metrics_service_pb2 as service,
    )

    export = service.ExportMetricsServiceRequest()
    resource = export.resource_metrics.add()
    about = {
        "service.name": "tracekeeper-sidecar",
        "service.instance.id": pod.uid or pod.name,
        "k8s.namespace.name": pod.namespace,
        "k8s.pod.name": pod.name,
        "k8s.pod.uid": pod.uid,
    }
    resource.resource.attributes.extend(_attributes(tuple(about), tuple(about.values())))
    scope = resource.scope_metrics.add()
    scope.scope.name = "tracekeeper"
    at = int(page.at * 1e9)
    for metric, samples in page.families():
        _add(scope.metrics.add(), metric, samples, at)
    return export


def _attributes(names: tuple[str, ...], values: tuple[str, ...]) -> list[KeyValue]:
    """Those that say something."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue  # noqa: PLC0415 - slow import

    return [
        KeyValue(key=name, value=AnyValue(string_value=value.encode("utf-8", "replace").decode()))
        for name, value in zip(names, values, strict=True)
        if value
    ]


def _add(written: pb.Metric, metric: Metric, samples: Iterable[Sample], at: int) -> None:
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb  # noqa: PLC0415 - slow import

    written.name, written.description, written.unit = metric.name, metric.help, UNITS.get(metric.unit, "")
    if metric.type == "counter":
        written.sum.is_monotonic = True
        written.sum.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    elif metric.type == "histogram":
        written.histogram.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    for values, value in samples:
        attributes = _attributes(metric.labels, values)
        if isinstance(value, Histogram):
            _add_histogram(written.histogram.data_points.add(), metric, value, at)
            written.histogram.data_points[-1].attributes.extend(attributes)
            continue
        points = written.sum.data_points if metric.type == "counter" else written.gauge.data_points
        point = points.add(time_unix_nano=at, attributes=attributes)
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value


def _add_histogram(point: pb.HistogramDataPoint, metric: Metric, value: Histogram, at: int) -> None:
    point.time_unix_nano = at
    point.count, point.sum = sum(value.counts), value.total
    point.explicit_bounds.extend(metric.bounds)
    point.bucket_counts.extend(value.counts)
    for found in value.exemplars:
        if found is not None:
            point.exemplars.add(
                time_unix_nano=int(found.at * 1e9),
                as_double=found.value,
                trace_id=found.trace_id,
                span_id=found.span_id,
            )
