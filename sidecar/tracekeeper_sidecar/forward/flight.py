"""One batch on its way: the requests that are left of it, and what became of the others.

A batch may leave as several requests: because it was larger than the limits to begin with, because a backend called
it too large, or because it is cut to find the spans that a backend cannot digest. All of it is settled at once, when
the last request is: the cursor passes whole batches.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.forward.poison import Blame
from tracekeeper_sidecar.model import Batch
from tracekeeper_sidecar.wire.cut import cut

NO_LIMIT = 1 << 40


@dataclass(slots=True)
class Request:
    """One serialised ExportTraceServiceRequest to be sent as a whole."""

    body: bytes
    spans: int
    verdicts: int = 0
    """Answers that may blame this request rather than the backend (Retry.suspect)."""
    blamed_by: dict[str, Blame] = field(default_factory=dict)
    """By the name of the backend that gave them."""

    def halves(self) -> list[Request]:
        """Two requests with half of the spans each; empty when it cannot be cut."""
        if self.spans < 2:
            return []
        try:
            pieces = cut(self.body, -(-self.spans // 2), NO_LIMIT)
        except WireError:  # The receiver has checked it, so this is damage that a checksum missed.
            return []
        return [Request(body, spans) for body, spans in pieces] if len(pieces) > 1 else []


@dataclass(slots=True, eq=False)
class Flight:
    """A batch between the log and its settlement."""

    batch: Batch
    requests: deque[Request]
    delivered: Counter[str] = field(default_factory=Counter)
    """Spans by backend."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Spans by reason."""
    done: bool = False

    @classmethod
    def of(cls, batch: Batch, max_spans: int, max_bytes: int) -> Flight:
        """Join the batch's pieces, once; cut it where a single frame of the log exceeds the limits."""
        flight = cls(batch, deque())
        if batch.lost:
            flight.dropped["damaged"] = batch.lost
        if batch.spans:
            flight.requests.extend(_requests(b"".join(batch.payloads), batch.spans, max_spans, max_bytes))
        return flight


def _requests(body: bytes, spans: int, max_spans: int, max_bytes: int) -> list[Request]:
    if spans <= max_spans and len(body) <= max_bytes:
        return [Request(body, spans)]
    try:
        return [Request(piece, count) for piece, count in cut(body, max_spans, max_bytes)]
    except WireError:
        return [Request(body, spans)]  # Let the backend be the judge of it.
