"""One folder whose pod is gone: its log is opened here, delivered to the entries of the config, and the folder removed.

Nothing is ever added to the log. Its cursors and accounts go on in the folder itself, so whoever has it next, another
sidecar or the pod's own, goes on from there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tracekeeper_sidecar.adopt.folders import Folders
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.source import Instruction
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.secrets import Secrets

LOOK = 1.0
"""Seconds between looks at whether the pod's own sidecar is back."""
PATIENCE = 120.0
"""Seconds without a span delivered after which another folder gets its turn."""


class Outlet(Protocol):
    """Delivers what a folder holds."""

    async def apply(self, spec: ResolvedSpec, secrets: Secrets) -> None:
        """Make this the config in force. May raise LogUnavailable."""

    def entries(self) -> tuple[EntryHealth, ...]:
        """One moment of every delivery entry."""

    async def flush(self, end: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Deliver everything before `end`; False when time is up."""

    async def close(self) -> None:
        """Stop at once; cursors are saved."""


@dataclass(frozen=True, slots=True)
class Means:
    """What folders are found, opened and delivered with."""

    folders: Folders
    open_log: Callable[[str], Log]
    """Blocks; raises LogUnavailable, also while another process has the folder. Never makes one."""
    cursors: Callable[[str], CursorStore]
    forward: Callable[[str, Log, CursorStore], Outlet]
    """For a folder, its log and its cursors."""
    rescue: Callable[[str], Awaitable[None]]
    """Takes over what is to outlive a drained folder, apart from its spans."""


class Ending(StrEnum):
    """How an adoption ended; the label of a metric."""

    DRAINED = "drained"
    """Everything was delivered, and the folder is gone."""
    HANDED_BACK = "handed_back"
    """The pod's own sidecar is back."""
    PUT_BACK = "put_back"
    """Nothing could be delivered for a while, or this sidecar stops."""


class Adoption:
    """Owned by one event loop; `run` once."""

    def __init__(
        self,
        folder: str,
        log: Log,
        outlet: Outlet,
        before: Mapping[str, Account],
        means: Means,
        clock: Clock,
    ) -> None:
        self.folder = folder
        self.stop = False
        """Set from outside: give the folder back now."""
        self._log, self._outlet, self._before = log, outlet, before
        self._means, self._clock = means, clock

    @property
    def acknowledged(self) -> int:
        """Spans that its pod's sidecar ever acknowledged."""
        return self._log.end.seq

    def entries(self) -> tuple[EntryHealth, ...]:
        """One moment of every delivery entry in it."""
        return self._outlet.entries()

    def delivered(self) -> Counter[tuple[str, str]]:
        """Spans delivered from it by this process, by delivery entry and backend."""
        return self._since(lambda account: account.delivered)

    def dropped(self) -> Counter[tuple[str, str]]:
        """Spans of it given up by this process, by delivery entry and reason."""
        return self._since(lambda account: account.dropped)

    async def run(self, instruction: Callable[[], Instruction]) -> Ending:
        """Deliver what is pending, and give the folder back or remove it. Raises LogError, OSError; keeps no lock."""
        retired = ""
        try:
            try:
                ending = await self._deliver(instruction)
            finally:
                await self._outlet.close()
            if ending is Ending.DRAINED:
                await self._means.rescue(self.folder)
                # Renamed while it is still locked: whoever comes for it now, or waits, cannot take what is removed.
                retired = await asyncio.to_thread(self._means.folders.retire, self.folder)
        finally:
            await self._log.close()
        if retired:
            await asyncio.to_thread(self._means.folders.remove, retired)
        return ending

    async def _deliver(self, instruction: Callable[[], Instruction]) -> Ending:
        current: Instruction | None = None
        moved, pending = self._clock.monotonic(), -1
        while True:
            if current is not (wanted := instruction()):
                await self._outlet.apply(wanted.spec, wanted.secrets)
                current = wanted
            if await asyncio.to_thread(self._means.folders.claimed, self.folder):
                return Ending.HANDED_BACK
            if self.stop or not self.entries():  # Without an entry nothing is pending, and nothing is delivered.
                return Ending.PUT_BACK
            if await self._outlet.flush(self._log.end, LOOK) and not self._left():
                return Ending.DRAINED
            left, now = self._left(), self._clock.monotonic()
            if left != pending:
                moved, pending = now, left
            elif now - moved > PATIENCE:
                return Ending.PUT_BACK

    def _left(self) -> int:
        return sum(entry.pending for entry in self.entries())

    def _since(self, counts: Callable[[Account], Counter[str]]) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for entry in self.entries():
            earlier = counts(self._before.get(entry.name, Account()))
            found.update({(entry.name, label): n - earlier[label] for label, n in counts(entry.account).items()})
        return found
