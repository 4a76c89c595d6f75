"""What the control server asks of TracingConfigs, by their UIDs and the namespaces of their pods."""

from __future__ import annotations

from tracekeeper_spec.config import ConfigSpec, Section
from tracekeeper_spec.merge import Merged
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.sampling import DefaultType

from ..book import Book
from .facts import ConfigFacts


class ConfigIndex:
    """Worked out when it is asked for, and remembered until something that is in force changes.

    A config with faults is here as sidecars have it: as its last version without any, or not at all.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._version = book.version
        self._facts: dict[tuple[str, str], ConfigFacts] = {}

    def find(self, uid: str, namespace: str = "") -> ConfigFacts | None:
        """What the config is for the pods of `namespace`, of its own if none is given; None when there is no such
        config, none that was ever without faults, or no consent to use it there.
        """
        if self._version != self._book.version:
            self._facts.clear()
            self._version = self._book.version
        facts = self._facts.get((uid, namespace)) or self._work_out(uid, namespace)
        if facts is not None:  # What there is not has no bound: sidecars say what they like.
            self._facts[uid, namespace] = facts
        return facts

    def __len__(self) -> int:
        """How much is remembered."""
        return len(self._facts)

    def spec(self, uid: str) -> ConfigSpec | None:
        """What the config says in its own namespace, together with what it stands over."""
        merged = self._merged(uid, "")
        return merged.spec if merged is not None else None

    def _work_out(self, uid: str, namespace: str) -> ConfigFacts | None:
        merged = self._merged(uid, namespace)
        return facts_of(merged) if merged is not None else None

    def _merged(self, uid: str, namespace: str) -> Merged | None:
        config = self._book.find(uid)
        if config is None:
            return None
        scope = self._book.scope(namespace or config.namespace)
        return scope.with_level(config) if scope.admits(config) else None


def facts_of(merged: Merged) -> ConfigFacts:
    """Of a config over what it stands over somewhere."""
    sampling = resolve(merged.spec).sampling
    default = sampling.default if sampling is not None else None
    adaptive = default.adaptive if default is not None and default.type is DefaultType.ADAPTIVE else None
    head = merged.head
    own = merged.sections.get(Section.SAMPLING, head) is head
    return ConfigFacts(head.uid, head.namespace, head.name, adaptive, inherited=not own)
