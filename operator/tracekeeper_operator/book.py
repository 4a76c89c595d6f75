"""The TracingConfigs in force, in the controller: each parsed once, and of one with faults the last good version."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.merge import merge
from tracekeeper_spec.policy import PolicyDocument
from tracekeeper_spec.scope import Scope, oldest
from tracekeeper_spec.wish import Reference

from .namespaces import Namespaces
from .plan import Assessed, assess, last_good
from .store import Object, Store, identity


class Book:
    """What is in the store, read. It follows the store by itself; it never does I/O."""

    def __init__(self, store: Store, namespaces: Namespaces, root: str = "") -> None:
        self._store, self.namespaces = store, namespaces
        self.root = root
        """The root namespace; empty where there is none."""
        self.version = 0
        """Grows with each change of what is in force."""
        self._read: dict[str, dict[str, Assessed]] = {}
        """By namespace and UID."""
        self._current: dict[str, tuple[int, list[TracingConfig]]] = {}
        """By namespace, those that count; with what the store had counted then."""
        self._places: dict[str, str] = {}
        """The namespace of each UID."""
        namespaces.subscribe(lambda namespace: self._changed())

    async def read(self, namespace: str) -> None:
        """Read what is new there, so that `assessed` has little left to do; others have their turn meanwhile."""
        for manifest in self._store.of(namespace):
            before = self._read.get(namespace, {})
            item = _assess(manifest, before)
            if before.get(item.uid) is not item:
                self._read[namespace] = before | {item.uid: item}
                self._places[item.uid] = namespace
                self._current.pop(namespace, None)
                self._changed()
                await asyncio.sleep(0)

    def assessed(self, namespace: str) -> tuple[Assessed, ...]:
        """Every config of a namespace, the oldest first."""
        before = self._read.get(namespace, {})
        found = {item.uid: item for item in (_assess(manifest, before) for manifest in self._store.of(namespace))}
        if {uid: identity(item.manifest) for uid, item in found.items()} != {
            uid: identity(item.manifest) for uid, item in before.items()
        }:
            self._changed()
            for uid in before.keys() - found.keys():
                self._places.pop(uid, None)
            self._places |= dict.fromkeys(found, namespace)
        if found:
            self._read[namespace] = found
        else:
            self._read.pop(namespace, None)
        return tuple(found.values())

    def find(self, uid: str) -> TracingConfig | None:
        """The config in force with that UID, as its namespace was read last."""
        item = self._read.get(self._places.get(uid, ""), {}).get(uid)
        return item.config if item is not None else None

    def of(self, namespace: str) -> list[TracingConfig]:
        """Those of a namespace that are in force, and count."""
        count = self._store.count(namespace)
        known = self._current.get(namespace)
        if known is not None and known[0] == count:
            return known[1]
        found = oldest(item.config for item in self.assessed(namespace) if item.config is not None)
        self._current[namespace] = count, found
        if not found:
            del self._current[namespace]
        return found

    def scope(self, namespace: str) -> Scope:
        """What is there for the pods of a namespace."""
        return Scope(namespace, self.namespaces.labels(namespace), self.of, self.root)

    def lacks(self, namespace: str) -> bool:
        """Whether one of its configs has faults, and no good version of it is known: `recall` may help."""
        return any(item.config is None for item in self.assessed(namespace))

    def recall(self, namespace: str, published: PolicyDocument) -> None:
        """Learn the last good versions of a namespace's configs from what its policy says now."""
        for item in self.assessed(namespace):
            if item.config is None and (good := last_good(published, item.manifest)) is not None:
                self._read[namespace][item.uid] = replace(item, config=good, merged=merge([good]))
                self._current.pop(namespace, None)
                self._changed()

    def known(self, reference: Reference, uid: str) -> bool:
        """Whether there is that very config, with faults or without."""
        manifest = self._store.get(reference.namespace, reference.name)
        return manifest is not None and identity(manifest)[0] == uid

    def _changed(self) -> None:
        self.version += 1


def _assess(manifest: Object, before: dict[str, Assessed]) -> Assessed:
    uid = (manifest.get("metadata") or {}).get("uid")
    known = before.get(str(uid))
    if known is not None and identity(known.manifest) == identity(manifest):
        return known if known.manifest is manifest else replace(known, manifest=manifest)
    (item,) = assess([manifest], None)
    if item.config is None and known is not None:
        return replace(item, config=known.config, merged=known.merged)
    return item
