"""What becomes of published entries that nothing gives any more: pure.

The entry of a TracingConfig that is deleted, or may not be used here any longer, is published as retired for a while:
its sidecars send what they hold, then answer OK, store nothing and count. It is made from what was published, because
the object is gone, and no finalizer keeps it. Credentials stay with it only as far as their owners still consent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tracekeeper_spec.config import Section
from tracekeeper_spec.merge import only
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.secrets import secret_uses
from tracekeeper_spec.wish import Reference

RETIRED_FOR = 600
"""Seconds for which a retired entry is published: much longer than the kubelet takes to bring it to every pod."""

Known = Callable[[Reference, str], bool]
"""Whether there is such a TracingConfig with that UID, usable or not."""


@dataclass(frozen=True, slots=True)
class Staying:
    """Entries that are published although nothing gives them now."""

    configs: tuple[PolicyEntry, ...] = ()
    named: tuple[PolicyEntry, ...] = ()

    @property
    def until(self) -> int | None:
        """Unix time at which the first of them is due to go; None when none is."""
        return min((e.retired_at + RETIRED_FOR for e in (*self.configs, *self.named) if e.retired), default=None)

    def secrets(self, old: PolicyDocument, scope: Scope) -> dict[str, dict[str, bytes]]:
        """The values for them, as they were published in `old`."""
        values: dict[str, dict[str, bytes]] = {}
        for entry in (*self.configs, *self.named):
            for name, key in _keys(entry, scope):
                if key in old.secrets.get(name, {}):
                    values.setdefault(name, {})[key] = old.secrets[name][key]
        return values


def staying(
    old: PolicyDocument | None,
    configs: Sequence[PolicyEntry],
    named: Sequence[PolicyEntry],
    scope: Scope,
    known: Known,
    now: float,
) -> Staying:
    """What of `old` stays beside the entries `configs` and `named`."""
    if old is None:
        return Staying()
    return Staying(
        tuple(_staying(old.configs, configs, scope, known, now)), tuple(_staying(old.named, named, scope, known, now))
    )


def _staying(
    old: Sequence[PolicyEntry], living: Sequence[PolicyEntry], scope: Scope, known: Known, now: float
) -> Iterator[PolicyEntry]:
    uids = {entry.uid for entry in living}
    for entry in old:
        if entry.uid in uids:
            continue
        if entry.retired:
            if now < entry.retired_at + RETIRED_FOR:
                yield entry
            continue
        config = scope.find(Reference(entry.namespace, entry.name))
        if config is not None and config.uid == entry.uid:
            if not scope.admits(config):
                yield _retired(entry, now)
            # Else another one has taken its place, or no pod asks for it.
        elif known(Reference(entry.namespace, entry.name), entry.uid):
            yield entry  # It has faults that nobody can see past: what works goes on.
        else:
            yield _retired(entry, now)


def _retired(entry: PolicyEntry, now: float) -> PolicyEntry:
    return replace(entry, retired=True, retired_at=int(now), about={})


def _keys(entry: PolicyEntry, scope: Scope) -> Iterator[tuple[str, str]]:
    """Name in the document and key of every value that it may have."""
    spec, _ = entry.parse()
    for section in Section:
        namespace, _, name = entry.origins.get(section.field, f"{entry.namespace}/{entry.name}").partition("/")
        config = scope.find(Reference(namespace, name))
        if config is None or scope.admits(config):
            yield from ((use.name, use.key) for use in secret_uses(only(spec, section)))
