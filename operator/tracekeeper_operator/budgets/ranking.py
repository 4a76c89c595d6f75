"""The dearest of very many keys, in bounded memory. Pure.

The algorithm is Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in
Data Streams, 2005): when there is no room for a new key, it takes the place of the cheapest one and inherits its amount
as its error. Whoever has spent more than total/room is always there. An amount less its error was surely spent by that
key; so nobody is held to account for what others have spent.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

Key = tuple[str, ...]


class Place(NamedTuple):
    """One key."""

    key: Key
    spent: int
    """Surely its own, billionths of a dollar."""
    error: int
    """What it may have spent besides."""


class Ranking:
    """Of at most `room` keys."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._amounts: dict[Key, list[int]] = {}
        """Amount with the error in it, and the error."""
        self._cheapest: list[tuple[int, Key]] = []
        """A heap of amounts as they once were: each is at most what it is now."""
        self._sorted: tuple[Place, ...] | None = None
        """The dearest first; None after a change."""

    def __len__(self) -> int:
        return len(self._amounts)

    def add(self, key: Key, nano: int, error: int = 0) -> None:
        """`key` has spent so much more, and maybe `error` besides."""
        found = self._amounts.get(key)
        if found is None:
            floor = self._drop_cheapest() if len(self._amounts) >= self._room else 0
            found = self._amounts[key] = [floor, floor]
            heapq.heappush(self._cheapest, (floor, key))
        found[0] += nano + error
        found[1] += error
        self._sorted = None

    def of(self, key: Key) -> Place:
        """Zero for one that is not known: it may have spent as much as the cheapest, where there is no room."""
        found = self._amounts.get(key)
        if found is not None:
            return Place(key, found[0] - found[1], found[1])
        return Place(key, 0, self._floor()[0] if self._amounts and len(self._amounts) >= self._room else 0)

    def most(self) -> int:
        """What the dearest has surely spent; 0 where there is none."""
        return max((amount - error for amount, error in self._amounts.values()), default=0)

    def __iter__(self) -> Iterator[Place]:
        """The dearest first."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self.places(), key=rank))
        return iter(self._sorted)

    def places(self) -> list[Place]:
        """In no order, which takes the least time."""
        return [Place(key, amount - error, error) for key, (amount, error) in self._amounts.items()]

    def merge(self, places: Iterable[Place]) -> None:
        """Also count these."""
        for place in places:
            self.add(place.key, place.spent, place.error)

    def _drop_cheapest(self) -> int:
        """What it had."""
        amount, key = self._floor()
        heapq.heappop(self._cheapest)
        del self._amounts[key]
        return amount

    def _floor(self) -> tuple[int, Key]:
        """The cheapest there is, as it is now."""
        while True:
            amount, key = self._cheapest[0]
            now = self._amounts[key][0]
            if now == amount:
                return amount, key
            heapq.heapreplace(self._cheapest, (now, key))


def rank(place: Place) -> tuple[int, Key]:
    """The dearest first."""
    return -place.spent, place.key


def merged(rankings: Iterable[Ranking], room: int) -> Ranking:
    """All of them together, in time that grows with their keys alone. What a key has surely spent stays so."""
    sums: dict[Key, list[int]] = {}
    for ranking in rankings:
        for key, (amount, error) in ranking._amounts.items():
            found = sums.setdefault(key, [0, 0])
            found[0] += amount
            found[1] += error
    made = Ranking(room)
    dearest = sums.items()
    if len(sums) > room:
        dearest = dict(heapq.nlargest(room, sums.items(), key=lambda item: (item[1][0], item[0]))).items()
    made._amounts = dict(dearest)
    made._cheapest = [(amount, key) for key, (amount, _) in made._amounts.items()]
    heapq.heapify(made._cheapest)
    return made
