"""The delivery entries that the disk knows of: their cursors, and the tombstones of those that were removed.

A tombstone pins nothing. It keeps the entry's account for whoever asks what became of its spans, and its place: an
entry of the same name that begins with the oldest spans goes on from there. As long as no entry is left at all, the
cursors of the last ones are kept as they are, and with them the spans.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.placement import place
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_spec.config import DeliveryEntry as EntrySpec
from tracekeeper_spec.config import From

logger = logging.getLogger(__name__)

TOMBSTONES = 16
"""The newest so many are kept."""


class Roster:
    """Owned by the forwarder, which calls one method at a time."""

    def __init__(self, log: Log, cursors: CursorStore, clock: Clock) -> None:
        self._log, self._cursors, self._clock = log, cursors, clock
        self._found: dict[str, Cursor | None] | None = None
        """Cursors on disk before a `place` that failed; those it has saved since are no entries yet."""

    async def place(
        self, delivery: Sequence[EntrySpec], running: Mapping[str, Cursor], others: bool = False
    ) -> dict[str, Cursor]:
        """Cursors of the entries that are not running yet, saved. `others` says that there were entries, if only on
        another log. Raises LogUnavailable."""
        on_disk = await asyncio.to_thread(self._cursors.names)
        loaded = {name: await asyncio.to_thread(self._cursors.load, name) for name in on_disk if name not in running}
        former = {name: cursor for name, cursor in loaded.items() if cursor is not None and cursor.removed}
        if self._found is None:
            self._found = {name: cursor for name, cursor in loaded.items() if name not in former}
        known = {**self._found, **running}
        wanted = [(entry.name, entry.from_ is From.OLDEST) for entry in delivery]
        cursors = place(wanted, known, former, self._log.begin, self._log.end, others)
        placed = {name: cursor for name, cursor in cursors.items() if name not in running}
        for name, cursor in placed.items():
            if cursor != loaded.get(name):
                await asyncio.to_thread(self._cursors.save, name, cursor)
        self._found = None
        if delivery:
            gone = {name: cursor for name, cursor in known.items() if name not in cursors}
            self._report_gone(gone, sorted(name for name in placed if name not in known))
        return placed

    async def bury(self, wanted: set[str]) -> None:
        """Leave tombstones of the entries that are gone. What fails is only clutter: the next change tries again."""
        try:
            names = [name for name in await asyncio.to_thread(self._cursors.names) if name not in wanted]
            tombstones = [(await self._bury(name), name) for name in names]
            for _, name in sorted(tombstones, reverse=True)[TOMBSTONES:]:
                await asyncio.to_thread(self._cursors.remove, name)
        except LogUnavailable as error:
            logger.warning("the cursors of former deliveries stay on disk as they are for now: %s", error)

    async def _bury(self, name: str) -> float:
        """When the entry was removed: now, unless it was before."""
        cursor = await asyncio.to_thread(self._cursors.load, name)
        if cursor is not None and cursor.removed:
            return cursor.removed
        now = self._clock.now()
        if cursor is None:
            return 0.0  # Nothing can be read of it: the first to be removed.
        await asyncio.to_thread(self._cursors.save, name, replace(cursor, removed=now))
        logger.info("delivery %r is gone", name, extra={"delivery": name})
        return now

    def _report_gone(self, gone: Mapping[str, Cursor | None], heirs: list[str]) -> None:
        """Say what becomes of the spans that entries still owe when they go."""
        taken = f"delivery {', '.join(map(repr, heirs))} takes them over" if heirs else "no new one takes them over"
        begin, end = self._log.begin, self._log.end
        for name, cursor in gone.items():
            settled = sum(length for _, length in cursor.acked) if cursor else 0
            pending = end.seq - max(begin, cursor.position if cursor else begin).seq - settled
            if pending > 0:
                logger.warning(
                    "delivery %r is gone from the config with %d spans pending; %s",
                    name,
                    pending,
                    taken,
                    extra={"delivery": name, "pending": pending, "taken_over_by": heirs},
                )


async def live(cursors: CursorStore, running: frozenset[str] = frozenset()) -> list[str]:
    """Names of the entries that have a cursor, sound or not, and were not removed. Raises LogUnavailable.

    Cursors of those that run are being written: they are not touched.
    """
    found = list(running)
    for name in await asyncio.to_thread(cursors.names):
        if name in running:
            continue
        cursor = await asyncio.to_thread(cursors.load, name)
        if cursor is None or not cursor.removed:
            found.append(name)
    return found
