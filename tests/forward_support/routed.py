"""A real log with Routes behind it, as a sidecar has them, without its ports; and a disk that can be told to fail."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.kept import Storage
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.routes import Routes
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from traces_to_sample import request_of
from waiting import until

QUOTA = 64 << 20
NOTHING_KEPT = {"type": "Probabilistic", "probabilistic": {"probability": 0}}
ERRORS = {"name": "errors", "match": 'trace.status == "error"', "probability": 1}


def sampling(*rules: dict[str, Any], wait: str = "100ms", default: dict[str, Any] | None = None) -> dict[str, Any]:
    """A section `sampling`: by default errors are kept, and nothing else."""
    return {"decisionWait": wait, "rules": list(rules or (ERRORS,)), "default": default or NOTHING_KEPT}


class FaultyFiles(SystemFiles):
    """Fails operations on paths of which `broken` says so: it is asked with the operation and the path."""

    def __init__(self) -> None:
        self.broken: Callable[[str, str], bool] = lambda operation, path: False
        self.handles: dict[int, str] = {}
        """Open files."""

    def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
        self._check("open", path)
        handle = super().open(path, write=write, create=create)
        self.handles[handle] = path
        return handle

    def close(self, handle: int) -> None:
        self.handles.pop(handle, None)
        super().close(handle)

    def listdir(self, path: str) -> list[str]:
        self._check("listdir", path)
        return super().listdir(path)

    def unlink(self, path: str) -> None:
        self._check("unlink", path)
        super().unlink(path)

    def pwritev(self, handle: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self._check("write", self.handles.get(handle, ""))
        return super().pwritev(handle, buffers, offset)

    def _check(self, operation: str, path: str) -> None:
        if self.broken(operation, path):
            raise OSError(errno.EIO, "Input/output error")


class Routed:
    """Made by `routed`."""

    def __init__(self, log: Log, routes: Routes, files: FaultyFiles) -> None:
        self.log, self.routes, self.files = log, routes, files

    async def apply(self, *backends: dict[str, Any], **sections: Any) -> None:
        """Put a config into force; sections that are None are left out."""
        spec = {"backends": list(backends), **{name: value for name, value in sections.items() if value is not None}}
        parsed, faults = parse_spec(spec)
        assert not faults, faults
        await self.routes.apply(resolve(parsed), DocumentSecrets({}))

    async def put(self, *traces: Sequence[Span], whole: bool = False) -> None:
        """Acknowledge these traces, each in a request of its own, unless `whole` joins them."""
        for spans in [list(chain.from_iterable(traces))] if whole else traces:
            error = await self.offer(request_of(spans), len(spans))
            assert error is None, error

    async def offer(self, body: bytes, spans: int) -> LogError | None:
        answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
        self.log.submit(body, spans, answered.set_result)
        return await answered

    def entry(self, name: str) -> EntryHealth:
        (found,) = (entry for entry in self.routes.entries() if entry.name == name)
        return found

    def check(self) -> None:
        """The equation that must hold at every moment."""
        for entry in self.routes.entries():
            account = entry.account
            assert account.start + account.settled() + entry.pending == self.log.end.seq, entry

    async def settled(self) -> None:
        """Wait until no entry has anything pending."""
        await until(lambda: not self.routes.pending(), "everything is settled")
        self.check()


@asynccontextmanager
async def routed(
    directory: Path, *, moves: bool = True, quota: int = QUOTA, files: FaultyFiles | None = None
) -> AsyncIterator[Routed]:
    """Routes over the log in `directory`, closed in order at the end. Entries move by themselves only if `moves`."""
    files, clock = files or FaultyFiles(), SystemClock()
    folder = str(directory)
    log = await asyncio.to_thread(lambda: Log.open(folder, files=files, clock=clock, quota=quota))
    routes = Routes(log, CursorStore(folder, files), clock, Storage(folder, files, quota, 0))
    await routes.begin()
    running = asyncio.create_task(routes.run()) if moves else None
    made = Routed(log, routes, files)
    try:
        yield made
        made.check()
        assert running is None or not running.done(), running
    finally:
        if running is not None:
            running.cancel()
            await asyncio.wait((running,))
        await routes.close()
        await log.close()
