"""What every receiver does with a request, whatever it came over: scan, admit, append, answer, account."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tracekeeper_sidecar.errors import LogFull, LogTooLarge, LogUnavailable, WireError
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.admission import OVERHEAD, Admission, Lease
from tracekeeper_sidecar.receive.notices import Notices
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused
from tracekeeper_sidecar.wire.scan import count_spans

logger = logging.getLogger(__name__)

APPEND_TIMEOUT: Final = 8.0
"""Seconds to wait for the disk: a little less than an SDK waits for us, so that it hears the reason."""


class Receiver:
    """The way from a request's bytes to the log. One for all transports of a process, on one event loop."""

    def __init__(
        self,
        append: Callable[[bytes, int], Awaitable[object]],
        ledger: Intake,
        admission: Admission,
        suspended: Callable[[], bool],
        *,
        append_timeout: float = APPEND_TIMEOUT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`append(payload, spans)` returns when both are on disk; it raises LogFull, LogTooLarge or
        LogUnavailable when not, and tells how many of the spans it stored all the same.

        `append` must bear being cancelled: a client that hangs up, or the timeout, cancels it at any moment. Whether
        the spans are stored all the same is then its own affair; if they are, they count as acknowledged, and if not,
        `not_stored` is to be told.
        """
        self.admission = admission
        self._append = append
        self._ledger = ledger
        self._suspended = suspended
        self._append_timeout = append_timeout
        self._notices = Notices(monotonic)

    async def export(self, body: bytes, lease: Lease | None = None) -> Outcome:
        """Take one serialised ExportTraceServiceRequest. Never raises but for cancellation.

        `lease` is the request's share of the admission if the transport holds one already, while it read the body.
        """
        if len(body) > MAX_REQUEST:
            return self.refuse(outcome.too_large(len(body)))
        try:
            spans = count_spans(body)
        except WireError as error:
            return self.refuse(outcome.malformed(error))
        if spans == 0:
            return Accepted(0)
        if self._suspended():
            self._ledger.suspended += spans
            return Accepted(spans)
        if lease is not None:
            return await self._store(body, spans)
        with self.admission.lease() as own:
            if not own.grow(OVERHEAD + len(body)):
                return self.refuse(outcome.overloaded(self.admission.limit), spans)
            return await self._store(body, spans)

    async def _store(self, body: bytes, spans: int) -> Outcome:
        try:
            async with asyncio.timeout(self._append_timeout):
                await self._append(body, spans)
        except LogFull as error:
            return self.refuse(outcome.full(error), spans - error.stored)
        except LogTooLarge as error:
            return self.refuse(outcome.never_fits(error), spans)
        except LogUnavailable as error:
            return self.refuse(outcome.unavailable(error), spans - error.stored)
        except TimeoutError:
            # The spans are not counted yet: if they reach the disk after all, the log counts them as acknowledged, and
            # else it tells not_stored.
            return self.refuse(outcome.timed_out(self._append_timeout))
        except Exception:
            logger.exception("appending %d spans failed in a way that the log does not announce", spans)
            return self.refuse(outcome.internal(), spans)
        return Accepted(spans)

    def not_stored(self, spans: int) -> None:
        """Count spans that turned out not to be stored after nobody waited for the append any more."""
        self._ledger.refused["timeout"] += spans

    def refuse(self, refusal: Refused, spans: int = 0) -> Refused:
        """Account for a refusal: the request always, its spans where their number is known. Says so in the log."""
        self._ledger.refused_requests[refusal.reason] += 1
        if spans:
            self._ledger.refused[refusal.reason] += spans
        self._notices.note(refusal, spans)
        return refusal
