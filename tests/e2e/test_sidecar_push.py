"""A job that ends before anybody has scraped it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from programs import Backend
from push_rig import running_gateway
from sidecar_process import Sidecars, manifest, otlp


def test_the_last_counts_of_a_pod_are_pushed_when_it_ends(
    sidecars: Sidecars, start_backend: Callable[..., Backend], tmp_path: Path
) -> None:
    with running_gateway(tmp_path) as gateway:
        jobs = {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": gateway.endpoint}}
        backend = otlp("a", "GRPC", start_backend("--name", "a").grpc)
        sidecar = sidecars.start(config=manifest(backend, metrics={"push": [jobs]}))
        assert sidecar.post(7, seed=1) == 200
        sidecar.settled()
        assert gateway.series() == {}
        assert sidecar.stop() == 0
        shown = {name.split()[0]: value for name, value in gateway.series().items()}
        assert shown["tracekeeper_spans_acknowledged_total"] == 7
        assert shown["tracekeeper_spans_delivered_total"] == 7
        assert shown["tracekeeper_spans_pending"] == 0
        assert shown["tracekeeper_metered_spans_total"] == 7
        assert shown["tracekeeper_requests_total"] == 7


def test_a_gateway_that_is_away_is_told_and_stops_nothing(
    sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    jobs = {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": "http://127.0.0.1:1"}}
    backend = otlp("a", "GRPC", start_backend("--name", "a").grpc)
    sidecar = sidecars.start(config=manifest(backend, metrics={"push": [jobs]}))
    assert sidecar.post(7, seed=1) == 200
    sidecar.settled()
    assert sidecar.stop() == 0
    (line,) = sidecar.logged("metrics cannot be pushed")
    assert "cannot be reached" in line["message"]
