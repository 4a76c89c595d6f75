"""One batch on its way: the requests that are left of it, and what became of the others.

A batch may leave as several requests: because it was larger than the limits to begin with, because a backend called
it too large, or because it is cut to find the spans that a backend cannot digest. All of it is settled at once, when
the last request is: what is settled of the log is whole batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tracekeeper_sidecar.forward.matcher import Matcher
from tracekeeper_sidecar.forward.outcome import Parts, Single
from tracekeeper_sidecar.forward.poison import Blame
from tracekeeper_sidecar.model import Batch
from tracekeeper_sidecar.wire.cut import NO_LIMIT, cut

logger = logging.getLogger(__name__)

INLINE_BYTES = 256 << 10
"""Up to this size a batch is cut on the event loop; beyond, in a thread."""
HELD_BYTES = 8 << 20
"""Suspected requests that are held back while later pieces of the same batch are tried."""


@dataclass(slots=True)
class Request:
    """One serialised ExportTraceServiceRequest to be sent as a whole."""

    body: bytes
    spans: int
    verdicts: int = 0
    """Answers that may blame this request rather than the backend (Retry.suspect)."""
    blamed_by: dict[str, Blame] = field(default_factory=dict)
    """By the name of the backend that gave them."""
    tries: dict[str, int] = field(default_factory=dict)
    """Failed calls, by the name of the backend; an answer that only asks for a pause is none."""

    def halves(self) -> list[Request]:
        """Two requests with half of the spans each; empty when it cannot be cut."""
        if self.spans < 2:
            return []
        try:
            pieces = list(cut(self.body, -(-self.spans // 2), NO_LIMIT))
        except ValueError:  # The receiver has checked it, so this is damage that a checksum missed.
            return []
        return [Request(body, spans) for body, spans in pieces] if len(pieces) > 1 else []

    def parts(self, outcome: Parts) -> Iterator[tuple[Request, Single]]:
        """What it was cut into by address, each with what became of it; all that was known of it holds for each."""
        spans = self.spans
        for index, part in enumerate(outcome.parts, 1):
            # The log's count is what the ledger goes by.
            own = spans if index == len(outcome.parts) else min(spans, part.spans)
            spans -= own
            blamed_by = {name: replace(blame) for name, blame in self.blamed_by.items()}
            yield Request(part.body, own, self.verdicts, blamed_by, dict(self.tries)), part.outcome


@dataclass(slots=True, eq=False)
class Flight:
    """A batch between the log and its settlement."""

    batch: Batch
    requests: deque[Request]
    """Those at hand."""
    rest: Rest | None = None
    """What is still to be cut off; None when nothing is."""
    delivered: Counter[str] = field(default_factory=Counter)
    """Spans by backend."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Spans by reason."""
    unmatched: int = 0
    """Spans that the entry does not take."""
    overtaken: int = 0
    """Batches behind it that were settled before it."""
    aside: bool = False
    """Whether others are sent meanwhile as if it were not there."""
    stuck: bool = False
    """Whether a send of it hangs although another backend would take calls, or one address has failed it while others
    take theirs."""
    task: asyncio.Task[None] | None = None
    """What sends it."""
    on_suspicion: Callable[[], None] | None = None
    """Called when nothing is left of it but requests that something is held against."""

    @classmethod
    def of(cls, batch: Batch, max_spans: int, max_bytes: int, matcher: Matcher | None = None) -> Flight:
        """What `matcher` takes of the batch; it will be cut where a single frame of the log exceeds the limits."""
        flight = cls(replace(batch, body=b""), deque())
        if batch.lost:
            flight.dropped["damaged"] = batch.lost
        body, spans = batch.body, batch.spans
        if matcher is not None and spans:
            body, spans = flight._match(matcher, batch)
        if spans and spans <= max_spans and len(body) <= max_bytes:
            flight.requests.append(Request(body, spans))
        elif spans:
            flight.rest = Rest(body, spans, cut(body, max_spans, max_bytes))
        return flight

    def _match(self, matcher: Matcher, batch: Batch) -> tuple[bytes, int]:
        try:
            body, spans, self.unmatched = matcher.split(batch.body)
        except ValueError as fault:  # The receiver has checked it, so this is damage that a checksum missed.
            logger.error("a stored request cannot be read (%s): all %d spans of it are sent on", fault, batch.spans)
            return batch.body, batch.spans
        # The log's count is what the ledger goes by.
        self.unmatched = batch.spans - spans
        return body, spans

    @property
    def left(self) -> int:
        """Spans of which nothing is known yet; those that sampling left out are none of its business."""
        known = sum(self.delivered.values()) + sum(self.dropped.values()) + self.unmatched
        return self.batch.spans + self.batch.lost - known

    @property
    def suspected(self) -> bool:
        """Whether something is held against every request that is left."""
        return self.rest is None and bool(self.requests) and all(request.verdicts for request in self.requests)

    @property
    def over(self) -> bool:
        """Whether nothing is left to send."""
        return not self.requests and self.rest is None

    async def advance(self) -> bool:
        """Put a request that nothing is held against first, while there is one; False when nothing is left to send.

        The batch is cut while it is sent, so that it is not in memory twice.
        """
        if self.rest is not None and (not self.requests or self._held_up()):
            request = await self.rest.next()
            if request is not None:
                self.requests.appendleft(request)
            else:
                if self.rest.spans:
                    self.dropped["damaged"] += self.rest.spans
                self.rest = None
        if self.on_suspicion is not None and self.suspected:
            self.on_suspicion()
        return bool(self.requests)

    def step_aside(self) -> None:
        """What is left of it must not hold up others."""
        self.stuck = True
        if self.on_suspicion is not None:
            self.on_suspicion()

    def fit(self, most: int | None) -> Request:
        """The first request, cut before to `most` bytes if that can be."""
        first = self.requests[0]
        if most is None or len(first.body) <= most or first.spans < 2:
            return first
        try:
            pieces = [Request(body, spans) for body, spans in cut(first.body, NO_LIMIT, most)]
        except ValueError:  # The receiver has checked it, so this is damage that a checksum missed.
            return first
        self.requests.popleft()
        self.requests.extendleft(reversed(pieces))
        return self.requests[0]

    def _held_up(self) -> bool:
        return self.requests[0].verdicts > 0 and sum(len(one.body) for one in self.requests) < HELD_BYTES


class Rest:
    """The part of a batch that has not been cut off yet."""

    def __init__(self, body: bytes, spans: int, pieces: Iterator[tuple[bytes, int]]) -> None:
        self.spans = spans
        self._body, self._pieces, self._begun = body, pieces, False

    async def next(self) -> Request | None:
        """The next request; None when there is none. `spans` is then 0, or what cannot be told apart any more."""
        try:
            if len(self._body) <= INLINE_BYTES:
                piece = next(self._pieces, None)
            else:
                piece = await asyncio.to_thread(next, self._pieces, None)
        except ValueError as fault:  # The receiver has checked it, so this is damage that a checksum missed.
            logger.error("a stored request cannot be cut (%s): %d spans of it", fault, self.spans)
            if self._begun:
                return None
            piece = self._body, self.spans  # Let the backend be the judge of it.
        self._begun = True
        if piece is None:
            return None
        self.spans = max(0, self.spans - piece[1])
        return Request(*piece)
