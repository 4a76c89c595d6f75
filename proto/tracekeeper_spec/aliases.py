"""Names under which a policy document keeps Secrets of several namespaces, so that none takes another's place. Pure.

The Secrets of the document's own namespace keep their names. Those of others get one that is made of a digest and
that no Secret in use there has: so a Secret that somebody creates in one namespace never stands in for one of another.
It begins as no name does that people may write (`secrets.RESERVED`), and so is the same in every revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tracekeeper_spec.merge import SecretKey
from tracekeeper_spec.secrets import RESERVED

REDACT = "redact"
REF, CERTIFICATE = "secretKeyRef", "secretName"
"""The members of a spec that name a Secret: `{secretKeyRef: {name, key}}` and `{secretName: …}`."""


class Aliases:
    """The names in the document of one namespace."""

    def __init__(self, namespace: str, uses: Iterable[SecretKey]) -> None:
        """`uses` are all that the document needs; their order does not matter."""
        known = {(use.namespace, use.name) for use in uses}
        self.namespace = namespace
        self._names: dict[tuple[str, str], str] = {}
        taken = {name for owner, name in known if owner == namespace}
        for owner, name in sorted(known):
            if owner != namespace:
                self._names[owner, name] = alias = _free(owner, name, taken)
                taken.add(alias)

    def of(self, namespace: str, name: str) -> str:
        """The name in the document of a Secret."""
        return name if namespace == self.namespace else self._names[namespace, name]

    def within(self, namespace: str) -> Callable[[str], str]:
        """The names in the document of one namespace's Secrets."""
        return lambda name: self.of(namespace, name)


def renamed(section: Any, name_of: Callable[[str], str]) -> Any:
    """`section`, as it was written and without faults, with other names for its Secrets."""
    if isinstance(section, Mapping):
        return {key: _member(key, value, name_of) for key, value in section.items()}
    if isinstance(section, list):
        return [renamed(item, name_of) for item in section]
    return section


def in_processors(section: Any, name_of: Callable[[str], str]) -> Any:
    """The same of `processors`, where only redaction has Secrets: the objects of custom steps are anybody's."""
    return [
        {**step, REDACT: renamed(step[REDACT], name_of)} if step.get(REDACT) is not None else step for step in section
    ]


def _member(key: str, value: Any, name_of: Callable[[str], str]) -> Any:
    if key == REF:
        return {**value, "name": name_of(value["name"])}
    return name_of(value) if key == CERTIFICATE else renamed(value, name_of)


def _free(owner: str, name: str, taken: set[str]) -> str:
    for attempt in range(len(taken) + 1):
        digest = hashlib.sha256(f"{owner}/{name}/{attempt}".encode()).hexdigest()
        if (alias := f"{RESERVED}{digest[:32]}") not in taken:
            return alias
    raise AssertionError("one of so many names is free")
