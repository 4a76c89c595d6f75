"""Which TracingConfigs apply to a pod, and why the others do not: told along the operator's own resolution. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tracekeeper_cli.missing import applying
from tracekeeper_cli.world import INJECT, Object, World, annotations_of, labels, meta, name_of, parsed
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.held import Held, held
from tracekeeper_spec.merge import Merged, source_of
from tracekeeper_spec.scope import Scope, takes_all
from tracekeeper_spec.selector import Selector
from tracekeeper_spec.wish import Reference, parse_wish

ROOT, NAMESPACE, SELECTOR, NAMED = "root namespace", "namespace", "selector", "named"


@dataclass(frozen=True, slots=True)
class Row:
    """One config, and what becomes of it for the pod."""

    config: str
    """`shop/agents@3`; without the generation where it has faults."""
    level: str
    applies: bool
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What applies to one pod."""

    merged: Merged | None
    held: Held
    """What its sidecar is made from."""
    rows: tuple[Row, ...]
    """The most specific level first, as the sources of a pod."""
    sections: Mapping[str, str]
    """The config that each section comes from."""


def choose(world: World, pod: Object) -> Choice:
    """Decide about one pod, and say why."""
    scope = world.scope(str(meta(pod).get("namespace", "")))
    merged = applying(scope, pod)
    wish = parse_wish(annotations_of(pod).get(INJECT, "true"), scope.namespace)
    named = wish.named if wish is not None else None
    rows = list(_rows(world, scope, named, labels(pod), merged))
    order = (NAMED, SELECTOR, NAMESPACE, ROOT)
    rows.sort(key=lambda row: (not row.applies, order.index(row.level)))
    sections: dict[str, str] = {}
    if merged is not None:
        default = scope.default()
        fixed = default.spec.enforced or () if default is not None else ()
        for section, config in merged.sections.items():
            enforced = " (enforced: no namespace may replace it)" if section in fixed else ""
            sections[str(section)] = source_of(config) + enforced
    return Choice(merged, held(scope, merged), tuple(rows), sections)


def _rows(
    world: World, scope: Scope, named: Reference | None, pod: Mapping[str, str], merged: Merged | None
) -> Iterator[Row]:
    taking_part = {(level.namespace, level.name) for level in merged.levels} if merged is not None else set()
    seen = set()
    for manifest in world.configs:
        space = str(meta(manifest).get("namespace", ""))
        key = (space, str(meta(manifest).get("name", "")))
        seen.add(key)
        mentioned = named is not None and key == (named.namespace, named.name)
        if space not in (scope.namespace, scope.root) and not mentioned:
            continue
        config, faults = parsed(manifest)
        level = _level(scope, space, config, mentioned=mentioned)
        if config is None:
            why = f"it has faults ({faults[0]}): at admission it takes no part; see its condition Accepted"
            yield Row(name_of(manifest), level, False, why)
        elif key in taking_part:
            yield Row(source_of(config), level, True, _reason(level, config))
        else:
            why = _against(scope, level, config, named, pod)
            yield Row(source_of(config), level, False, why)
    if named is not None and (named.namespace, named.name) not in seen:
        yield Row(
            str(named), NAMED, False, f"the pod names it, and there is none (or {named.namespace} cannot be read)"
        )


def _level(scope: Scope, space: str, config: TracingConfig | None, *, mentioned: bool) -> str:
    if mentioned:
        return NAMED
    if space != scope.namespace:
        return ROOT
    return NAMESPACE if config is None or takes_all(config) else SELECTOR


def _reason(level: str, config: TracingConfig) -> str:
    told = {
        ROOT: "the default for namespaces to which it is lent",
        NAMESPACE: "it has no selector: it is for every pod of its namespace",
        SELECTOR: f"its selector matches the pod: {_shown(config.selector)}",
        NAMED: f"the pod's annotation {INJECT} names it",
    }
    return told[level]


def _against(scope: Scope, level: str, config: TracingConfig, named: Reference | None, pod: Mapping[str, str]) -> str:
    admitted = scope.admits(config)
    if not admitted and level in (ROOT, NAMED):
        how = config.consent.from_
        unknown = "; the namespace's labels cannot be read" if scope.labels is None else ""
        return f"no consent: its spec.allowedNamespaces is {how}, which leaves out {scope.namespace}{unknown}"
    if level == ROOT:
        if not takes_all(config):
            return "it has a selector: only those without one are defaults for other namespaces"
        return _older(scope.default())
    if named is not None:
        if level == NAMESPACE and scope.by_name(named) is not None:
            return _older(scope.base())
        return f"the pod names {named} instead"
    if level == SELECTOR:
        if config.selector is not None and config.selector.matches(pod):
            return "an older config's selector matches the pod, too"
        return f"its selector does not match the pod: {_shown(config.selector)}"
    return _older(scope.base())


def _older(config: TracingConfig | None) -> str:
    return f"{source_of(config)} is older" if config is not None else "another one is older"


def _shown(selector: Selector | None) -> str:
    if selector is None:
        return "none"
    equal = [f"{key}={value}" for key, value in selector.match_labels.items()]
    others = [f"{each.key} {each.operator} {','.join(each.values)}".rstrip() for each in selector.match_expressions]
    return ", ".join([*equal, *others])
