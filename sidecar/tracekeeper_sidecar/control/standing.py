"""What a sidecar tells the operator of itself: what it runs, and how it fares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryStanding:
    """Spans of one delivery entry. acknowledged == start + delivered + sampled_out + unmatched + pending + dropped."""

    name: str
    start: int
    delivered: int
    sampled_out: int
    unmatched: int
    pending: int
    dropped: int
    redelivered: int
    stuck: bool
    """Spans wait, and no backend of the entry takes any."""


@dataclass(frozen=True, slots=True)
class BackendStanding:
    name: str
    circuit: str
    """As in its health; `Unusable` while a secret or a certificate is missing."""
    fault: str
    """The last one in words, also after it has passed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment. received == acknowledged + refused + filtered + suspended."""

    revision: int = 0
    """Of the policy in force; 0 before the first."""
    digest: str = ""
    policy_problem: str = ""
    """Why a newer policy is not in force."""
    log_problem: str = ""
    """Why spans are refused."""
    received: int = 0
    acknowledged: int = 0
    refused: int = 0
    filtered: int = 0
    suspended: int = 0
    tests: int = 0
    """Of the received ones those that this process has sent itself."""
    delivery: tuple[EntryStanding, ...] = ()
    backends: tuple[BackendStanding, ...] = ()
    unscraped: bool = False
    """Whether for long nobody has asked for its metrics."""
    at_floor: bool = False
    """Whether for long `minProbability` has kept more than the sampling's target."""

    @property
    def matters(self) -> object:
        """What somebody may wait for; equal while only counts, or words about a fault, are new. A circuit that is half
        open is open: it changes between them all the time while a backend is away."""
        return (
            self.revision,
            self.digest,
            self.policy_problem,
            self.log_problem,
            self.received > self.tests,
            tuple((entry.name, entry.stuck) for entry in self.delivery),
            tuple((each.name, each.circuit.removeprefix("Half"), bool(each.fault)) for each in self.backends),
        )
