"""What becomes of published entries that nothing gives any more: pure.

The entry of a TracingConfig that is deleted, or may not be used here any longer, is published as retired for a while:
its sidecars send what they hold, then answer OK, store nothing and count. Where there are no sidecars it goes soon. It
is made from what was published, because the object is gone, and no finalizer keeps it. Credentials stay with it only as
far as their owners still consent.

Consent that depends on labels which are not known yet is neither given nor taken back: what was published stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.wish import Reference

RETIRED_FOR = 600
"""Seconds for which a retired entry is published: much longer than the kubelet takes to bring it to every pod."""

BRIEFLY = 60
"""Seconds for it where no injected pod is known: one that was just admitted may not be known yet."""

Known = Callable[[Reference, str], bool]
"""Whether there is such a TracingConfig with that UID, usable or not."""


@dataclass(frozen=True, slots=True)
class Staying:
    """Entries that are published although nothing gives them now; before any other with their UID."""

    configs: tuple[PolicyEntry, ...] = ()
    named: tuple[PolicyEntry, ...] = ()
    retired_for: int = RETIRED_FOR
    """Seconds."""

    @property
    def uids(self) -> tuple[frozenset[str], frozenset[str]]:
        """Of `configs` and of `named`."""
        return frozenset(entry.uid for entry in self.configs), frozenset(entry.uid for entry in self.named)

    @property
    def until(self) -> int | None:
        """Unix time at which the first of them is due to go; None when none is."""
        return min((e.retired_at + self.retired_for for e in (*self.configs, *self.named) if e.retired), default=None)

    def briefly(self, now: float) -> Staying:
        """Where no sidecar is known that could drain by what is retired."""
        configs, named = (
            tuple(entry for entry in entries if not entry.retired or now < entry.retired_at + BRIEFLY)
            for entries in (self.configs, self.named)
        )
        return Staying(configs, named, BRIEFLY)

    def secrets(self, old: PolicyDocument, scope: Scope) -> dict[str, dict[str, bytes]]:
        """The values for them, as they were published in `old`."""
        values: dict[str, dict[str, bytes]] = {}
        for entry in (*self.configs, *self.named):
            for config, use in entry.secrets:
                if not _revoked(config, scope) and use.key in old.secrets.get(use.name, {}):
                    values.setdefault(use.name, {})[use.key] = old.secrets[use.name][use.key]
        return values


def staying(
    old: PolicyDocument | None,
    configs: Collection[str],
    named: Collection[str],
    scope: Scope,
    known: Known,
    now: float,
) -> Staying:
    """What of `old` stays. `configs` and `named` are the UIDs of those for which there are entries now."""
    if old is None:
        return Staying()
    return Staying(
        tuple(_staying(old.configs, configs, scope, known, now)), tuple(_staying(old.named, named, scope, known, now))
    )


def left(old: PolicyDocument, scope: Scope, known: Known, now: float) -> Staying:
    """What of `old` may stay when nothing new can be said: what works, but nothing whose owner takes it back."""
    return Staying(tuple(_left(old.configs, scope, known, now)), tuple(_left(old.named, scope, known, now)))


def _left(old: Sequence[PolicyEntry], scope: Scope, known: Known, now: float) -> Iterator[PolicyEntry]:
    for entry in old:
        reference = Reference(entry.namespace, entry.name)
        config = scope.find(reference)
        there = (config is not None and config.uid == entry.uid) or known(reference, entry.uid)
        if entry.retired:
            yield from _in_time(entry, now)
        else:
            yield entry if there and not _any_revoked(entry, scope) else _retired(entry, now)


def _staying(
    old: Sequence[PolicyEntry], living: Collection[str], scope: Scope, known: Known, now: float
) -> Iterator[PolicyEntry]:
    for entry in old:
        if scope.labels is None and not entry.retired and _undecided(entry, scope):
            yield entry
            continue
        if entry.uid in living:
            continue
        if entry.retired:
            yield from _in_time(entry, now)
            continue
        config = scope.find(Reference(entry.namespace, entry.name))
        if config is not None and config.uid == entry.uid:
            if not scope.admits(config):
                yield _retired(entry, now)
            # Else another one has taken its place, or no pod asks for it.
        elif known(Reference(entry.namespace, entry.name), entry.uid):
            # It has faults that nobody can see past: what works goes on.
            yield _retired(entry, now) if _any_revoked(entry, scope) else entry
        else:
            yield _retired(entry, now)


def _retired(entry: PolicyEntry, now: float) -> PolicyEntry:
    return replace(entry.proven, retired=True, retired_at=int(now), about={})


def _in_time(entry: PolicyEntry, now: float) -> Iterator[PolicyEntry]:
    if entry.retired_at > now:  # By a clock that was ahead.
        entry = replace(entry, retired_at=int(now))
    if now < entry.retired_at + RETIRED_FOR:
        yield entry


def sources(entry: PolicyEntry) -> Iterator[Reference]:
    """The configs that take part in an entry, the most specific first."""
    for source in entry.sources or (f"{entry.namespace}/{entry.name}@{entry.generation}",):
        namespace, _, rest = source.partition("/")
        yield Reference(namespace, rest.rpartition("@")[0])


def _undecided(entry: PolicyEntry, scope: Scope) -> bool:
    """Whether somebody's consent to it cannot be told, and nobody's is known to have been taken back."""
    found = [config for source in sources(entry) if (config := scope.find(source)) is not None]
    return any(map(scope.undecided, found)) and not _any_revoked(entry, scope)


def _any_revoked(entry: PolicyEntry, scope: Scope) -> bool:
    return any(_revoked(source, scope) for source in sources(entry))


def _revoked(source: Reference, scope: Scope) -> bool:
    """Whether a config's owner says that it may not be used here; one that is gone says nothing."""
    config = scope.find(source)
    return config is not None and not scope.admits(config) and not scope.undecided(config)
