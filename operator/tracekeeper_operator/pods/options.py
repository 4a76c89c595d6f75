"""What the controller is told about pods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodOptions:
    """The flags that are about them."""

    namespace: str
    """The operator's own."""
    image: str = ""
    """Of the sidecars that are injected; empty: nothing is done about images."""
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    """In the operator's own namespace, for the pre-flight pod."""
    excluded: frozenset[str] = frozenset()
    """Namespaces in which no pod is ever injected."""
    eviction: bool = False
    """Whether the operator may evict pods that miss their sidecar, where a config wants that."""
    updates: bool = False
    """Whether it may give sidecars another image in place."""
    period: float = 300.0
    """Seconds between two looks at all pods."""


NO_PODS = PodOptions("")
