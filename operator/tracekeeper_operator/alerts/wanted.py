"""Which configs have alerts, and what is compiled of them: from the configs in force, as the book has them.

A config's own section counts, where it is in force: not one that it inherits, whose rules are those of the config which
says it, nor one that the root namespace does not let it replace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tracekeeper_spec.alert import Alerts
from tracekeeper_spec.alert.compile import compile_alerts
from tracekeeper_spec.alert.compiled import AlertRule, Compiled, Links
from tracekeeper_spec.alert.routing import CONFIG_LABEL
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.config import Section, TracingConfig
from tracekeeper_spec.scope import Scope

from ..book import Book

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Alerting:
    """One config that has alerts."""

    namespace: str
    name: str
    uid: str
    root: bool
    """Of the root namespace: its alerts are of any namespace."""
    alerts: Alerts
    budgets: tuple[Budget, ...]
    compiled: Compiled

    @property
    def config(self) -> str:
        """`namespace/name`"""
        return f"{self.namespace}/{self.name}"


def own_alerts(config: TracingConfig, scope: Scope) -> Alerts | None:
    """The section of `config` itself, where it is in force. `scope` is its namespace's."""
    merged = scope.with_level(config)
    author = merged.sections.get(Section.ALERTS) if merged is not None else None
    return config.spec.alerts if author is not None and author.uid == config.uid else None


class Wanted:
    """Follows the book, namespace by namespace. Nothing of it waits, but `update` lets others work."""

    def __init__(self, book: Book, links: Links) -> None:
        self._book, self._links = book, links
        self._found: dict[str, dict[str, Alerting]] = {}
        """By namespace and UID."""
        self._unread: dict[str, frozenset[Key]] = {}
        """By namespace, the configs of which nobody knows what they said before their faults."""
        self._broken: dict[str, frozenset[Key]] = {}
        """By namespace, those whose alerts could not be compiled by a fault of ours."""

    def all(self) -> Iterator[Alerting]:
        for namespace in sorted(self._found):
            yield from self._found[namespace].values()

    def of(self, namespace: str) -> list[Alerting]:
        return list(self._found.get(namespace, {}).values())

    def find(self, namespace: str, uid: str) -> Alerting | None:
        return self._found.get(namespace, {}).get(uid)

    @property
    def unread(self) -> frozenset[Key]:
        """Whatever is written for these stays."""
        return frozenset().union(*self._unread.values(), *self._broken.values())

    async def update(self, namespace: str) -> bool:
        """Read a namespace anew; whether something is otherwise."""
        items = self._book.assessed(namespace)
        scope = self._book.scope(namespace)
        before = self._found.get(namespace, {})
        found: dict[str, Alerting] = {}
        broken: set[Key] = set()
        for config in self._book.of(namespace):
            alerts = own_alerts(config, scope)
            if alerts is None:
                continue
            try:
                found[config.uid] = await self._compiled(config, alerts, before.get(config.uid))
            except Exception:
                # A fault of ours about one config must not keep the others from having their rules.
                logger.exception("tracingconfig %s/%s: its alerts are not compiled", namespace, config.name)
                broken.add((namespace, config.name))
            await asyncio.sleep(0)
        unread = frozenset((namespace, item.name) for item in items if item.config is None)
        changed = before != found or unread != self._unread.get(namespace, frozenset())
        self._found[namespace], self._unread[namespace], self._broken[namespace] = found, unread, frozenset(broken)
        if not (found or unread or broken):
            del self._found[namespace], self._unread[namespace], self._broken[namespace]
        return changed

    async def _compiled(self, config: TracingConfig, alerts: Alerts, before: Alerting | None) -> Alerting:
        # Of its own budgets alone: what is spent of others is counted for the config that they belong to.
        budgets = tuple(config.spec.budgets or ())
        root = config.namespace == self._book.root
        if before is not None and (before.alerts, before.budgets) == (alerts, budgets):
            return before
        # Of many rules it takes long, and the control stream would wait.
        compiled = await asyncio.to_thread(
            compile_alerts, alerts, budgets, config.namespace, config.name, root=root, links=self._links
        )
        compiled = sealed(compiled, "" if root else config.namespace)
        return Alerting(config.namespace, config.name, config.uid, root, alerts, budgets, compiled)


def sealed(compiled: Compiled, namespace: str) -> Compiled:
    """With the labels by which alerts are routed, whatever a tenant wrote: the config, and the namespace unless it is
    empty."""
    fixed = {CONFIG_LABEL: compiled.config, **({"namespace": namespace} if namespace else {})}
    rules = (
        replace(rule, labels={**rule.labels, **fixed}) if isinstance(rule, AlertRule) else rule
        for rule in compiled.rules
    )
    return replace(compiled, rules=tuple(rules))
