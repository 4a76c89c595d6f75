"""The requests of the application, as a running sidecar shows them to Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from programs import Backend
from sidecar_process import Sidecars, manifest, otlp

NAME = "tracekeeper_application_request"


def test_requests_are_counted_from_the_spans_of_an_acknowledged_export(
    sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", start_backend("--name", "a").grpc)))
    assert f"{NAME}_duration_seconds_count 0.0" in sidecar.get("/metrics")[1]
    assert sidecar.post(7, seed=1) == 200
    lines = sidecar.get("/metrics")[1].splitlines()
    assert f"{NAME}_duration_seconds_count 7.0" in lines
    assert f'{NAME}_duration_seconds_bucket{{le="0.005"}} 7.0' in lines
    assert f"{NAME}_errors_total 0.0" in lines
