"""Appends what sampling has decided to the kept log, one frame after the other, however long the disk refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import DECIDED, MAX_PAYLOAD
from tracekeeper_sidecar.model import Batch

logger = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds until a log that is full, or fails, is tried again. Until then the first log fills up, and then refuses."""


class KeptWriter:
    """Owned by the stage: one write at a time, because frames must lie in the order of the spans that they count."""

    def __init__(self, kept: Log, clock: Clock) -> None:
        self.problem = ""
        """Why the last write is not done yet; empty when it is."""
        self.since = 0.0
        """Monotonic time since which it is not."""
        self.well_since = 0.0
        """Monotonic time at which the last problem ended."""
        self._kept, self._clock = kept, clock

    async def write(
        self, body: bytes, spans: int, sampled_out: Mapping[str, int], batch: Batch, verdicts: bytes
    ) -> None:
        """Return when the frame is durable: `spans` kept in `body` and the others of `batch`."""
        decided = Decided(spans, sampled_out, batch.lost, batch.end, verdicts)
        while (error := await self._append(decided, body)) is not None:
            if isinstance(error, LogTooLarge):
                decided, body = self._smaller(decided, body)
                continue
            if not self.problem:
                self.since = self._clock.monotonic()
                logger.warning("what sampling keeps cannot be stored, spans wait until it can: %s", error)
            self.problem = str(error)
            await self._clock.sleep(PAUSE if isinstance(error, LogFull) else 2 * PAUSE)
        if self.problem:
            self.problem, self.well_since = "", self._clock.monotonic()

    async def _append(self, decided: Decided, body: bytes) -> LogError | None:
        answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()

        def done(error: LogError | None) -> None:
            if not answered.done():  # Whoever is cancelled stops waiting, not storing.
                answered.set_result(error)

        payload = encode(decided) + body
        if len(payload) > MAX_PAYLOAD:
            return LogTooLarge(f"{len(payload)} bytes are more than a frame has")
        self._kept.submit(payload, decided.spans, done, kind=DECIDED)
        return await answered

    def _smaller(self, decided: Decided, body: bytes) -> tuple[Decided, bytes]:
        """What fits into a log that is smaller than one frame: without verdicts, and then without spans."""
        if decided.verdicts:
            return decided._replace(verdicts=b""), body
        logger.error("%d spans dropped: they do not fit into the storage", decided.kept)
        return decided._replace(kept=0, damaged=decided.damaged + decided.kept), b""
