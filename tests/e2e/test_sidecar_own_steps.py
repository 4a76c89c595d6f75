"""Filters, attributes and steps of a user's own in a sidecar process: whatever these do, it stays alive, every span is
accounted for, and what is wrong is said."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from custom_world import install
from otlp_requests import request
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]


def named(name: str, spans: int = 4, seed: int = 0) -> bytes:
    """A request whose first span says what the step is to do."""
    message = request(spans, seed=seed)
    message.resource_spans[0].scope_spans[0].spans[0].name = name
    return message.SerializeToString()


def custom(point: str, on_error: str = "Bypass", timeout: str = "500ms", **config: Any) -> dict[str, Any]:
    own = {"entryPoint": point, "onError": on_error, "timeout": timeout, "config": config}
    return {"name": "mine", "type": "Custom", "custom": own}


def start(
    sidecars: Sidecars, folder: Path, backend: Backend, *processors: dict[str, Any], installed: bool = True
) -> RunningSidecar:
    if installed and not (folder / "spare_parts.py").exists():
        install(folder)
    config = manifest(otlp("a", "GRPC", backend.grpc), processors=list(processors))
    return sidecars.start(config=config, env={**os.environ, "PYTHONPATH": str(folder)})


def metric(sidecar: RunningSidecar, name: str, *labels: str) -> float:
    found = re.findall(rf"^{name}{{([^}}]*)}} (\S+)$", sidecar.get("/metrics")[1], re.MULTILINE)
    return sum(float(value) for written, value in found if all(label in written for label in labels))


HARM = ["raises", "stalls", "exits", "eats", "prints", "forks", "returns", "loses_ids", "doubles", "closes_everything"]


def test_a_step_that_does_harm_costs_nobody_a_span(sidecars: Sidecars, start_backend: Start, tmp_path: Path) -> None:
    backend = start_backend("--name", "a")
    sidecar = start(sidecars, tmp_path, backend, custom("odd"))
    for number, deed in enumerate(HARM):
        assert sidecar.send(named(deed, 4, number)) == 200, deed
    book = sidecar.settled()
    assert (book["received"], book["acknowledged"], book["refused"]) == (4 * len(HARM), 4 * len(HARM), {})
    until(lambda: backend.json("/stats")["distinct"] == 4 * len(HARM), "all arrive")
    bypassed = metric(sidecar, "tracekeeper_custom_bypassed_spans_total")
    assert bypassed >= 4 * 6
    assert metric(sidecar, "tracekeeper_custom_requests_total") == len(HARM)
    assert sidecar.stop() == 0


def test_a_step_that_must_not_be_bypassed_refuses_and_says_so(
    sidecars: Sidecars, start_backend: Start, tmp_path: Path
) -> None:
    backend = start_backend("--name", "a")
    sidecar = start(sidecars, tmp_path, backend, custom("odd", "Refuse", "3s"))
    assert sidecar.send(named("looks", 4, 1)) == 200
    assert sidecar.send(named("raises", 4, 2)) == 400
    assert sidecar.send(named("exits", 4, 4)) == 503
    until(lambda: sidecar.send(named("drops", 4, 3)) == 200, "the process runs again")
    book = sidecar.settled()
    assert book["acknowledged"] == 6 and book["refused"].keys() == {"processor"} and book["refused"]["processor"] >= 8
    assert metric(sidecar, "tracekeeper_spans_filtered_total", 'processor="mine"') == 2


def test_a_step_that_is_not_installed_is_named_in_health(
    sidecars: Sidecars, start_backend: Start, tmp_path: Path
) -> None:
    backend = start_backend("--name", "a")
    sidecar = start(sidecars, tmp_path, backend, custom("odd"), installed=False)
    assert sidecar.send(named("looks")) == 200
    warnings = until(lambda: [w for w in sidecar.health()["warnings"] if "mine" in w], "a warning")
    assert "has an entry point 'odd'" in warnings[0] and warnings[0].endswith("its spans go on as they are")
    assert sidecar.settled()["acknowledged"] == 4


def test_a_change_of_the_config_makes_a_new_process_and_the_sidecar_takes_it_along(
    sidecars: Sidecars, start_backend: Start, tmp_path: Path
) -> None:
    backend = start_backend("--name", "a")
    sidecar = start(sidecars, tmp_path, backend, custom("tag", value="one"))
    assert sidecar.send(named("x", 1, 1)) == 200
    assert children(sidecar.pid) == 1
    sidecars.write(
        manifest(
            otlp("a", "GRPC", backend.grpc),
            processors=[custom("tag", value="two"), {"name": "noise", "type": "Filter", "filter": {"drop": ["true"]}}],
        )
    )

    def filtered() -> float:
        assert sidecar.send(named("x", 1, time.monotonic_ns())) == 200
        return metric(sidecar, "tracekeeper_spans_filtered_total", 'processor="noise"')

    until(filtered, "the filter is in force")
    until(lambda: children(sidecar.pid) == 1, "the old process has ended")
    assert metric(sidecar, "tracekeeper_custom_starts_total") == 2
    sidecar.settled()
    sidecar.kill()
    until(lambda: not workers(tmp_path), "its process has ended with it")


def children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def workers(folder: Path) -> list[str]:
    """Processes of steps that live, by the folder that only this test's have."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (
                str(folder).encode() in (entry / "environ").read_bytes()
                and b"custom.worker" in (entry / "cmdline").read_bytes()
            ):
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_what_comes_before_the_policy_is_read_keeps_its_headers(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    step = {"target": "Resource", "set": [{"key": "service.name", "fromContext": "X-Tenant"}]}
    processors = [{"name": "tags", "type": "Attributes", "attributes": step}]
    # Its ports are bound long before it has read that.
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc), processors=processors))
    export = urllib.request.Request(
        f"http://127.0.0.1:{sidecar.http}/v1/traces",
        request(3).SerializeToString(),
        {"Content-Type": "application/x-protobuf", "X-Tenant": "from-header"},
    )
    with urllib.request.urlopen(export, timeout=15) as answer:
        assert answer.status == 200
    until(lambda: backend.json("/stats")["distinct"] == 3, "all arrive")
    assert {one["service"] for one in backend.json("/spans")} == {"from-header"}


def test_filters_and_attributes_with_the_context_of_the_request(
    sidecars: Sidecars, start_backend: Start, tmp_path: Path
) -> None:
    backend = start_backend("--name", "a")
    sidecar = start(
        sidecars,
        tmp_path,
        backend,
        {"name": "noise", "type": "Filter", "filter": {"drop": ['span.name.endsWith("2")']}},
        {
            "name": "tags",
            "type": "Attributes",
            "attributes": {
                "target": "Resource",
                "set": [{"key": "service.name", "fromContext": "X-Service"}, {"key": "fixed", "value": "1"}],
            },
        },
    )
    until(lambda: sidecar.health()["config"], "the policy is in force")
    export = urllib.request.Request(
        f"http://127.0.0.1:{sidecar.http}/v1/traces",
        request(5).SerializeToString(),
        {"Content-Type": "application/x-protobuf", "X-Service": "from-header"},
    )
    with urllib.request.urlopen(export, timeout=15) as answer:
        assert answer.status == 200 and ExportTraceServiceRequest.FromString(answer.read()) is not None
    until(lambda: backend.json("/stats")["distinct"] == 4, "four arrive")
    assert {one["service"] for one in backend.json("/spans")} == {"from-header"}
    book = sidecar.settled()
    assert (book["received"], book["acknowledged"], book["refused"]) == (5, 4, {})
