"""Whom a TracingConfig may be used by: its owner's consent, which covers its policy and its credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.selector import Selector


class NamespacesFrom(StrEnum):
    """How the namespaces are told that may use a config."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


@dataclass(frozen=True, slots=True)
class AllowedNamespaces:
    """The namespaces whose pods may get a config; its own always may."""

    from_: NamespacesFrom = NamespacesFrom.SAME
    selector: Selector | None = None
    """Over the labels of namespaces; there for SELECTOR only."""

    @property
    def by_labels(self) -> bool:
        """Whether it depends on the labels of the namespace that asks."""
        return self.from_ is NamespacesFrom.SELECTOR

    def admits(self, own: str, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Whether a config of the namespace `own` consents to `namespace`, which has `labels`.

        Labels that are not known (None) satisfy no selector: consent is never guessed.
        """
        if namespace == own:
            return True
        match self.from_:
            case NamespacesFrom.ALL:
                return True
            case NamespacesFrom.SELECTOR:
                return labels is not None and self.selector is not None and self.selector.matches(labels)
            case NamespacesFrom.SAME:
                return False


ONLY_OWN = AllowedNamespaces()
"""The consent of a config that says nothing of it."""
