"""Routes whose log can be asked for what sampling has left out: the flight recorder, one dump at a time."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from tracekeeper_sidecar.errors import DumpBusy
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_sidecar.routes import Routes

if TYPE_CHECKING:
    from tracekeeper_sidecar.forward.dump import Dump, Progress

logger = logging.getLogger(__name__)

REASON = "dump"
"""Under which the ledger books what was sent."""


class Recorder(Routes):
    """Owned by the application's event loop."""

    _dump: Dump | None = None
    _dumping: asyncio.Task[None] | None = None

    def begin_dump(self, asked: DumpAsked) -> Progress:
        """Begin to send what is asked for; how far that is, while it goes on. Raises DumpBusy, and ValueError, in words
        for people, for what cannot be done or is no condition."""
        from tracekeeper_sidecar.forward.dump import Dump, Wanted  # noqa: PLC0415 - few pods ever need it

        if self._dumping is not None and not self._dumping.done():
            raise DumpBusy
        kept = self._kept
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
        backend, signal = self._backends.get(wanted.backend), self._backends.signal
        sender = Sender(REASON, [backend], self._clock, random.random, signal)
        logger.info("a dump begins", extra={"backend": wanted.backend, "delivery": entry, "where": wanted.where})
        self._dumping = asyncio.create_task(self._run(dump, sender), name=REASON)
        return dump.progress

    def dumped(self) -> dict[str, object] | None:
        """How far the last dump has come; None before the first."""
        return self._dump.progress.described() if self._dump is not None else None

    async def stop_dump(self) -> None:
        """End it if there is one; what was sent is booked."""
        if self._dumping is not None:
            self._dumping.cancel()
            await asyncio.wait((self._dumping,))

    async def drain(self, timeout: float) -> dict[str, int]:  # noqa: ASYNC109 (the clock is a parameter)
        """See Routes.drain."""
        await self.stop_dump()
        return await super().drain(timeout)

    async def close(self) -> None:
        """See Routes.close."""
        await self.stop_dump()
        await super().close()

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
        for forwarder in reversed(self._forwarders()):
            for entry in forwarder.entries():
                if backend in entry.backends:
                    return forwarder, entry.name
        return None
