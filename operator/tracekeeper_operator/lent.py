"""Which Secrets of other namespaces are meant in policies whose entries hold on to what is known to work.

In a document those have names that do not tell which Secret it is, and the config that named it may name another one
by now. What is published may not be asked, because others than us may write that, and are not to be led to Secrets of
which nobody said that they may be used. So it is remembered from when the lender's config said so. A controller that
began later knows only what is named now; other values stay then as they are published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.merge import SecretKey
from tracekeeper_spec.policy import PolicyDocument

from .trials import held_values
from .wanted import secret_name

Place = tuple[str, str]
"""Namespace and name of a Secret."""


class Lent:
    """Follows what is wanted in each namespace; as large as what is published there."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, Place]] = {}
        """By namespace, and by what `plan` calls a Secret that is looked for by its name in the document."""

    def held(
        self, namespace: str, wanted: Iterable[SecretKey], published: PolicyDocument | None
    ) -> Mapping[str, Place]:
        """The Secrets of others that `published` holds on to. `wanted` are all those that configs name now."""
        uses = list(wanted)
        aliases = Aliases(namespace, uses)
        named = {
            f"{use.namespace}/{aliases.of(use.namespace, use.name)}": (use.namespace, use.name)
            for use in uses
            if use.namespace != namespace
        }
        needed = {secret_name(use, namespace) for use in held_values(published) if use.namespace != namespace}
        known = self._places.get(namespace, {}) | named
        kept = {key: place for key, place in known.items() if key in needed or key in named}
        if kept:
            self._places[namespace] = kept
        else:
            self._places.pop(namespace, None)
        return {key: place for key, place in kept.items() if key in needed}
