"""New series as scrapers see them: from 0 to what they are, and never back."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

SPANS, REQUESTS = "tracekeeper_metered_spans_total", "tracekeeper_requests_total"


def scraped(sidecar: RunningSidecar, name: str) -> list[float]:
    """A metric's values, as a scraper has them that asks as Prometheus does."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{sidecar.admin}/metrics",
        headers={"Accept": "application/openmetrics-text", "X-Prometheus-Scrape-Timeout-Seconds": "10"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        families = text_string_to_metric_families(answer.read().decode())  # type: ignore[no-untyped-call]
        return [sample.value for family in families for sample in family.samples if sample.name == name]


def counted(sidecar: RunningSidecar) -> bool:
    """Whether all seven spans are, as a person sees it."""
    return f"\n{REQUESTS}{{" in (page := sidecar.get("/metrics")[1]) and "} 7.0" in page.partition(REQUESTS + "{")[2]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_scraper_sees_a_row_rise_from_0_once_in_its_life(
    sidecars: Sidecars, start_backend: Callable[..., Backend], end: str
) -> None:
    config = manifest(otlp("a", "GRPC", start_backend("--name", "a").grpc))
    sidecar = sidecars.start(config=config)
    assert scraped(sidecar, REQUESTS) == []
    assert sidecar.post(7, seed=1) == 200
    until(lambda: counted(sidecar), "the spans are counted", 30)
    assert scraped(sidecar, REQUESTS) == [0]
    assert scraped(sidecar, REQUESTS) == scraped(sidecar, SPANS) == [7]
    getattr(sidecar, end)()
    again = sidecars.start()
    assert until(lambda: scraped(again, REQUESTS), "they are shown after a restart", 30) == [7], (
        "the first that is shown"
    )
