"""The OpenTelemetry Collector on either side of the sidecar: nothing is lost or doubled.

Its own exporters, otlp and otlphttp, send into the sidecar; and its receiver, which stands on Go's servers for gRPC and
HTTP, is the sidecar's backend.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import yaml

from otlp_requests import body
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

BUILD = Path(__file__).parents[2] / "bench" / "collector_build.py"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
REQUESTS, SPANS = 40, 25
Run = Callable[..., int]


@pytest.fixture(scope="module")
def collector() -> str:
    """The program, built from Go modules the first time on a machine that was not set up."""
    built = subprocess.run([sys.executable, str(BUILD)], stdout=subprocess.PIPE, text=True, check=True, timeout=1800)
    return built.stdout.strip()


def exporter(kind: str, sidecar: RunningSidecar, compression: str) -> dict[str, object]:
    port = sidecar.grpc if kind == "otlp" else sidecar.http
    endpoint = f"127.0.0.1:{port}" if kind == "otlp" else f"http://127.0.0.1:{port}"
    return {"endpoint": endpoint, "tls": {"insecure": True}, "compression": compression}


@pytest.fixture
def run_collector(collector: str, tmp_path: Path) -> Iterator[Run]:
    """Starts it with the given exporters; returns the port on which it takes OTLP."""
    running: list[subprocess.Popen[bytes]] = []

    def run(exporters: dict[str, object], protocol: str = "grpc") -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        config = tmp_path / "collector.yaml"
        pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
        protocols = {protocol: {"endpoint": f"127.0.0.1:{port}"}}
        config.write_text(
            yaml.safe_dump(
                {
                    "receivers": {"otlp": {"protocols": protocols}},
                    "exporters": exporters,
                    "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": {"traces": pipeline}},
                }
            )
        )
        with (tmp_path / "collector.log").open("ab") as log:
            environment = {"PATH": os.environ["PATH"]}
            command = [collector, "--config", str(config)]
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        until(lambda: listening(port), "the Collector listens", 60)
        return port

    yield run
    for process in running:
        process.terminate()
        process.wait(timeout=30)


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.timeout(1900)
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("kind", ["otlp", "otlphttp"])
def test_every_span_that_its_exporter_sends_is_acknowledged_and_arrives_once(
    kind: str,
    compression: str,
    sidecars: Sidecars,
    start_backend: Callable[..., Backend],
    run_collector: Run,
) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc)))
    port = run_collector({kind: exporter(kind, sidecar, compression)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        for number in range(REQUESTS):
            call(body(SPANS, seed=number + 1), timeout=10)
    sent = REQUESTS * SPANS
    until(lambda: sidecar.ledger()["acknowledged"] >= sent, "all is acknowledged", 30)
    book = sidecar.settled()
    assert book["received"] == book["acknowledged"] == sent
    stats = backend.json("/stats")
    assert (stats["distinct"], stats["duplicates"]) == (sent, 0)


@pytest.mark.timeout(1900)
@pytest.mark.parametrize(
    ("protocol", "compression"),
    [("GRPC", "None"), ("GRPC", "Gzip"), ("HTTP", "None"), ("HTTP", "Gzip"), ("HTTP", "Zstd")],
)
def test_its_receiver_takes_every_span_once(
    protocol: str,
    compression: str,
    sidecars: Sidecars,
    start_backend: Callable[..., Backend],
    run_collector: Run,
) -> None:
    behind = start_backend("--name", "behind")
    onward = {"endpoint": f"127.0.0.1:{behind.grpc}", "tls": {"insecure": True}}
    port = run_collector({"otlp": onward}, protocol.lower())
    sidecar = sidecars.start(config=manifest(otlp("collector", protocol, port, otlp={"compression": compression})))
    for number in range(REQUESTS):
        assert sidecar.post(SPANS, number + 1) == 200
    book = sidecar.settled()
    sent = REQUESTS * SPANS
    entry = book["delivery"]["collector"]
    assert (entry["delivered"], entry["dropped"], entry["pending"]) == (sent, 0, 0)
    until(lambda: behind.json("/stats")["distinct"] == sent, "all has passed the Collector", 30)
    assert behind.json("/stats")["duplicates"] == 0
