"""What the API server is told about a TracingConfig that somebody wants to write: pure.

All faults go into one denial, so that they are mended in one go. What is legal and probably not meant becomes
warnings, which kubectl prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.alert.review import review
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.consent import ONLY_OWN
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.resolve import check_resolved, resolve, warnings
from tracekeeper_spec.scope import MOST, Scope, takes_all
from tracekeeper_spec.secrets import secret_uses

from .storage import NOWHERE, HostPaths

MAX_WARNING = 250
"""Characters; the API server cuts single warnings at 256 bytes when there are many."""
MAX_WARNINGS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: faults mean no."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.faults

    @property
    def message(self) -> str:
        """All faults in one text."""
        if not self.faults:
            return ""
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return f"{count}: " + "; ".join(self.faults)


def validate(
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    scope: Scope,
    host_paths: HostPaths = NOWHERE,
) -> Verdict:
    """Judge the object `new`, which replaces `old`, in the namespace that `scope` is about, together with what it
    stands over there.

    A change that does not touch the spec is always allowed: a config that became invalid by an upgrade can
    still be labelled, annotated and deleted.
    """
    if old is not None and old.get("spec") == new.get("spec"):
        return Verdict()
    config, faults = parse_manifest(new)
    if config is None:
        return Verdict(tuple(str(fault) for fault in faults))
    if old is None and len([other for other in scope.own if other.name != config.name]) >= MOST:
        text = f"namespace {config.namespace} has {MOST} TracingConfigs, and no more count: delete one, or change one"
        return Verdict((text,))
    merged = _with(scope, config).with_level(config)
    resolved = resolve(merged.spec if merged is not None else config.spec)
    reviewed = review(config, root=config.namespace == scope.root)
    found = [str(fault) for fault in (*reviewed.faults, *check_resolved(resolved), *reviewed.warnings)]
    found += [str(fault) for fault in warnings(resolved)]
    if len(resolved.backends) == 1 and not resolved.suspend:
        found.append("spec.backends: there is one backend and so no redundancy; spans wait while it is down")
    if refusal := host_paths.refusal(resolved, config.namespace):
        found.append(f"spec.sidecar.{refusal}")
    found += [*_same_pods(config, scope), *_enforcing(config, scope), *_enforced(config, scope), *_lending(config)]
    return Verdict(warnings=tuple(shorten(text) for text in found[:MAX_WARNINGS]))


def _with(scope: Scope, config: TracingConfig) -> Scope:
    """As it will be when `config` is there."""

    def of(namespace: str) -> list[TracingConfig]:
        others = [other for other in scope.configs(namespace) if other.name != config.name]
        return [*others, config] if namespace == config.namespace else list(scope.configs(namespace))

    return Scope(scope.namespace, scope.labels, of, scope.root)


def shorten(text: str) -> str:
    """As much of `text` as the API server lets through."""
    return text if len(text) <= MAX_WARNING else text[: MAX_WARNING - 1] + "…"


def _same_pods(config: TracingConfig, scope: Scope) -> Iterator[str]:
    names = sorted(other.name for other in scope.own if other.name != config.name and takes_all(other))
    if takes_all(config) and names and config.consent == ONLY_OWN:
        yield f"spec.selector: {', '.join(names)} selects every pod too; the oldest of them gets them all"


def _enforcing(config: TracingConfig, scope: Scope) -> Iterator[str]:
    """Of a config that means to enforce something."""
    if not config.spec.enforced:
        return
    if config.namespace != scope.root:
        yield f"spec.enforced: has no effect in namespace {config.namespace}, only in the root namespace, {scope.root}"
    elif not takes_all(config):
        yield "spec.enforced: has no effect together with a selector; leave one of them out"
    else:
        absent = [section for section in config.spec.enforced if getattr(config.spec, section.attribute) is None]
        for section in absent:
            yield f"spec.enforced: spec.{section.field} is not written, so its default is what nobody may replace"


def _enforced(config: TracingConfig, scope: Scope) -> Iterator[str]:
    """Of one that writes what it may not replace."""
    default = scope.default()
    if default is None or (default.namespace, default.name) == (config.namespace, config.name):
        return
    for section in default.spec.enforced or ():
        if getattr(config.spec, section.attribute) is not None:
            source = f"{default.namespace}/{default.name}"
            yield f"spec.{section.field}: has no effect, because {source} enforces what it says of {section}"


def _lending(config: TracingConfig) -> Iterator[str]:
    names = sorted({use.name for use in secret_uses(config.spec)})
    if config.consent != ONLY_OWN and names:
        values = f"the values that it needs of Secret {', '.join(names)}"
        yield f"spec.allowedNamespaces: hands {values} over to every namespace that uses this config"
