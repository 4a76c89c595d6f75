"""What came of evicting pods of one owner: pure, by which pods there are, and not by when they were seen or made.

An eviction is in vain when the pod that is made in its place has no sidecar, either. So after each one, no other pod of
that owner is evicted before a new one with a sidecar is there; and as soon as there is one without that was not there
at the beginning, or for as long as there is neither, the owner is left alone for an hour.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

GIVE_UP = 3600.0
"""Seconds after an eviction for which the pods of an owner are left alone unless it has helped."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was done about the pods of one owner; pods are told apart by their UIDs."""

    at: float
    """When one was evicted last; Unix time."""
    bare: frozenset[str]
    """Its pods without a sidecar, as they were before the first eviction. Any other one shows that it is in vain."""
    with_one: frozenset[str] = frozenset()
    """Its pods with a sidecar, as they were before the last eviction. Any other one shows that it has helped."""
    in_vain: bool = False
    """Whether there was a new pod without a sidecar."""

    def over(self, now: float) -> bool:
        """Whether it is long enough ago for a new beginning, or was by a clock that was far ahead."""
        return abs(now - self.at) >= GIVE_UP

    def seen(self, bare: Set[str]) -> Attempt:
        """With its pods that have no sidecar, as far as they are known now."""
        return self if self.in_vain or bare <= self.bare else replace(self, in_vain=True)

    def goes_on(self, with_one: Set[str]) -> bool:
        """Whether another pod may be evicted, given its pods that have a sidecar now."""
        return not self.in_vain and not with_one <= self.with_one


def attempted(before: Attempt | None, now: float, bare: frozenset[str], with_one: frozenset[str]) -> Attempt:
    """One of its pods is evicted, with what is known of the others."""
    return Attempt(now, before.bare if before is not None else bare, with_one)
