"""A real log and a real forwarder in a temporary directory, with what tests ask of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from forward_support.spans import request
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.forward.backend import BackendHealth
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from waiting import until

QUICK: dict[str, Any] = {
    "timeout": "5s",
    "batch": {"maxDelay": "10ms"},
    "retry": {"initialBackoff": "10ms", "maxBackoff": "50ms", "budget": 1},
    "circuitBreaker": {"failureThreshold": 3, "openFor": "50ms", "maxOpenFor": "200ms"},
}
"""Backend settings under which nothing takes long."""


def backend(name: str, endpoint: str, protocol: str = "GRPC", otlp: Any = None, **settings: Any) -> dict[str, Any]:
    """A backend as written in a TracingConfig, with quick settings unless others are given."""
    wanted = {"protocol": protocol, "endpoint": endpoint, **(otlp or {})}
    return {"name": name, "type": "OTLP", "otlp": wanted, **QUICK, **settings}


class Rig:
    """Made by `rig`."""

    def __init__(self, log: Log, forwarder: Forwarder, letters: DeadLetters) -> None:
        self.log, self.forwarder, self.letters = log, forwarder, letters
        self.sent: list[str] = []
        """Ids of every acknowledged span."""

    async def apply(
        self,
        backends: Sequence[dict[str, Any]],
        delivery: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Mapping[str, bytes]] | None = None,
        buffer: dict[str, Any] | None = None,
    ) -> None:
        """Put a config into force; of a delivery entry, by name, its list of backends suffices."""
        spec: dict[str, Any] = {"backends": list(backends)} if backends else {}
        if delivery:
            spec["delivery"] = [
                {"name": name, **(chosen if isinstance(chosen, dict) else {"backends": list(chosen)})}
                for name, chosen in delivery.items()
            ]
        if buffer is not None:
            spec["buffer"] = buffer
        parsed, faults = parse_spec(spec)
        assert not faults, faults
        resolved = resolve(parsed)
        store = DocumentSecrets(secrets or {})
        await self.forwarder.apply(resolved.backends, resolved.delivery, store, resolved.buffer)

    async def put(self, spans: int, requests: int = 1, size: int = 20, critical: bool = False) -> list[str]:
        """Acknowledge `requests` requests of `spans` spans each; returns their ids."""
        made = [request(spans, size) for _ in range(requests)]
        await asyncio.gather(*(self._append(body, spans, critical) for body, _ in made))
        ids = [span for _, batch in made for span in batch]
        self.sent += ids
        return ids

    async def _append(self, body: bytes, spans: int, critical: bool) -> None:
        answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
        self.log.submit(body, spans, answered.set_result, critical)
        error = await answered
        assert error is None, error

    def entry(self, name: str) -> EntryHealth:
        return next(entry for entry in self.forwarder.entries() if entry.name == name)

    def backend(self, name: str) -> BackendHealth:
        return next(health for health in self.forwarder.backends() if health.name == name)

    async def settled(self) -> None:
        """Wait until no entry has anything pending."""
        await until(lambda: not self.forwarder.pending(), "everything is settled")
        self.check_ledger()

    def check_ledger(self) -> None:
        """The equation that must hold at every moment."""
        for entry in self.forwarder.entries():
            account = entry.account
            assert account.start + account.settled() + entry.pending == self.log.end.seq, entry


@asynccontextmanager
async def running(
    directory: Path, files: SystemFiles | None = None, letters: DeadLetters | None = None, **log_settings: Any
) -> AsyncIterator[Rig]:
    """A forwarder over the log in `directory`, closed in order at the end."""
    files, clock = files or SystemFiles(), SystemClock()
    settings = {"quota": 64 << 20, **log_settings}
    log = await asyncio.to_thread(lambda: Log.open(str(directory), files=files, clock=clock, **settings))
    letters = letters or DeadLetters(str(directory), files)
    forwarder = Forwarder(log, CursorStore(str(directory), files), clock, letters=letters)
    made = Rig(log, forwarder, letters)
    try:
        yield made
        made.check_ledger()
    finally:
        await forwarder.close()
        await log.close()
