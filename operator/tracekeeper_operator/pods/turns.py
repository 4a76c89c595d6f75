"""Whose turn it is: namespaces one after the other, in each its owners, of each its pods. Pure.

Whoever cannot be helped now (a PodDisruptionBudget is at its limit, say) must not stand before the others for good,
however many pods it has, and however old they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .facts import PodFacts

Key = tuple[str, ...]


@dataclass(slots=True)
class Turns:
    """Remembers who had a turn when, as far as `keep` lets it."""

    _count: int = 0
    _last: dict[Key, int] = field(default_factory=dict)
    """The turn that a namespace, an owner in it, or a pod had last."""

    def rank(self, pod: PodFacts) -> tuple[int, ...]:
        """Who has the least has waited longest; who never had a turn goes before all others."""
        return tuple(self._last.get(key, 0) for key in _keys(pod))

    def taken(self, pod: PodFacts) -> None:
        """That pod has its turn now."""
        self._count += 1
        self._last.update(dict.fromkeys(_keys(pod), self._count))

    def keep(self, pods: Iterable[PodFacts]) -> None:
        """Forget all other pods, and owners and namespaces of none of these."""
        if not self._last:
            return
        there = {key for pod in pods for key in _keys(pod)}
        self._last = {key: turn for key, turn in self._last.items() if key in there}


def _keys(pod: PodFacts) -> tuple[Key, Key, Key]:
    owner = pod.owner.uid if pod.owner is not None else ""
    return (pod.namespace,), (pod.namespace, owner), (pod.namespace, owner, pod.uid)
