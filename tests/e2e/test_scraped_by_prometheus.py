"""What a real Prometheus makes of the sidecar's page: it takes every label, and misses no first event."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import uvloop
import yaml

from programs import ask
from promtool import prometheus
from push_rig import Watched
from tracekeeper_sidecar.admin.port import take
from tracekeeper_sidecar.admin.scrapes import Scrapes
from tracekeeper_sidecar.admin.server import AdminServer, Probes
from tracekeeper_sidecar.admin.snapshot import LogFacts, PolicyFacts, Snapshot
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.meter.families import METERED, REQUEST_DURATION, REQUESTS
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram, Reading, Row
from tracekeeper_sidecar.settings import Address
from waiting import attempted

TRACE = bytes(range(16))
AWKWARD = ['quo"te', "back\\slash", "line\nfeed", "nul\0", "\r", "\ud800", "日本語", '"} 1\n# EOF\n', "{a='b'}", " "]


class Counting:
    """What spans are counted as, as a test says."""

    def __init__(self) -> None:
        self.agents: list[str] = []

    def read(self) -> Reading:
        """A failed request of each agent, born in their order; and one histogram that was there before."""
        rows = tuple(Row(("shop/agents", "shop", each, "", "error", "oops"), 1, born) for born, each in self._born())
        counts = (1, *[0] * len(REQUEST_DURATION.bounds))
        exemplar = Exemplar(TRACE, b"s" * 8, 0.001, SystemClock().now())
        histogram = Histogram(counts, 0.001, (exemplar, *[None] * len(REQUEST_DURATION.bounds)))
        durations = (Row(("shop/agents", "shop", "old", ""), histogram, 0),)
        return Reading(dict.fromkeys(METERED, ()) | {REQUESTS: rows, REQUEST_DURATION: durations}, len(rows))

    def _born(self) -> list[tuple[int, str]]:
        return list(enumerate(self.agents, 1))


def nothing(*_: object) -> None:
    """What a test asks of no probe."""


@asynccontextmanager
async def served(counting: Counting) -> AsyncIterator[int]:
    """The port at which the sidecar's pages are."""
    snapshot = Snapshot(
        1.0, PolicyFacts("shop/agents", 1), LogFacts(acknowledged=0), refused={}, refused_requests={}, suspended_spans=0
    )
    asked: dict[str, Any] = {"snapshot": lambda: snapshot, "reading": counting.read}
    probes = Probes(**dict.fromkeys((each.name for each in fields(Probes)), nothing) | asked)
    server = AdminServer(probes, Scrapes(SystemClock()))
    port = take(Address("127.0.0.1", 0))
    await server.start(port)
    try:
        yield port.getsockname()[1]
    finally:
        await server.stop()


class WatchedCounting(Counting):
    """The same, and the threads in which somebody looks at rows."""

    def read(self) -> Reading:
        """See Counting."""
        found = super().read()
        self.watched = Watched(found)
        return Reading(self.watched, found.youngest)


def test_a_scrape_looks_at_rows_in_a_thread_alone() -> None:
    """There are thousands, and spans are received meanwhile."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scrape_once())


async def scrape_once() -> None:
    counting = WatchedCounting()
    counting.agents.append("planner")
    async with served(counting) as port:
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read())
    assert b'agent="planner"' in page
    assert counting.watched.threads
    assert threading.get_ident() not in counting.watched.threads


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def get(self, path: str, **query: object) -> Any:
        """The data of an answer of its API; None while there is none."""
        target = f"/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            return json.loads(await asyncio.to_thread(ask, self._port, target))["data"]
        except OSError:
            return None

    async def values(self, query: str) -> dict[str, float]:
        """A query's result, by agent."""
        found = await self.get("query", query=query)
        return {each["metric"].get("agent", ""): float(each["value"][1]) for each in found["result"]} if found else {}


@asynccontextmanager
async def scraping(port: int, folder: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes 127.0.0.1:`port` twice a second."""
    (folder / "prometheus.yaml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
                "scrape_configs": [{"job_name": "x", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            }
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        own: int = free.getsockname()[1]
    command = [
        str(prometheus()),
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{own}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        yield Prometheus(own)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


def test_prometheus_takes_every_page_and_sees_every_first_event_rise(tmp_path: Path) -> None:
    """On the event loop that the sidecar runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watch(tmp_path))


async def watch(tmp_path: Path) -> None:
    counting = Counting()
    async with served(counting) as port, scraping(port, tmp_path) as running:

        async def scraped() -> bool:
            return (await running.values("up")).get("", 0) == 1

        await attempted(scraped, "the first scrape")
        counting.agents += AWKWARD

        async def risen() -> bool:
            rises = await running.values("increase(tracekeeper_requests_total[5m]) > 0")
            return len(rises) == len(AWKWARD)

        await attempted(risen, "every row rises")
        assert (await running.values("min_over_time(up[5m])"))[""] == 1, "no page was refused"
        first = await running.values("min_over_time(tracekeeper_requests_total[5m])")
        last = await running.values("tracekeeper_requests_total")
        shown = {each.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\ud800", "?") for each in AWKWARD}
        assert first == dict.fromkeys(shown, 0)
        assert last == dict.fromkeys(shown, 1)
        assert set((await running.values("resets(tracekeeper_requests_total[5m])")).values()) == {0}
        assert await running.values("tracekeeper_request_duration_seconds_count") == {"old": 1}
        (found,) = await running.get(
            "query_exemplars", query="tracekeeper_request_duration_seconds_bucket", start=0, end=4e9
        )
        assert {each["labels"]["trace_id"] for each in found["exemplars"]} == {TRACE.hex()}
