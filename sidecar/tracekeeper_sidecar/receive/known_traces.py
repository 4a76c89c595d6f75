"""What has been said of traces whose spans are still to come."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tracekeeper_sidecar.wire.openai_trace import Trace

MOST: Final = 4096
"""Traces."""
MOST_BYTES: Final = 4 << 20
LIFETIME: Final = 3600.0
"""Seconds since a trace was last heard of."""


class KnownTraces:
    """The most recent ones. Changed on the event loop only; `get` may be called by any thread."""

    def __init__(
        self,
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        lifetime: float = LIFETIME,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._most_bytes, self._lifetime, self._monotonic = most, most_bytes, lifetime, monotonic
        self._traces: OrderedDict[str, tuple[Trace, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._traces)

    def get(self, name: str) -> Trace | None:
        """What was said of the trace with this id; None when nothing was, or that is long ago."""
        found = self._traces.get(name)
        return found[0] if found is not None and self._monotonic() - found[1] < self._lifetime else None

    def put(self, name: str, trace: Trace) -> None:
        """Remember it. A trace keeps the parent that it had: its spans are below that already."""
        before = self.get(name)
        if before is not None and before.parent is not None:
            trace = Trace(before.parent, trace.service, trace.common, trace.top)
        self._drop(name)
        if trace.size > self._most_bytes:
            return
        self._traces[name] = trace, self._monotonic()
        self._bytes += trace.size
        self._make_room()

    def touch(self, name: str) -> None:
        """Note that something of it came."""
        found = self._traces.get(name)
        if found is not None:
            self._traces[name] = found[0], self._monotonic()
            self._traces.move_to_end(name)

    def _make_room(self) -> None:
        oldest = self._monotonic() - self._lifetime
        while self._traces:
            name, (_, since) = next(iter(self._traces.items()))
            if len(self._traces) <= self._most and self._bytes <= self._most_bytes and since > oldest:
                return
            self._drop(name)

    def _drop(self, name: str) -> None:
        found = self._traces.pop(name, None)
        if found is not None:
            self._bytes -= found[0].size
