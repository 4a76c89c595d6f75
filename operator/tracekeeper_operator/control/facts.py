"""What the control server asks of a TracingConfig."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.budget import Budget
from tracekeeper_spec.sampling import Adaptive as Limits


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """One TracingConfig, merged with what it stands over and resolved, as it is now."""

    uid: str
    namespace: str
    name: str
    adaptive: Limits | None
    """Where its sidecars share a target; None when its default is another one, or it does not sample."""
    inherited: bool = False
    """Whether that comes from another config, so that elsewhere this one may have another target."""
    budgets: tuple[Budget, ...] = ()
    """What its pods' calls of models count against."""
    budgets_from: str = ""
    """`namespace/name` of the config that wrote them; empty where there are none."""
