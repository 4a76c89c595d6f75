"""Which config each pod has: remembered, because it is asked for all pods whenever they are counted."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from tracekeeper_spec.config import Sidecar
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.resolve import resolve

from ..plan import Plan
from .facts import PodFacts


@dataclass(slots=True)
class _Policy:
    """That of one namespace, and what was found out by it."""

    document: PolicyDocument
    picked: dict[str, tuple[PodFacts, PolicyEntry | None]] = field(default_factory=dict)
    """By a pod's UID: the pod as it was then, and its entry."""
    sections: dict[int, Sidecar | None] = field(default_factory=dict)
    """By the `id` of an entry of the document."""


class Policies:
    """Those of all namespaces, as they were planned last. On one loop; reading never waits."""

    def __init__(self) -> None:
        self._known: dict[str, _Policy] = {}
        self._published: dict[str, int] = {}

    def take(self, plan: Plan) -> None:
        """A namespace's policy is now this, or will be once it is written."""
        known = self._known.get(plan.namespace)
        if not _says_something(plan.document):
            self._known.pop(plan.namespace, None)
            self._published.pop(plan.namespace, None)
            return
        if known is None or known.document != plan.document:
            self._known[plan.namespace] = _Policy(plan.document)
        if not plan.write:
            self.published(plan)
        elif plan.before:
            # After a start of the operator: it may be long until a newer one can be written.
            self._published.setdefault(plan.namespace, plan.before)

    def published(self, plan: Plan) -> None:
        """Pods get it from now on. Nobody can be behind a policy that could not be written, or that says nothing: a
        sidecar goes on with what it has then."""
        if _says_something(plan.document):
            self._published[plan.namespace] = plan.document.revision

    def revision(self, namespace: str) -> int:
        """Of the policy that is published in the namespace; 0 where none is known of."""
        return self._published.get(namespace, 0)

    def config_of(self, pod: PodFacts) -> str:
        """The UID of the config that a pod has, or would have; empty if there is none."""
        known = self._known.get(pod.namespace)
        entry = _pick(known, pod) if known is not None else None
        return entry.uid if entry is not None else ""

    def section_of(self, pod: PodFacts) -> Sidecar | None:
        """The section `sidecar` of that config; None if there is none that can be read."""
        known = self._known.get(pod.namespace)
        entry = _pick(known, pod) if known is not None else None
        if known is None or entry is None:
            return None
        if id(entry) not in known.sections:
            spec, faults = entry.parse_whole()
            known.sections[id(entry)] = None if faults else resolve(spec).sidecar
        return known.sections[id(entry)]

    def keep(self, namespace: str, uids: Set[str]) -> None:
        """Forget all other pods of the namespace."""
        known = self._known.get(namespace)
        if known is not None and len(known.picked) > len(uids):
            known.picked = {uid: each for uid, each in known.picked.items() if uid in uids}


def _says_something(document: PolicyDocument) -> bool:
    return bool(document.configs or document.named)


def _pick(known: _Policy, pod: PodFacts) -> PolicyEntry | None:
    before = known.picked.get(pod.uid)
    if before is not None and before[0] is pod:
        return before[1]
    entry = known.document.pick(pod.labels, pod.annotations)
    known.picked[pod.uid] = (pod, entry)
    return entry
