"""How often namespaces are read again in which nothing happened: rotated Secrets and deleted policies tell nobody.

Nothing but reading finds them, since Secrets are never listed or watched. In a small cluster each namespace is read
once in `least` seconds. The more there is to read, the longer it takes to come round, so that all of them together ask
the API server for no more than `BUDGET` objects a second; up to `MOST` seconds, when what is published would be stale.
"""

from __future__ import annotations

BUDGET = 0.25
"""Reads a second, on average, that a cluster at rest has to bear for this."""
MOST = 1800.0
"""Seconds that a rotated credential takes to arrive, whatever the size of the cluster; half as much again, at most."""


class Pace:
    """What each namespace's round reads, and how long the next one may wait. Pure."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._reads: dict[str, int] = {}
        self._missing: set[str] = set()
        self._total = 0

    def note(self, namespace: str, reads: int, *, missing: bool = False) -> None:
        """A round there read so many objects; none forgets the namespace. `missing`: not all of them were there."""
        self._total += reads - self._reads.pop(namespace, 0)
        self._missing.discard(namespace)
        if reads:
            self._reads[namespace] = reads
        if missing:
            self._missing.add(namespace)

    def wait(self, namespace: str) -> float:
        """Seconds to the namespace's next round, on average, at rest. What is missing is looked for soon."""
        if namespace in self._missing:
            return self._least
        return max(self._least, min(self._total / BUDGET, MOST))
