"""What the control server asks of TracingConfigs, by their UIDs; kept current by the reconciler."""

from __future__ import annotations

from collections.abc import Iterable

from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.sampling import DefaultType

from ..plan import Assessed
from .facts import ConfigFacts


class ConfigIndex:
    """One task writes it; reading never waits.

    A config with faults is here as sidecars have it: as its last version without any, or not at all.
    """

    def __init__(self) -> None:
        self._facts: dict[str, ConfigFacts] = {}
        self._uids: dict[str, frozenset[str]] = {}
        """By namespace."""

    def take(self, namespace: str, configs: Iterable[Assessed]) -> None:
        """Replace what is known of a namespace."""
        found = {item.uid: facts_of(namespace, item) for item in configs if item.entry is not None}
        for uid in self._uids.pop(namespace, frozenset()) - found.keys():
            self._facts.pop(uid, None)
        self._facts.update(found)
        if found:
            self._uids[namespace] = frozenset(found)

    def find(self, uid: str) -> ConfigFacts | None:
        """None when there is no such config, or none that was ever without faults."""
        return self._facts.get(uid)


def facts_of(namespace: str, item: Assessed) -> ConfigFacts:
    """Of a config that has been published."""
    sampling = resolve(item.spec).sampling
    default = sampling.default if sampling is not None else None
    adaptive = default.adaptive if default is not None and default.type is DefaultType.ADAPTIVE else None
    return ConfigFacts(item.uid, namespace, item.name, adaptive)
