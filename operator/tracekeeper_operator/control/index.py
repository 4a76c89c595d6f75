"""What the control server asks of TracingConfigs, by their UIDs and the namespaces of their pods."""

from __future__ import annotations

from dataclasses import replace

from tracekeeper_spec.config import ConfigSpec, Section
from tracekeeper_spec.merge import Merged
from tracekeeper_spec.policy import PolicyEntry
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.sampling import Adaptive, DefaultType

from ..book import Book
from ..plan import Plan
from .facts import ConfigFacts


class ConfigIndex:
    """Worked out when it is asked for, and remembered until something that is in force changes.

    A config with faults is here as sidecars have it: as its last version without any, or not at all.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._version = book.version
        self._facts: dict[tuple[str, str], ConfigFacts] = {}
        self._held: dict[str, dict[str, PolicyEntry]] = {}
        """By namespace of the pods and UID: what is in effect there, while the config says something newer."""

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

    def take(self, plan: Plan) -> None:
        """A namespace's policy is now this."""
        entries = (*plan.document.configs, *plan.document.named)
        held = {entry.uid: entry.proven for entry in entries if entry.candidate or entry.halted}
        if held != self._held.get(plan.namespace, {}):
            self._facts.clear()
            self._held[plan.namespace] = held
        if not held:
            self._held.pop(plan.namespace, None)

    def __len__(self) -> int:
        """How much is remembered."""
        return len(self._facts)

    def spec(self, uid: str) -> ConfigSpec | None:
        """What the config says in its own namespace, together with what it stands over."""
        merged = self._merged(uid, "")
        return merged.spec if merged is not None else None

    def _work_out(self, uid: str, namespace: str) -> ConfigFacts | None:
        merged = self._merged(uid, namespace)
        if merged is None:
            return None
        facts = facts_of(merged)
        held = self._held.get(namespace or facts.namespace, {}).get(uid)
        if held is None:
            return facts
        # Sidecars that try nothing, which most are, share what they have a target for.
        return replace(facts, adaptive=_adaptive(held.parse()[0]), inherited=Section.SAMPLING.field in held.origins)

    def _merged(self, uid: str, namespace: str) -> Merged | None:
        config = self._book.find(uid)
        if config is None:
            return None
        scope = self._book.scope(namespace or config.namespace)
        return scope.with_level(config) if scope.admits(config) else None


def facts_of(merged: Merged) -> ConfigFacts:
    """Of a config over what it stands over somewhere."""
    head = merged.head
    own = merged.sections.get(Section.SAMPLING, head) is head
    budgets = merged.spec.budgets or ()
    author = merged.sections.get(Section.BUDGETS, head)
    return ConfigFacts(
        head.uid,
        head.namespace,
        head.name,
        _adaptive(merged.spec),
        inherited=not own,
        budgets=budgets,
        budgets_from=f"{author.namespace}/{author.name}" if budgets else "",
    )


def _adaptive(spec: ConfigSpec) -> Adaptive | None:
    sampling = resolve(spec).sampling
    default = sampling.default if sampling is not None else None
    return default.adaptive if default is not None and default.type is DefaultType.ADAPTIVE else None
