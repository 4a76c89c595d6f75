"""OpenTelemetry's SDKs for Go, Java and JavaScript send into the sidecar: what they count is what the backends have."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from foreign_clients import CLIENTS, Client, Counts, ToolMissing
from programs import Backend
from sidecar_process import Sidecars, manifest, otlp

SPANS = 230
WAYS = [(client, protocol) for client in CLIENTS for protocol in client.protocols]


def run(client: Client, endpoint: str, protocol: str, compression: str) -> Counts:
    try:
        return client.run(endpoint, protocol, compression, SPANS)
    except ToolMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT RUN: {missing}")


@pytest.mark.timeout(1000)  # The first run on a machine that was not set up builds the client.
@pytest.mark.parametrize(("client", "protocol"), WAYS, ids=lambda part: getattr(part, "language", part))
def test_every_span_that_an_sdk_sends_is_acknowledged_and_arrives_once(
    client: Client, protocol: str, sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), otlp("b", "HTTP", b.http)))
    port = sidecar.grpc if protocol == "grpc" else sidecar.http
    for compression in ("none", "gzip"):
        assert run(client, f"http://127.0.0.1:{port}", protocol, compression) == Counts(sent=SPANS, failed=0)
    book = sidecar.settled()
    assert book["received"] == book["acknowledged"] == 2 * SPANS
    for backend in (a, b):
        stats = backend.json("/stats")
        assert (stats["distinct"], stats["duplicates"]) == (2 * SPANS, 0)
    assert sidecar.stop() == 0
