"""Where there are no PodMonitors, pods say by annotations where their sidecar is scraped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import OPTIONS, config, pod, scope
from tracekeeper_operator.access import Access
from tracekeeper_operator.alerts.scraping import Annotate, Scraping
from tracekeeper_operator.bounds import Bounds
from tracekeeper_operator.inject import Injection, inject
from tracekeeper_operator.kube import Kube
from tracekeeper_spec.parse import parse_manifest
from waiting import until

V1 = "/apis/monitoring.coreos.com/v1"


def scraped(made: dict[str, Any], *, scrape: bool = True, **spec: Any) -> dict[str, str]:
    """Of scraping, that the injector puts on a pod."""
    found, faults = parse_manifest(config(**spec))
    assert found is not None, faults
    options = replace(OPTIONS, scrape=scrape)
    outcome = inject(made, scope([found]), options, by_namespace=False, bounds=Bounds())
    assert isinstance(outcome, Injection)
    values = {str(item["path"]).rpartition("/")[2].replace("~1", "/"): item["value"] for item in outcome.patch}
    return {name: value for name, value in values.items() if name.startswith("prometheus.io")}


def test_a_pod_says_where_its_sidecar_is_scraped() -> None:
    found = scraped(pod(inject="true"), sidecar={"ports": {"metrics": 15000}})
    assert found == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "15000",
        "prometheus.io/path": "/metrics",
    }
    assert scraped(pod(inject="true"), scrape=False) == {}


@pytest.mark.parametrize("name", ["prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path"])
def test_what_a_pod_says_itself_stays(name: str) -> None:
    own = pod(inject="true")
    own["metadata"]["annotations"][name] = "9464"
    assert scraped(own) == {}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


@pytest.mark.parametrize(
    ("annotate", "kinds", "wanted"),
    [
        (Annotate.AUTO, [], True),
        (Annotate.AUTO, ["podmonitors"], False),
        (Annotate.ALWAYS, ["podmonitors"], True),
        (Annotate.NEVER, [], False),
    ],
)
async def test_whether_they_say_so(api: Api, annotate: Annotate, kinds: list[str], wanted: bool) -> None:
    if kinds:
        api.documents[V1] = "application/json", {"resources": [{"name": name} for name in kinds]}
    async with Kube(Access(api.url)) as kube:
        scraping = Scraping(kube, annotate)
        assert scraping.annotated is (annotate is Annotate.ALWAYS), "nobody knows yet"
        task = asyncio.create_task(scraping.run())
        if annotate is Annotate.AUTO:
            await until(lambda: scraping._presence.known)
        assert scraping.annotated is wanted
        task.cancel()
