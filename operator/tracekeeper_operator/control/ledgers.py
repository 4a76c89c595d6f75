"""What sidecars of a config have counted, those that are away included. Pure; time is monotonic seconds.

A sidecar tells counts of its whole life, which a restart of its container does not end; so the sum over all that were
ever attached only grows, but for what is pending. A pod that is gone is kept by itself for a while, because it may only
be away, and comes back with the same counts and more; later it is part of a sum. The operator stores none of it: what
was counted for pods that went before it began is not here.

Sidecars say what they like. So only numbers are kept of one that is away, the namespaces share the room for them, and
each namespace has a sum of its own, with a bound: what one says can neither fill the memory nor the counts of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .tokens import PodIdentity

KEEP = 3600.0
"""Seconds for which a pod that is away is known by itself."""
SWEEP_EVERY = 60.0
"""Seconds."""
MOST_AWAY = 5000
"""Pods that are known so, of all configs together; beyond that the first to go is summed up, of the namespace that has
most of them."""
MOST_ENTRIES = 32
"""Names of entries in one sum: more than a config has, but it may have changed them."""
MOST_SUMMED = 1 << 52
"""In one count over the pods of a namespace that went long ago: a million spans a second for more than a century."""
MOST = (1 << 63) - 1
"""What the API holds in a count. A sum ends there: the API server would refuse the whole status for a larger one."""


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

    def add(self, other: EntryTotals, most: int = MOST) -> None:
        for each in fields(self):
            setattr(self, each.name, min(most, getattr(self, each.name) + getattr(other, each.name)))


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

    def add(self, other: Totals, most: int = MOST) -> None:
        """Also count these, in each count up to `most`."""
        for each in fields(self):
            if each.name != "delivery":
                setattr(self, each.name, min(most, getattr(self, each.name) + getattr(other, each.name)))
        for name, entry in other.delivery.items():
            self.delivery.setdefault(name, EntryTotals()).add(entry, most)


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
    totals: Totals
    since: float


Key = tuple[str, str]
"""UIDs of a config and of a pod."""


class Ledgers:
    """Owned by the event loop of the control server."""

    def __init__(self) -> None:
        self._away: dict[str, dict[Key, _Away]] = {}
        """By the pods' namespace, the first to go first."""
        self._count = 0
        self._summed: dict[Key, Totals] = {}
        """By config and namespace."""
        self._sweep_at = float("-inf")

    def __len__(self) -> int:
        """Pods that are known by themselves."""
        return self._count

    def away(self, config_uid: str, pod: PodIdentity, standing: pb.Standing, now: float) -> None:
        """A sidecar that has said this last is not attached any more."""
        key = config_uid, pod.uid
        self._take(pod.namespace, key)
        self._away.setdefault(pod.namespace, {})[key] = _Away(totals(standing, away=True), now)
        self._count += 1
        while self._count > MOST_AWAY:
            namespace = max(self._away, key=lambda name: len(self._away[name]))
            self._sum_up(namespace, next(iter(self._away[namespace])))

    def back(self, config_uid: str, pod: PodIdentity, standing: pb.Standing) -> None:
        """One that says this is attached. If it counts less than before, its log was lost, and is another one now."""
        key = config_uid, pod.uid
        known = self._away.get(pod.namespace, {}).get(key)
        if known is not None and standing.received < known.totals.received:
            self._sum_up(pod.namespace, key)
        else:
            self._take(pod.namespace, key)

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
        for namespace, those in list(self._away.items()):
            for key, away in list(those.items()):
                if not known(key[0]):
                    self._take(namespace, key)
                elif now - away.since >= KEEP:
                    self._sum_up(namespace, key)
        for place in [place for place in self._summed if not known(place[0])]:
            del self._summed[place]

    def _of(self, config_uid: str) -> Iterator[Totals]:
        for (config, _), total in self._summed.items():
            if config == config_uid:
                yield total
        for those in self._away.values():
            for (config, _), known in those.items():
                if config == config_uid:
                    yield known.totals

    def _take(self, namespace: str, key: Key) -> _Away | None:
        those = self._away.get(namespace, {})
        known = those.pop(key, None)
        if known is not None:
            self._count -= 1
            if not those:
                del self._away[namespace]
        return known

    def _sum_up(self, namespace: str, key: Key) -> None:
        known = self._take(namespace, key)
        if known is None:
            return
        total = self._summed.setdefault((key[0], namespace), Totals())
        strange = [name for name in known.totals.delivery if name not in total.delivery]
        for name in strange[max(0, MOST_ENTRIES - len(total.delivery)) :]:
            del known.totals.delivery[name]
        total.add(known.totals, MOST_SUMMED)


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
