"""What sidecars of a config have counted, those that are away included. Pure; time is monotonic seconds.

A sidecar tells counts of its whole life, which a restart of its container does not end; so the sum over all that were
ever attached only grows, but for what is pending. A pod that is gone is kept by itself for a while, because it may only
be away, and comes back with the same counts and more; later it is part of a sum. The operator stores none of it: what
was counted for pods that went before it began is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields

from tracekeeper_proto.control.v1 import control_pb2 as pb

KEEP = 3600.0
"""Seconds for which a pod that is away is known by itself."""
SWEEP_EVERY = 60.0
"""Seconds."""
MOST_AWAY = 5000
"""Pods that are known so, of all configs together; beyond that the first to go is summed up."""
MOST_ENTRIES = 64
"""Names of entries in one sum: more than a config has, but it may have changed them."""
MOST = (1 << 63) - 1
"""What the API holds in a count. A sum ends there: sidecars say what they like, and the API server would refuse the
whole status for a larger one."""


@dataclass(frozen=True, slots=True)
class Began:
    """When sidecars could attach first."""

    monotonic: float
    wall: float


@dataclass(slots=True)
class EntryTotals:
    """Spans of one delivery entry, over all sidecars."""

    earlier: int = 0
    """Acknowledged before the entry began."""
    delivered: int = 0
    sampled_out: int = 0
    unmatched: int = 0
    dropped: int = 0
    pending: int = 0
    """In sidecars that are attached."""
    unsent: int = 0
    """Pending in the others, when they were heard of last."""

    def add(self, other: EntryTotals) -> None:
        for each in fields(self):
            setattr(self, each.name, _sum(getattr(self, each.name), getattr(other, each.name)))

    @property
    def exact(self) -> bool:
        """Whether no sum has come to its end."""
        return all(getattr(self, each.name) < MOST for each in fields(self))


@dataclass(slots=True)
class Totals:
    """Spans, over all sidecars of a config."""

    sidecars: int = 0
    away: int = 0
    """Of `sidecars`, those that are not attached."""
    received: int = 0
    acknowledged: int = 0
    refused: int = 0
    filtered: int = 0
    suspended: int = 0
    delivery: dict[str, EntryTotals] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        """Also count these."""
        for each in fields(self):
            if each.name != "delivery":
                setattr(self, each.name, _sum(getattr(self, each.name), getattr(other, each.name)))
        for name, entry in other.delivery.items():
            if name in self.delivery or len(self.delivery) < MOST_ENTRIES:
                self.delivery.setdefault(name, EntryTotals()).add(entry)

    @property
    def exact(self) -> bool:
        """Whether no sum has come to its end."""
        own = all(getattr(self, each.name) < MOST for each in fields(self) if each.name != "delivery")
        return own and all(entry.exact for entry in self.delivery.values())


def _sum(a: int, b: int) -> int:
    return min(a + b, MOST)


def totals(standing: pb.Standing, *, away: bool) -> Totals:
    """Of one sidecar."""
    return Totals(
        1,
        int(away),
        standing.received,
        standing.acknowledged,
        standing.refused,
        standing.filtered,
        standing.suspended,
        {
            entry.name: EntryTotals(
                entry.start,
                entry.delivered,
                entry.sampled_out,
                entry.unmatched,
                entry.dropped,
                0 if away else entry.pending,
                entry.pending if away else 0,
            )
            for entry in standing.delivery
        },
    )


@dataclass(frozen=True, slots=True)
class _Away:
    standing: pb.Standing
    since: float


class Ledgers:
    """Owned by the event loop of the control server."""

    def __init__(self) -> None:
        self._away: dict[tuple[str, str], _Away] = {}
        """By config and pod, the first to go first."""
        self._summed: dict[str, Totals] = {}
        self._sweep_at = float("-inf")

    def away(self, config_uid: str, pod_uid: str, standing: pb.Standing, now: float) -> None:
        """A sidecar that has said this last is not attached any more."""
        self._away.pop((config_uid, pod_uid), None)
        self._away[config_uid, pod_uid] = _Away(standing, now)
        while len(self._away) > MOST_AWAY:
            self._sum_up(next(iter(self._away)))

    def back(self, config_uid: str, pod_uid: str, standing: pb.Standing) -> None:
        """One that says this is attached. If it counts less than before, its log was lost, and is another one now."""
        known = self._away.get((config_uid, pod_uid))
        if known is not None and standing.received < known.standing.received:
            self._sum_up((config_uid, pod_uid))
        self._away.pop((config_uid, pod_uid), None)

    def total(self, config_uid: str, attached: Iterable[pb.Standing]) -> Totals:
        """Of a config, with what its sidecars that are attached have said last."""
        total = Totals()
        for each in self._of(config_uid):
            total.add(each)
        for standing in attached:
            total.add(totals(standing, away=False))
        return total

    def sweep(self, now: float, known: Callable[[str], bool]) -> None:
        """Sum up those that have been away for long, and forget configs that are not `known`. Once a minute."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_EVERY
        for key, away in list(self._away.items()):
            if not known(key[0]):
                del self._away[key]
            elif now - away.since >= KEEP:
                self._sum_up(key)
        for uid in [uid for uid in self._summed if not known(uid)]:
            del self._summed[uid]

    def _of(self, config_uid: str) -> Iterator[Totals]:
        if config_uid in self._summed:
            yield self._summed[config_uid]
        for (config, _), known in self._away.items():
            if config == config_uid:
                yield totals(known.standing, away=True)

    def _sum_up(self, key: tuple[str, str]) -> None:
        known = self._away.pop(key)
        self._summed.setdefault(key[0], Totals()).add(totals(known.standing, away=True))


def matters(standing: pb.Standing) -> object:
    """What somebody may wait for; equal while only counts, or words about a fault, are new. A circuit that is half open
    is open: it changes between them all the time while a backend is away."""
    return (
        standing.policy_revision,
        standing.policy_digest,
        standing.policy_problem,
        standing.log_problem,
        standing.received > standing.tests,
        tuple((entry.name, entry.stuck) for entry in standing.delivery),
        tuple(
            (backend.name, backend.circuit.removeprefix("Half"), bool(backend.fault)) for backend in standing.backends
        ),
    )


def grew(before: pb.Standing, now: pb.Standing) -> bool:
    """Whether spans were dropped meanwhile."""
    known = {entry.name: entry.dropped for entry in before.delivery}
    return any(entry.dropped > known.get(entry.name, entry.dropped) for entry in now.delivery)
