"""Several TracingConfigs as one: of each section, the whole one of the most specific config that has it. Pure.

Defaults come afterwards (`resolve`), so that a section that nobody wrote is no section. What is said about
configs rather than about spans (`selector`, `allowedNamespaces`, `enforced`) is never inherited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracekeeper_spec.config import ConfigSpec, Section, TracingConfig
from tracekeeper_spec.secrets import secret_uses

SUSPEND = "suspend"
SELECTOR = "selector"
ABOUT_CONFIGS = ("allowedNamespaces", "enforced")
"""Sections that no sidecar hears of."""
FOR_OPERATOR = {Section.SIDECAR.field: ("receivers", "repair", "imageUpdate")}
"""Fields that no sidecar hears of, by section: those of earlier versions would refuse the whole entry."""
ONLY_OPERATOR = (Section.ROLLOUT.field,)
"""Whole sections of that kind."""
BESIDE = tuple(section.field for section in (Section.METRICS, Section.ALERTS, Section.BUDGETS))
"""Sections that sidecars of earlier versions would refuse, too. A sidecar reads of them what it needs, one by one."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of a Secret, and the namespace in which it is read: that of the config which names it."""

    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What applies to some pods, and where each part of it comes from."""

    levels: tuple[TracingConfig, ...]
    """The configs that take part, the most specific first; each once, and at least one."""
    sections: Mapping[Section, TracingConfig]
    """The config that each section comes from; one that nobody wrote is not in it."""
    fixed: frozenset[Section] = frozenset()
    """Those that nobody but the most general config may say anything of."""

    @property
    def head(self) -> TracingConfig:
        """The most specific config: it gives its identity."""
        return self.levels[0]

    @property
    def suspended(self) -> tuple[TracingConfig, ...]:
        """The configs that say suspend."""
        return tuple(level for level in self.levels if level.spec.suspend)

    @property
    def sources(self) -> tuple[str, ...]:
        """`namespace/name@generation` of every config that takes part, the most specific first."""
        return tuple(source_of(level) for level in self.levels)

    @property
    def spec(self) -> ConfigSpec:
        """As one config would say it; its selector is the head's."""
        found = {section.attribute: getattr(config.spec, section.attribute) for section, config in self._each()}
        return ConfigSpec(suspend=True if self.suspended else None, selector=self.head.selector, **found)

    @property
    def written(self) -> dict[str, Any]:
        """The same as it was written."""
        found: dict[str, Any] = {SUSPEND: True} if self.suspended else {}
        if SELECTOR in self.head.written:
            found[SELECTOR] = self.head.written[SELECTOR]
        return found | {section.field: config.written[section.field] for section, config in self._each()}

    @property
    def secrets(self) -> tuple[SecretKey, ...]:
        """Every key of a Secret that is needed, in order of the fields."""
        return tuple(
            SecretKey(config.namespace, use.name, use.key)
            for section, config in self._each()
            for use in secret_uses(only(config.spec, section))
        )

    def _each(self) -> Iterator[tuple[Section, TracingConfig]]:
        return ((section, self.sections[section]) for section in Section if section in self.sections)


def merge(levels: Sequence[TracingConfig], enforced: Iterable[Section] = ()) -> Merged:
    """Merge `levels`, the most general first; at least one. The first one's `enforced` sections stay as they are there,
    absent ones included.
    """
    distinct = tuple({(level.namespace, level.name): level for level in reversed(levels)}.values())
    fixed = frozenset(enforced)
    sections: dict[Section, TracingConfig] = {}
    for section in Section:
        among = levels[:1] if section in fixed else distinct
        for level in among:
            if getattr(level.spec, section.attribute) is not None:
                sections[section] = level
                break
    return Merged(distinct, sections, fixed)


def source_of(config: TracingConfig) -> str:
    """`shop/agents@3`"""
    return f"{config.namespace}/{config.name}@{config.generation}"


def only(spec: ConfigSpec, section: Section) -> ConfigSpec:
    """`spec` without all other sections."""
    return replace(ConfigSpec(), **{section.attribute: getattr(spec, section.attribute)})
