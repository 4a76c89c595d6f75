"""The ledger: what became of every span, as counts that close at every moment.

    received     = acknowledged + refused(reason) + filtered(processor) + suspended
    acknowledged = start + delivered(backend) + sampled out(rule) + unmatched + pending + dropped(reason)
                                                                               for each delivery entry

`Intake` counts the first line and is owned by the receivers' event loop; an `Account` counts the second and is
owned by the delivery entry's task. Pending is never counted: it is what the log holds and the entry has not settled.
What is sent although it had been booked before is `redelivered(reason)`, beside the equation.
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
    filtered: Counter[str] = field(default_factory=Counter)
    """Spans answered OK and thrown away by a processor, by its name."""

    def copy(self) -> Intake:
        """These counts, apart from what comes."""
        return Intake(Counter(self.refused), self.suspended, Counter(self.refused_requests), Counter(self.filtered))

    def received(self, acknowledged: int) -> int:
        """All spans that came in, given how many the log has acknowledged."""
        return acknowledged + sum(self.refused.values()) + sum(self.filtered.values()) + self.suspended


@dataclass(slots=True)
class Account:
    """What one delivery entry did with the spans it has settled."""

    start: int = 0
    """The log's sequence number at which the entry began."""
    delivered: Counter[str] = field(default_factory=Counter)
    """Spans delivered, by backend."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Spans given up, by reason."""
    sampled_out: Counter[str] = field(default_factory=Counter)
    """Spans that sampling left out, by rule."""
    unmatched: int = 0
    """Spans that the entry's `match` does not take."""
    redelivered: Counter[str] = field(default_factory=Counter)
    """Spans sent after they had been settled, by reason. Not part of `settled`."""

    def copy(self) -> Account:
        """These counts, apart from what comes."""
        return Account(
            self.start,
            Counter(self.delivered),
            Counter(self.dropped),
            Counter(self.sampled_out),
            self.unmatched,
            Counter(self.redelivered),
        )

    def settled(self) -> int:
        """Spans that are no longer pending."""
        by_name = (self.delivered, self.dropped, self.sampled_out)
        return sum(sum(counts.values()) for counts in by_name) + self.unmatched
