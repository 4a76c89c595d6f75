"""The injector's memory: every valid TracingConfig, parsed once when it arrives and not at admission."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.scope import Scope, oldest

from . import names
from .namespaces import Namespaces
from .store import Object, key_of

logger = logging.getLogger(__name__)


class Catalog:
    """TracingConfigs by namespace. One task writes it; reading never waits.

    A config with faults is represented by the last version of it without any that this process has seen. After
    a restart there is none: then a config with faults takes no part in injection until they are mended, although
    the published policy goes on with its last good version.
    """

    def __init__(self, namespaces: Namespaces | None = None, root: str = "") -> None:
        self._namespaces = namespaces or Namespaces()
        self.root = root
        """The root namespace; empty where there is none."""
        self._configs: dict[str, dict[str, TracingConfig]] = {}
        self._current: dict[str, list[TracingConfig]] = {}
        """By namespace, those that count, as far as somebody has asked since the last change."""
        self.synced_at = 0.0
        """Unix time at which the API server was last heard; 0 until the first complete list."""

    def of(self, namespace: str) -> list[TracingConfig]:
        """Those of a namespace that count."""
        known = self._configs.get(namespace)
        if known is None:
            return []
        if namespace not in self._current:
            self._current[namespace] = oldest(known.values())
        return self._current[namespace]

    def scope(self, namespace: str) -> Scope:
        """What is there for the pods of a namespace."""
        return Scope(namespace, self._namespaces.labels(namespace), self.of, self.root)

    def __len__(self) -> int:
        return sum(len(known) for known in self._configs.values())

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list."""
        items = list(manifests)
        listed = {key_of(item) for item in items}
        for item in items:
            self.put(item)
        for namespace, known in list(self._configs.items()):
            for name in list(known):
                if (namespace, name) not in listed:
                    self._drop(namespace, name)

    def put(self, manifest: Object) -> None:
        """Take over one config."""
        namespace, name = key_of(manifest)
        header = {"apiVersion": f"{names.GROUP}/{names.VERSION}", "kind": names.KIND}
        config, faults = parse_manifest({**header, **manifest})
        if config is not None:
            self._current.pop(namespace, None)
            self._configs.setdefault(namespace, {})[name] = config
            return
        logger.warning("tracingconfig %s/%s has %d faults: see its condition Accepted", namespace, name, len(faults))
        old = self._configs.get(namespace, {}).get(name)
        if old is not None and old.uid != (manifest.get("metadata") or {}).get("uid"):
            self._drop(namespace, name)

    def remove(self, manifest: Object) -> None:
        self._drop(*key_of(manifest))

    def _drop(self, namespace: str, name: str) -> None:
        self._current.pop(namespace, None)
        known = self._configs.get(namespace, {})
        known.pop(name, None)
        if not known:
            self._configs.pop(namespace, None)
