"""What is wrong with pods, as the last looks at them have shown. Pure: nothing here asks the API server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .. import names
from ..events import Owner
from .facts import PodFacts, read
from .health import Health

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name of a pod."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A pod that opted in, could have a sidecar, and has none."""

    pod: PodFacts
    """As far as a pod without a sidecar has these facts."""
    by_namespace: bool
    """Whether its namespace opted in for it."""


@dataclass(slots=True)
class Findings:
    """One task writes it; reading never waits."""

    missed: dict[str, tuple[Missed, ...]] = field(default_factory=dict)
    """By namespace."""
    older: dict[str, tuple[PodFacts, ...]] = field(default_factory=dict)
    """By namespace, pods with a sidecar that the index does not know, since they were not labelled in their time."""
    failing: dict[Key, Health] = field(default_factory=dict)
    """Pods whose sidecar does not run, and will not without somebody's doing."""
    complete: bool = False
    """Whether every pod has been looked at."""

    def may_have_older(self, namespace: str) -> bool:
        """Whether there is one of `older`, as far as is known."""
        return not self.complete or namespace in self.older

    def take(self, missed: Iterable[Missed], older: Iterable[PodFacts]) -> None:
        """What a look at all pods without our label has shown."""
        self.missed = {name: tuple(items) for name, items in _grouped((item.pod.namespace, item) for item in missed)}
        self.older = {name: tuple(pods) for name, pods in _grouped((pod.namespace, pod) for pod in older)}

    def keys(self) -> dict[str, frozenset[tuple[str, bool]]]:
        """By namespace, the UID of each of these pods, and whether it has a sidecar: equal when nothing has changed."""
        missed = ((name, (item.pod.uid, False)) for name, items in self.missed.items() for item in items)
        older = ((name, (pod.uid, True)) for name, pods in self.older.items() for pod in pods)
        return {name: frozenset(keys) for name, keys in _grouped((*missed, *older))}

    def note(self, key: Key, found: Health | None) -> bool:
        """Take over how one injected pod's sidecar fares; whether that is new."""
        before = self.failing.get(key)
        if found is None or not found.failing:
            self.failing.pop(key, None)
            return before is not None
        self.failing[key] = found
        return before is None or before.reason != found.reason

    def forget(self, pod: PodFacts) -> None:
        """That pod is on its way out."""
        there = tuple(item for item in self.missed.get(pod.namespace, ()) if item.pod.uid != pod.uid)
        if there:
            self.missed[pod.namespace] = there
        else:
            self.missed.pop(pod.namespace, None)

    def keep(self, keys: Iterable[Key]) -> None:
        """Forget all other injected pods."""
        there = set(keys)
        self.failing = {key: found for key, found in self.failing.items() if key in there}


def _grouped(pairs: Iterable[tuple[str, T]]) -> Iterable[tuple[str, list[T]]]:
    found: dict[str, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found.items()


def opted_in(manifest: Mapping[str, Any], namespaces: frozenset[str]) -> bool | None:
    """Whether a pod asks for a sidecar that it does not have: True if its namespace (one of `namespaces`) did, False if
    it did itself, None if nobody did, or nothing can be done about it.

    What its injection would do is not looked at; that takes the whole pod.
    """
    meta = manifest.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if names.INJECTED in labels or names.MIRROR in annotations or meta.get("deletionTimestamp") is not None:
        return None
    wish = annotations.get(names.INJECT)
    if wish is None:
        return True if meta.get("namespace") in namespaces else None
    return None if wish == "false" else False


def missed(manifest: Mapping[str, Any], *, by_namespace: bool) -> Missed:
    """From the whole pod, or its metadata."""
    return Missed(read(manifest), by_namespace)


def owner(pod: PodFacts) -> Owner:
    """Who an Event about a pod is for: its controller, or itself."""
    return pod.owner or Owner("v1", "Pod", pod.namespace, pod.name, pod.uid)
