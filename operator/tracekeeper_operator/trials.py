"""The entries of a namespace's new document, each one step further in its rollout: pure. See `rollout`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tracekeeper_spec.config import Section
from tracekeeper_spec.merge import SecretKey
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.wish import Reference

from .pod_seen import PodSeen
from .retire import sources
from .rollout import Look, Phase, State, Step, step

POLL = 10.0
"""Seconds between two looks at what tries something."""
WORST_FIRST = (Phase.HALTED, Phase.PROGRESSING, Phase.COMPLETE)


@dataclass(frozen=True, slots=True)
class Tried:
    """A document, and how the rollouts of its entries stand."""

    document: PolicyDocument
    states: Mapping[str, State]
    """By UID of the config; of those with a section `rollout`."""


def advance(
    living: PolicyDocument,
    fixed: Mapping[str, frozenset[Section]],
    old: PolicyDocument | None,
    scope: Scope,
    look: Look | None,
    now: float,
    *,
    room: bool = True,
) -> Tried:
    """`living` has what the configs say, `old` is published; `fixed` are enforced sections by UID, and `look` is at all
    injected pods of the namespace. For `room` see `step`.
    """
    before = old if old is not None else PolicyDocument(0)
    seen = _Pods(living, look)
    states: dict[str, State] = {}

    def stepped(entries: Sequence[PolicyEntry], known: Sequence[PolicyEntry]) -> tuple[PolicyEntry, ...]:
        found: list[PolicyEntry] = []
        for entry in entries:
            then = next((each for each in known if each.uid == entry.uid and not each.retired), None)
            taken = _step(entry, then, fixed.get(entry.uid, frozenset()), scope, seen, now, room)
            found.append(taken.entry)
            if taken.state is not None:
                other = states.get(entry.uid, taken.state)
                states[entry.uid] = min(other, taken.state, key=lambda state: WORST_FIRST.index(state.phase))
        return tuple(found)

    configs, named = stepped(living.configs, before.configs), stepped(living.named, before.named)
    return Tried(replace(living, configs=configs, named=named), states)


def _step(
    entry: PolicyEntry,
    then: PolicyEntry | None,
    fixed: frozenset[Section],
    scope: Scope,
    seen: _Pods,
    now: float,
    room: bool,
) -> Step:
    return step(
        entry,
        then,
        fixed=fixed,
        withdrawn=lambda held: _withdrawn(held, scope),
        look=None if seen.look is None else lambda: seen.of(entry),
        now=now,
        room=room,
    )


def _withdrawn(entry: PolicyEntry, scope: Scope) -> frozenset[str]:
    """Of the configs that take part, those that are gone, or may not be used here, as far as can be told."""
    found = {*map(str, sources(entry)), *entry.origins.values()}
    if entry.namespace == scope.namespace:
        found.discard(f"{entry.namespace}/{entry.name}")
    return frozenset(source for source in found if not _admitted(source, scope))


def _admitted(source: str, scope: Scope) -> bool:
    namespace, _, name = source.partition("/")
    config = scope.find(Reference(namespace, name))
    return config is not None and (scope.admits(config) or scope.undecided(config))


@dataclass(frozen=True)
class _Pods:
    """Those of the namespace, by what they get of `document`; looked at when somebody asks."""

    document: PolicyDocument
    look: Look | None

    def of(self, entry: PolicyEntry) -> Sequence[PodSeen] | None:
        """None while it is not known which pods there are."""
        return self._by_entry.get(id(entry), ()) if self._by_entry is not None else None

    @cached_property
    def _by_entry(self) -> dict[int, list[PodSeen]] | None:
        pods = self.look() if self.look is not None else ()
        if pods is None:
            return None
        found: dict[int, list[PodSeen]] = {}
        for pod in pods:
            entry = self.document.pick(pod.labels, pod.annotations)
            if entry is not None:
                found.setdefault(id(entry), []).append(pod)
        return found


def trying(document: PolicyDocument | None) -> list[PolicyEntry]:
    """The entries of which something is tried."""
    entries: Iterable[PolicyEntry] = (*document.configs, *document.named) if document is not None else ()
    return [entry for entry in entries if entry.candidate is not None and not entry.retired]


def held_back(document: PolicyDocument | None, namespace: str) -> frozenset[SecretKey]:
    """Values of the namespace's own Secrets that what is published needs, whatever the configs say now. For those of
    other namespaces, which are called otherwise in documents, see `lent`.
    """
    return frozenset(use for use in held_values(document) if use.namespace == namespace)


def held_values(document: PolicyDocument | None) -> frozenset[SecretKey]:
    """All such values, called as in the document."""
    entries = (*document.configs, *document.named) if document is not None else ()
    return frozenset(
        use
        for entry in entries
        if not entry.retired
        and (entry.operator.get(Section.ROLLOUT.field) is not None or entry.halted or entry.candidate)
        for _, use in entry.secrets
    )
