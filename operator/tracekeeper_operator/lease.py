"""Who leads: one controller at a time holds a Lease (coordination.k8s.io/v1). Pure: what to do next, from what was
answered and the time.

Clocks need not agree, only run about equally fast. Whoever leads relies on that for `Terms.hold` seconds from when it
*sent* the last renewal that was answered with yes. Everybody else waits until the Lease has been the same for
`Terms.duration` seconds since they *saw* it so. It was written after it was sent, and before it was seen: so a leader
has stopped before anybody else may begin, as long as no clock runs faster than another by half or more. Every write is
a compare-and-swap on the resourceVersion, so that one that arrives late, or whose answer is lost, never undoes what
somebody else has written since.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 300.0
"""Seconds of somebody else's lead that are waited for, whatever the Lease says."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a lead counts, seconds."""

    duration: float = 15.0
    """From when others have seen a renewal until one of them may take over."""

    @property
    def hold(self) -> float:
        """From when a renewal was sent until whoever leads must have stopped."""
        return self.duration * 2 / 3

    @property
    def period(self) -> float:
        """Between two renewals, and between two looks of a standby; also the limit of one request."""
        return self.duration / 3

    @property
    def pause(self) -> float:
        """Before something that failed is tried again, at least."""
        return self.duration / 15


TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Record:
    """The Lease as it was read."""

    version: str
    """Its resourceVersion; empty when there is no Lease."""
    holder: str = ""
    """Empty when nobody holds it."""
    duration: float = 0.0
    transitions: int = 0
    acquired: str = ""

    @classmethod
    def of(cls, lease: Mapping[str, Any]) -> Record:
        """From an object of the API server; what is not there, or not as it should be, counts as zero."""
        spec = lease.get("spec")
        spec = spec if isinstance(spec, Mapping) else {}
        seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        return cls(
            version=str((lease.get("metadata") or {}).get("resourceVersion", "")),
            holder=str(spec.get("holderIdentity") or ""),
            duration=float(seconds) if isinstance(seconds, int) else 0.0,
            transitions=transitions if isinstance(transitions, int) else 0,
            acquired=str(spec.get("acquireTime") or ""),
        )


ABSENT = Record("")


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Read:
    """Look at the Lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write the Lease, if it still is as it was in `seen`; make it where there was none."""

    holder: str
    seen: Record

    @property
    def taken(self) -> bool:
        """Whether it changes hands."""
        return self.holder != self.seen.holder


@dataclass(frozen=True, slots=True)
class Lost:
    """It did lead, and does not any more: everything has to stop."""

    why: str


Action = Wait | Read | Write | Lost


class Elector:
    """One candidate. All times are of its own clock, seconds; `identity` is its alone, and of no process before it."""

    def __init__(
        self, identity: str, terms: Terms, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.identity = identity
        self._terms, self._uniform = terms, uniform
        self._known: Record | None = None
        """None when it has to be read before anything else."""
        self._version: str | None = None
        self._since = self._due = self._until = float("-inf")
        self._leads = False
        self._taken_by = ""
        self.holder = ""
        """Who held it when it was last looked at."""

    def held(self, now: float) -> bool:
        """Whether it may act as the leader at this moment."""
        return self._leads and now < self._until

    def left(self, now: float) -> float:
        """Seconds that a request may take: it must not keep from noticing that the lead has ended."""
        return max(0.0, min(self._terms.period, self._until - now)) if self._leads else self._terms.period

    def next(self, now: float) -> Action:
        """What to do now."""
        if self._leads:
            if self._taken_by:
                return Lost(f"{self._taken_by} leads now")
            if now >= self._until:
                return Lost(f"no renewal was answered with yes within {self._terms.hold:g} s")
        if now < self._due:
            return Wait((min(self._due, self._until) if self._leads else self._due) - now)
        if self._known is None:
            return Read()
        return Write(self.identity, self._known)

    def read(self, found: Record, now: float) -> None:
        """The answer to Read, when it was there."""
        if found.version != self._version:
            self._version, self._since = found.version, now
        self.holder = found.holder
        if self._leads and found.holder != self.identity:
            self._taken_by = found.holder or "nobody"
        elif self._leads or self._free(found, now):
            self._known, self._due = found, now
        else:
            self._known, self._due = None, min(now + self._terms.period, self._since + self._patience(found))

    def written(self, found: Record, sent: float, now: float) -> None:
        """The answer to Write, when it was yes: `sent` is when the request left, `found` what is there now."""
        self._version, self._since, self.holder = found.version, now, found.holder
        self._until = max(self._until, sent + self._terms.hold)
        if now < self._until:
            self._leads, self._known, self._due = True, found, max(now, sent + self._terms.period)
        else:
            self._known, self._due = None, now

    def failed(self, now: float) -> None:
        """Read or Write was refused, or there was no answer: what is there now, nobody knows."""
        longest = 1.5 if self._leads else 3.0
        self._known, self._due = None, now + self._terms.pause * self._uniform(1.0, longest)

    def release(self, now: float) -> Write | None:
        """What lets others begin at once, after everything has stopped; None when it is not ours to give."""
        return Write("", self._known) if self.held(now) and self._known is not None else None

    def _free(self, found: Record, now: float) -> bool:
        if found.version and found.holder in ("", self.identity):
            # Ours without leading: a write of ours got through, and its answer did not.
            return True
        return now - self._since >= self._patience(found)

    def _patience(self, found: Record) -> float:
        """How long it has to stay as it is. A Lease that is gone was somebody's, too."""
        return max(self._terms.duration, min(found.duration, MOST))
