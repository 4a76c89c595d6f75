"""What every exporter can do. One exporter is one backend's connection with fixed address and credentials."""

from __future__ import annotations

from typing import Protocol

from tracekeeper_sidecar.forward.outcome import Outcome

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; OTLP 1.11 allows no larger answer, and a larger one is judged by its status alone."""


class Exporter(Protocol):
    """Sends requests; any number at the same time."""

    async def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ASYNC109 (the client library's own)
        """Send one serialised ExportTraceServiceRequest and return within about `timeout` seconds.

        Never raises for what the backend or the network does. A cancelled send leaves nothing behind.
        """

    async def close(self) -> None:
        """Let go of all connections. Sends that still run end with Retry."""
