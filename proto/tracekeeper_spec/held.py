"""By what a pod's sidecar is made, also where no TracingConfig is there for it: as the root namespace enforces. Pure.

A pod may name a config that does not exist, or is not lent to it. It then gets a sidecar that waits for one; this must
not be a way round what holds for every other pod.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.config import ConfigSpec, Section, TracingConfig
from tracekeeper_spec.merge import Merged, only
from tracekeeper_spec.scope import Scope


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a pod's sidecar at its injection."""

    spec: ConfigSpec
    enforcer: TracingConfig | None
    """The config that enforces the section `sidecar`, so that annotations change nothing; None where nobody does."""


def held(scope: Scope, merged: Merged | None) -> Held:
    """For a pod to which `merged` applies, or nothing."""
    if merged is not None:
        return Held(merged.spec, merged.levels[-1] if Section.SIDECAR in merged.fixed else None)
    default = scope.default()
    if default is None or Section.SIDECAR not in (default.spec.enforced or ()):
        return Held(ConfigSpec(), None)
    return Held(only(default.spec, Section.SIDECAR), default)
