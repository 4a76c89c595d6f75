"""How many pods of each TracingConfig are in which state: pure, from what is known of the pods of one namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from .facts import PodFacts

NAMED = 5
"""Pods of one state that are named."""


class Attached(Protocol):
    """A sidecar that is attached to the control stream, and what it says of itself."""

    @property
    def revision(self) -> int:
        """Of the policy that it works by; 0 while it has none."""

    @property
    def silent(self) -> bool:
        """Whether no span ever came to it."""

    @property
    def unscraped(self) -> bool:
        """Whether for long nobody has asked for its metrics."""

    @property
    def at_floor(self) -> bool:
        """Whether its sampling cannot go as low as its target asks for."""


@dataclass(slots=True)
class Counts:
    """Pods of one TracingConfig, or of one namespace. `matched` is `injected` and `missed`; whoever is not attached to
    the control stream counts neither as current nor as stale, because nothing is known of it.
    """

    matched: int = 0
    injected: int = 0
    current: int = 0
    stale: int = 0
    outdated: int = 0
    silent: int = 0
    unscraped: int = 0
    at_floor: int = 0
    missed: int = 0
    failed: int = 0
    silent_pods: tuple[str, ...] = ()
    """Names of some that are silent."""

    def add(self, other: Counts) -> None:
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.silent_pods = tuple(sorted((*self.silent_pods, *other.silent_pods))[:NAMED])

    def body(self) -> dict[str, Any]:
        """As the status says it."""
        return {
            "matched": self.matched,
            "injected": self.injected,
            "current": self.current,
            "stale": self.stale,
            "outdatedImage": self.outdated,
            "silent": self.silent,
            **({"silentPods": list(self.silent_pods)} if self.silent_pods else {}),
            "unscraped": self.unscraped,
            "atFloor": self.at_floor,
            "missed": self.missed,
            "failed": self.failed,
        }


NUMBERS = tuple(each.name for each in fields(Counts) if each.type == "int")


def count(
    injected: Iterable[PodFacts],
    missed: Iterable[PodFacts],
    *,
    config_of: Callable[[PodFacts], str],
    revision: int,
    attached: Mapping[str, Attached],
    failing: Callable[[PodFacts], bool],
    image: str | None,
    newest: str,
) -> dict[str, Counts]:
    """By the UID that `config_of` gives a pod, empty for those that no config selects.

    `revision` is that of the namespace's policy, `attached` sidecars are by the UID of their pod, and `image` is the
    one that a pod would get now, None if it would get none; `newest` that of this release.
    """
    found: dict[str, Counts] = {}
    for pod in injected:
        if pod.deleted:
            continue
        counts = found.setdefault(config_of(pod), Counts())
        counts.matched += 1
        counts.injected += 1
        counts.outdated += outdated(pod, image, newest)
        counts.failed += failing(pod)
        if (sidecar := attached.get(pod.uid)) is not None:
            behind = sidecar.revision < revision
            counts.stale += behind
            counts.current += not behind
            counts.silent += sidecar.silent
            counts.unscraped += sidecar.unscraped
            counts.at_floor += sidecar.at_floor
            if sidecar.silent:
                counts.silent_pods = tuple(sorted((*counts.silent_pods, f"{pod.namespace}/{pod.name}"))[:NAMED])
    for pod in missed:
        counts = found.setdefault(config_of(pod), Counts())
        counts.matched += 1
        counts.missed += 1
    return found


def outdated(pod: PodFacts, image: str | None, newest: str) -> bool:
    """Whether the sidecar has another image than it would get now. One that has this release's is not outdated where
    others get an older one for the time being; nor is ever what a pod asks for itself.
    """
    return image is not None and pod.image not in ("", image, newest) and not pod.own_image


def total(found: Iterable[Counts]) -> Counts:
    """Their sum."""
    result = Counts()
    for each in found:
        result.add(each)
    return result
