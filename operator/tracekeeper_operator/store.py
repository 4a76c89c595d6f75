"""The TracingConfigs of the whole cluster in memory, as the API server last sent them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
_READ: tuple[str, ...] = ("apiVersion", "kind", "spec", "status")
_READ_OF_META: tuple[str, ...] = ("namespace", "name", "uid", "generation", "creationTimestamp")


class Store:
    """Filled by events, and set right by complete lists. One task writes it; it never does I/O."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._touched: dict[Key, int] = {}
        self._counts: dict[str, int] = {}
        self._count = 0

    def mark(self) -> int:
        """A point in the row of changes; taken before a list is asked for, and given to `replace`."""
        self._touched.clear()
        return self._count

    def put(self, manifest: Object) -> bool:
        """Take over one object from an event; False when its spec is the one that was known, or older."""
        namespace, name = key_of(manifest)
        old = self._objects.get(namespace, {}).get(name)
        if old is not None and _older(manifest, old):
            return False
        return self._take(manifest)

    def remove(self, manifest: Object) -> bool:
        """Forget one object; False when it was not known, or another one of its name has come since."""
        namespace, name = key_of(manifest)
        old = self._objects.get(namespace, {}).get(name)
        if old is not None and identity(old)[0] != identity(manifest)[0]:
            return False
        self._touch((namespace, name))
        return self._drop((namespace, name))

    def replace(self, manifests: Iterable[Object], since: int) -> set[str]:
        """Take over a complete list; the namespaces in which a spec changed, appeared or went.

        What changed by events after `since` is newer than the list may be, and stays.
        """
        changed: set[str] = set()
        listed: set[Key] = set()
        newer = {key for key, count in self._touched.items() if count > since}
        for manifest in manifests:
            key = key_of(manifest)
            listed.add(key)
            if key not in newer and self._take(manifest):
                changed.add(key[0])
        for key in self.keys() - listed - newer:
            self._drop(key)
            changed.add(key[0])
        return changed

    def of(self, namespace: str) -> list[Object]:
        """The objects of one namespace, oldest first."""
        return sorted(self._objects.get(namespace, {}).values(), key=_age)

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, as it was last seen."""
        return self._objects.get(namespace, {}).get(name)

    def count(self, namespace: str) -> int:
        """Grows with each change there; 0 where there is nothing."""
        return self._counts.get(namespace, 0)

    def namespaces(self) -> set[str]:
        return set(self._objects)

    def keys(self) -> set[Key]:
        return {(namespace, name) for namespace, known in self._objects.items() for name in known}

    def __len__(self) -> int:
        return sum(len(known) for known in self._objects.values())

    def _take(self, manifest: Object) -> bool:
        namespace, name = key_of(manifest)
        known = self._objects.setdefault(namespace, {})
        old = known.get(name)
        known[name] = lean(manifest)
        self._touch((namespace, name))
        self._counts[namespace] = self._count
        return old is None or identity(old) != identity(manifest)

    def _touch(self, key: Key) -> None:
        self._count += 1
        self._touched[key] = self._count

    def _drop(self, key: Key) -> bool:
        namespace, name = key
        known = self._objects.get(namespace, {})
        gone = known.pop(name, None) is not None
        self._count += 1
        self._counts[namespace] = self._count
        if not known:
            self._objects.pop(namespace, None)
            self._counts.pop(namespace, None)
        return gone


def key_of(manifest: Object) -> Key:
    meta = manifest.get("metadata") or {}
    return str(meta.get("namespace", "")), str(meta.get("name", ""))


def lean(manifest: Object) -> Object:
    """As much of a TracingConfig as is read, and all that is kept of it: there may be many."""
    meta = manifest.get("metadata") or {}
    kept = {key: manifest[key] for key in _READ if key in manifest}
    return kept | {"metadata": {key: meta[key] for key in _READ_OF_META if key in meta}}


def identity(manifest: Object) -> tuple[object, object]:
    """What changes with the spec, and not with the status."""
    meta = manifest.get("metadata") or {}
    return meta.get("uid"), meta.get("generation")


def _older(manifest: Object, known: Object) -> bool:
    """Whether it is an earlier version of the same object: an event that was slower than a list."""
    (uid, generation), (known_uid, known_generation) = identity(manifest), identity(known)
    if uid != known_uid or not isinstance(generation, int) or not isinstance(known_generation, int):
        return False
    return generation < known_generation


def _age(manifest: Object) -> tuple[str, str]:
    meta = manifest.get("metadata") or {}
    return str(meta.get("creationTimestamp", "")), str(meta.get("name", ""))
