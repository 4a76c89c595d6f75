"""The cluster's namespaces in memory, with their labels, by which TracingConfigs are lent. A watch keeps it true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from . import names
from .kinds import NAMESPACES
from .kube import Object, Only
from .watch import Scope

ALL = Scope(NAMESPACES, only=Only(metadata=True))
"""What it is filled by."""


class Namespaces:
    """One task writes it; reading never waits."""

    def __init__(self) -> None:
        self._labels: dict[str, Mapping[str, str]] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self.listed = asyncio.Event()
        """Set with the first complete list: from then on, a namespace that is not known is new or gone."""

    @property
    def synced(self) -> bool:
        """Whether they are known by now."""
        return self.listed.is_set()

    def labels(self, namespace: str) -> Mapping[str, str] | None:
        """None when it is not known, or not yet: then it satisfies no selector."""
        return self._labels.get(namespace)

    def opted_in(self, namespace: str) -> bool:
        """Whether its pods get sidecars without asking."""
        return (self._labels.get(namespace) or {}).get(names.INJECT, "false") != "false"

    def opting_in(self) -> list[str]:
        """Those whose pods get sidecars without asking."""
        return [namespace for namespace in self._labels if self.opted_in(namespace)]

    def __contains__(self, namespace: str) -> bool:
        return namespace in self._labels

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Also call this with each namespace that comes, goes, or gets other labels."""
        self._callbacks.append(callback)

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list."""
        listed = dict(map(_read, manifests))
        for name in self._labels.keys() - listed.keys():
            self._set(name, None)
        for name, labels in listed.items():
            self._set(name, labels)
        self.listed.set()

    def put(self, manifest: Object) -> None:
        """Take over one namespace."""
        self._set(*_read(manifest))

    def remove(self, manifest: Object) -> None:
        """Forget one namespace."""
        self._set(_read(manifest)[0], None)

    def _set(self, name: str, labels: Mapping[str, str] | None) -> None:
        if self._labels.get(name) == labels:
            return
        if labels is None:
            del self._labels[name]
        else:
            self._labels[name] = labels
        for callback in self._callbacks:
            callback(name)


def _read(manifest: Object) -> tuple[str, dict[str, str]]:
    meta = manifest.get("metadata") or {}
    labels = meta.get("labels")
    found = labels if isinstance(labels, Mapping) else {}
    return str(meta.get("name", "")), {str(key): str(value) for key, value in found.items()}
