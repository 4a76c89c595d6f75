"""What the control server asks of a TracingConfig."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.sampling import Adaptive as Limits


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """One TracingConfig, resolved, as it is now."""

    uid: str
    namespace: str
    name: str
    adaptive: Limits | None
    """Where its sidecars share a target; None when its default is another one, or it does not sample."""
