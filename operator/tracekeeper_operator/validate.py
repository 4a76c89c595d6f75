"""What the API server is told about a TracingConfig that somebody wants to write: pure.

All faults go into one denial, so that they are mended in one go. What is legal and probably not meant becomes
warnings, which kubectl prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.resolve import check_resolved, resolve, warnings

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
    others: Iterable[TracingConfig],
    host_paths: HostPaths = NOWHERE,
) -> Verdict:
    """Judge the object `new`, which replaces `old`, in a namespace that has `others`.

    A change that does not touch the spec is always allowed: a config that became invalid by an upgrade can
    still be labelled, annotated and deleted.
    """
    if old is not None and old.get("spec") == new.get("spec"):
        return Verdict()
    config, faults = parse_manifest(new)
    if config is None:
        return Verdict(tuple(str(fault) for fault in faults))
    resolved = resolve(config.spec)
    found = [str(fault) for fault in (*check_resolved(resolved), *warnings(resolved))]
    if len(resolved.backends) == 1 and not resolved.suspend:
        found.append("spec.backends: there is one backend and so no redundancy; spans wait while it is down")
    if refusal := host_paths.refusal(resolved, config.namespace):
        found.append(f"spec.sidecar.{refusal}")
    found += _same_pods(config, others)
    return Verdict(warnings=tuple(shorten(text) for text in found[:MAX_WARNINGS]))


def shorten(text: str) -> str:
    """As much of `text` as the API server lets through."""
    return text if len(text) <= MAX_WARNING else text[: MAX_WARNING - 1] + "…"


def _same_pods(config: TracingConfig, others: Iterable[TracingConfig]) -> list[str]:
    if not _takes_all(config):
        return []
    names = sorted(other.name for other in others if other.name != config.name and _takes_all(other))
    if not names:
        return []
    return [f"spec.selector: {', '.join(names)} selects every pod too; the oldest of them gets them all"]


def _takes_all(config: TracingConfig) -> bool:
    return config.selector is None or config.selector.empty
