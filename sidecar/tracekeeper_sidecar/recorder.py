"""Asks the log for what sampling has left out, when somebody wants it back: the flight recorder, one dump at a time."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import DumpBusy
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_sidecar.routes import Routes

if TYPE_CHECKING:
    from tracekeeper_sidecar.forward.dump import Dump, Progress

logger = logging.getLogger(__name__)

REASON = "dump"
"""Under which the ledger books what was sent."""


class Recorder:
    """Owned by the application's event loop. To be stopped before its routes are drained or closed."""

    def __init__(self, log: Log, routes: Routes, clock: Clock) -> None:
        self._log, self._routes, self._clock = log, routes, clock
        self._dump: Dump | None = None
        self._dumping: asyncio.Task[None] | None = None

    def begin_dump(self, asked: DumpAsked) -> Progress:
        """Begin to send what is asked for; how far that is, while it goes on. Raises DumpBusy, and ValueError, in words
        for people, for what cannot be done or is no condition."""
        from tracekeeper_sidecar.forward.dump import Dump, Wanted  # noqa: PLC0415 - few pods ever need it

        if self._dumping is not None and not self._dumping.done():
            raise DumpBusy
        kept = self._routes.kept
        if kept is None:
            raise ValueError("nothing is sampled, so nothing was left out: the config in force has no sampling")
        wanted = Wanted(self._clock.now() - asked.since, asked.where, asked.to, asked.forgotten, asked.timeout)
        user = self._user(wanted.backend)
        if user is None:
            raise ValueError(f"no delivery entry of the config in force names a backend {wanted.backend!r}")
        forwarder, entry = user
        dump = self._dump = Dump(
            wanted,
            self._log,
            lambda: kept.stage.reached,
            kept.stage.verdict,
            lambda spans: forwarder.book(entry, REASON, spans),
        )
        backends = self._routes.all_backends
        sender = Sender(REASON, [backends.get(wanted.backend)], self._clock, random.random, backends.signal)
        logger.info("a dump begins", extra={"backend": wanted.backend, "delivery": entry, "where": wanted.where})
        self._dumping = asyncio.create_task(self._run(dump, sender), name=REASON)
        return dump.progress

    def dumped(self) -> dict[str, object] | None:
        """How far the last dump has come; None before the first."""
        return self._dump.progress.described() if self._dump is not None else None

    async def stop_dump(self) -> None:
        """End it if there is one; what was sent is booked."""
        from tracekeeper_sidecar.forward.dump import STOPPED  # noqa: PLC0415 - few pods ever need it

        if self._dumping is None or self._dump is None:
            return
        progress = self._dump.progress
        self._dumping.cancel()
        await asyncio.wait((self._dumping,))
        if progress.running:  # Its task was ended before its first step.
            progress.running, progress.problem = False, STOPPED

    async def _run(self, dump: Dump, sender: Sender) -> None:
        try:
            await dump.run(sender, self._clock)
        except Exception as error:
            logger.exception("the dump failed in an unforeseen way")
            dump.progress.problem = f"it failed in an unforeseen way: {error!r}"
        progress = dump.progress
        logger.info("the dump has ended", extra={"spans": progress.sent, "problem": progress.problem})

    def _user(self, backend: str) -> tuple[Forwarder, str] | None:
        """The delivery entry in whose books it is: one of those that sampling leaves something out of, if it can be."""
        for forwarder in reversed(self._routes.forwarders):
            for entry in forwarder.entries():
                if backend in entry.backends:
                    return forwarder, entry.name
        return None
