"""Zipkin's JSON through a sidecar process, by its config and by its command line; and what OpenAI's ingest is told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]


def span(number: int) -> dict[str, Any]:
    return {
        "traceId": "5af7183fb1d4cf5f",
        "id": f"{number:016x}",
        "name": f"step {number}",
        "timestamp": 1556604172355737,
        "duration": 1431,
        "localEndpoint": {"serviceName": "backend"},
    }


def post(port: int, path: str, content: Any) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def own_port(sidecar: RunningSidecar) -> int:
    (line,) = sidecar.logged("^listening$")
    return int(str(line["zipkin"]).rpartition(":")[2])


def test_spans_come_by_both_ports_and_survive_a_crash(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    backend.fail("unavailable")
    sidecar = sidecars.start("--zipkin-listen=127.0.0.1:0", config=manifest(otlp("a", "GRPC", backend.grpc)))
    assert post(own_port(sidecar), "/api/v2/spans", [span(1), span(2)]) == (202, "")
    assert post(sidecar.http, "/api/v2/spans", [span(3)]) == (202, "")
    assert post(own_port(sidecar), "/v1/traces", {})[0] == 404
    status, said = post(sidecar.http, "/api/v2/spans", [span(4), {}])
    assert (status, json.loads(said)["partialSuccess"]["errorMessage"]) == (202, "[1].traceId: missing")
    book = sidecar.ledger()
    assert (book["received"], book["acknowledged"], book["refused"]) == (5, 4, {"malformed": 1})
    sidecar.kill()
    backend.fail("ok")
    sidecars.start()
    until(lambda: backend.json("/stats")["distinct"] == 4, "all four arrive")
    assert {one["service"] for one in backend.json("/spans")} == {"backend"}


def test_the_config_says_whether_there_is_any(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    config = manifest(otlp("a", "GRPC", backend.grpc))
    sidecar = sidecars.start(config=config)
    assert post(sidecar.http, "/api/v2/spans", [span(1)])[0] == 404
    assert sidecar.stop() == 0
    sidecar = sidecars.start(config=manifest(*config["spec"]["backends"], sidecar={"receivers": {"zipkin": {}}}))
    assert post(sidecar.http, "/api/v2/spans", [span(1)])[0] == 202
    assert not any("zipkin" in line for line in sidecar.logged("^listening$"))


def test_what_openais_ingest_does_not_understand_is_told_and_counted(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc)))
    good = {
        "object": "trace.span",
        "id": "span_" + "1" * 24,
        "trace_id": "trace_" + "2" * 32,
        "started_at": "2026-11-22T13:11:17Z",
        "ended_at": "2026-11-22T13:11:18Z",
        "span_data": {"type": "agent", "name": "a"},
    }
    status, said = post(sidecar.http, "/v1/traces/ingest", {"data": [good, {"object": "trace.span"}]})
    assert (status, json.loads(said)["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert post(sidecar.http, "/v1/traces/ingest", {"data": 3})[0] == 400
    book = sidecar.settled()
    assert (book["received"], book["acknowledged"], book["refused"]) == (2, 1, {"malformed": 1})
    (line, *_) = sidecar.logged("refused what an application sent")
    assert line["message"].endswith("not valid as OpenAI trace ingest: data[1].id: missing")
