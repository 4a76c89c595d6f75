"""Metrics as OTLP has them."""

from __future__ import annotations

import gzip

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from push_rig import EXEMPLAR, POD, http_server, page
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.push.caller import Caller
from tracekeeper_sidecar.push.otlp import OtlpTarget
from tracekeeper_spec.metering import PushHeader


def said(attributes: list[KeyValue]) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


async def test_an_export_says_the_same_as_a_scrape() -> None:
    with http_server() as server:
        pushing = OtlpTarget(
            Caller(f"http://127.0.0.1:{server.port}/base", 1024), POD, (PushHeader("X-Scope-OrgID", "shop"),)
        )
        await pushing.push(page(requests=3, dropped=2), 10)
        pushing.close()
    ((path, headers, body),) = server.requests
    assert path == "/base/v1/metrics"
    assert headers["x-scope-orgid"] == "shop"
    assert headers["content-type"] == "application/x-protobuf"
    (resource,) = ExportMetricsServiceRequest.FromString(gzip.decompress(body)).resource_metrics
    assert said(list(resource.resource.attributes)) == {
        "service.name": "tracekeeper-sidecar",
        "service.instance.id": "u-1",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "job-1",
        "k8s.pod.uid": "u-1",
    }
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    assert len(metrics) == 5
    requests = metrics["tracekeeper_requests_total"].sum
    assert requests.is_monotonic
    assert requests.aggregation_temporality == pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = requests.data_points
    assert (point.as_int, point.time_unix_nano, point.start_time_unix_nano) == (3, 1_700_000_000 * 10**9, 0)
    assert said(list(point.attributes)) == {"alerts": "shop/agents", "service": "shop", "agent": "a|b", "status": "ok"}
    assert metrics["tracekeeper_log_bytes"].gauge.data_points[0].as_double == 4096
    assert metrics["tracekeeper_log_bytes"].unit == "By"
    duration = metrics["tracekeeper_request_duration_seconds"]
    assert duration.unit == "s"
    (spread,) = duration.histogram.data_points
    assert (spread.count, spread.sum) == (3, 0.003)
    assert list(spread.bucket_counts) == [3, *[0] * 22]
    assert len(spread.explicit_bounds) == 22
    (exemplar,) = spread.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (EXEMPLAR.trace_id, EXEMPLAR.span_id)
    assert exemplar.as_double == EXEMPLAR.value


async def test_a_refusal_is_a_failure() -> None:
    with http_server() as server:
        server.status = 503
        pushing = OtlpTarget(Caller(f"http://127.0.0.1:{server.port}", 1024), POD, ())
        with pytest.raises(PushFailed, match=r"answers 503 Service Unavailable: busy"):
            await pushing.push(page(), 10)
        pushing.close()
