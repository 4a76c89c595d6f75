"""The ledger: what became of every span, as counts that close at every moment.

    received     = acknowledged + refused(reason) + suspended
    acknowledged = delivered(backend) + pending + dropped(reason)        for each delivery entry, since it began

`Intake` counts the first line and is owned by the receivers' event loop; an `Account` counts the second and is
owned by the delivery entry's task. Pending is never counted: it is the distance from an entry's position to the end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Intake:
    """What receivers did with the spans that came. Acknowledged is the log's own sequence number, not kept here."""

    refused: Counter[str] = field(default_factory=Counter)
    """Spans refused, by reason."""
    suspended: int = 0
    """Spans answered OK and stored nowhere, because `suspend` was true."""
    refused_requests: Counter[str] = field(default_factory=Counter)
    """Requests refused, by reason; a request that cannot be parsed has no countable spans and shows here alone."""

    def copy(self) -> Intake:
        """These counts, apart from what comes."""
        return Intake(Counter(self.refused), self.suspended, Counter(self.refused_requests))

    def received(self, acknowledged: int) -> int:
        """All spans that came in, given how many the log has acknowledged."""
        return acknowledged + sum(self.refused.values()) + self.suspended


@dataclass(slots=True)
class Account:
    """What one delivery entry did with the spans it has passed."""

    start: int = 0
    """The log's sequence number at which the entry began."""
    delivered: Counter[str] = field(default_factory=Counter)
    """Spans delivered, by backend."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Spans given up, by reason."""

    def settled(self) -> int:
        """Spans that are no longer pending."""
        return sum(self.delivered.values()) + sum(self.dropped.values())
