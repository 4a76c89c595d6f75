"""Which TracingConfigs apply to the pods of one namespace: the same code in the controller and in the injector. Pure.

Three levels, the most general first: a default of the root namespace, the namespace's own config without a
selector, and its config whose selector matches the pod, or else the one that the pod names. In each level the
oldest wins, then the first by name. Of those in one namespace, no more than `MOST` count, so that nobody can wear out
what all namespaces share by writing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest

from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.merge import Merged, merge
from tracekeeper_spec.wish import Reference

Configs = Callable[[str], Iterable[TracingConfig]]
"""The usable configs of a namespace."""
MOST = 200
"""How many configs of one namespace count: the oldest."""


@dataclass(frozen=True)
class Scope:
    """One namespace, and what is there for its pods: as it is when it is first asked for, so that a scope says the same
    however often it is asked, and need not look through all of them each time.
    """

    namespace: str
    labels: Mapping[str, str] | None
    """The namespace's; None when they are not known."""
    configs: Configs
    root: str = ""
    """The root namespace; empty where there is none."""

    @property
    def own(self) -> list[TracingConfig]:
        """The namespace's own configs, the oldest first."""
        return list(self._of(self.namespace).values())

    def default(self) -> TracingConfig | None:
        """The root namespace's config for this one: the oldest without a selector that consents."""
        return self._default

    def admits(self, config: TracingConfig) -> bool:
        """Whether the owner of `config` lets it be used here."""
        return config.consent.admits(config.namespace, self.namespace, self.labels)

    def undecided(self, config: TracingConfig) -> bool:
        """Whether that cannot be told yet, because it depends on labels that are not known."""
        return self.labels is None and config.namespace != self.namespace and config.consent.by_labels

    def base(self) -> TracingConfig | None:
        """The namespace's own config without a selector."""
        return self._base

    def by_labels(self, labels: Mapping[str, str]) -> Merged | None:
        """What a pod with `labels` gets that names no config; None when nothing is there for it."""
        selecting = (config for config in self._of(self.namespace).values() if not takes_all(config))
        return self.with_level(_first(item for item in selecting if item.selector and item.selector.matches(labels)))

    def by_name(self, wanted: Reference) -> Merged | None:
        """What a pod gets that names `wanted`; None when there is no such config, or no consent."""
        found = self.find(wanted)
        return None if found is None or not self.admits(found) else self.with_level(found)

    def find(self, wanted: Reference) -> TracingConfig | None:
        """The config that `wanted` means, whether it may be used here or not."""
        return self._of(wanted.namespace).get(wanted.name)

    def with_level(self, config: TracingConfig | None) -> Merged | None:
        """`config` over what the namespace and the root namespace have; None when none of the three is there."""
        default = self.default()
        levels = [level for level in (default, self.base(), config) if level is not None]
        if not levels:
            return None
        return merge(levels, default.spec.enforced or () if default is not None else ())

    @cached_property
    def _default(self) -> TracingConfig | None:
        if not self.root:
            return None
        return _first(config for config in self._of(self.root).values() if takes_all(config) and self.admits(config))

    @cached_property
    def _base(self) -> TracingConfig | None:
        return _first(config for config in self._of(self.namespace).values() if takes_all(config))

    def _of(self, namespace: str) -> dict[str, TracingConfig]:
        """Those of a namespace that count, by name, the oldest first."""
        found = self._seen.get(namespace)
        if found is None:
            found = self._seen[namespace] = {config.name: config for config in oldest(self.configs(namespace))}
        return found

    @cached_property
    def _seen(self) -> dict[str, dict[str, TracingConfig]]:
        return {}


def takes_all(config: TracingConfig) -> bool:
    """Whether it is for every pod: it has no selector, or one that asks for nothing."""
    return config.selector is None or config.selector.empty


def oldest(configs: Iterable[TracingConfig]) -> list[TracingConfig]:
    """Those of one namespace that count, the oldest first."""
    return nsmallest(MOST, configs, key=_age)


def _first(configs: Iterable[TracingConfig]) -> TracingConfig | None:
    return next(iter(configs), None)


def _age(config: TracingConfig) -> tuple[str, str]:
    return config.created, config.name
