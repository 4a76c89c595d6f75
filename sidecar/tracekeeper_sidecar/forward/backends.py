"""All backends of the sidecar by name, each with its one exporter and circuit, whoever sends to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backend import Backend, BackendHealth
from tracekeeper_sidecar.forward.build import build
from tracekeeper_sidecar.forward.connection import Unusable, connect
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.secrets import Secrets


class Backends:
    """Owned by one event loop."""

    def __init__(self, clock: Clock, random: Callable[[], float]) -> None:
        self.signal = Signal(clock)
        """Fired when a backend may take again what it has not taken."""
        self._clock, self._random = clock, random
        self._named: dict[str, Backend] = {}
        self._gone: list[Backend] = []

    async def apply(self, specs: Sequence[BackendSpec], secrets: Secrets) -> None:
        """Add and change backends. Those that are no longer named stay open until `sweep`: somebody may still send."""
        wanted: dict[str, Backend] = {}
        for spec in specs:
            backend = self._named.get(spec.name)
            if backend is None:
                backend = Backend(spec, self._clock, self._random, self.signal.fire)
            else:
                backend.configure(spec)
            connection = connect(spec, secrets)
            if connection != backend.connection:
                exporter = connection if isinstance(connection, Unusable) else await build(connection)
                await backend.connect(connection, exporter)
            wanted[spec.name] = backend
        self._gone += [backend for name, backend in self._named.items() if name not in wanted]
        self._named = wanted

    async def sweep(self) -> None:
        """Close what is no longer named."""
        gone, self._gone = self._gone, []
        for backend in gone:
            await backend.close()

    async def close(self) -> None:
        """Close all of them."""
        await self.sweep()
        for backend in self._named.values():
            await backend.close()

    def get(self, name: str) -> Backend:
        """Raises KeyError for one that no config names."""
        return self._named[name]

    def hasten(self) -> None:
        """Let open circuits and paused retries be tried once more."""
        for backend in self._named.values():
            backend.hasten()

    def health(self) -> tuple[BackendHealth, ...]:
        """One moment of every backend."""
        return tuple(backend.health() for backend in self._named.values())
