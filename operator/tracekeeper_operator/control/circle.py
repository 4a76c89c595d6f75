"""The sidecars of one group that are attached, with what they share and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from .attached import Attached
from .groups import Group
from .spread import Spread

Key = tuple[str, str]
"""UID of the TracingConfig, and a namespace where each has its own target; empty where all share one."""


@dataclass(slots=True)
class Circle:
    key: Key
    spread: Spread
    group: Group | None = None
    """None where there is no target to share."""
    attached: dict[str, Attached] = field(default_factory=dict)
    """By the pods' UIDs."""
    telling: bool = False
    """What was taken last is on its way to all."""

    @property
    def empty(self) -> bool:
        """Nobody is there, and nobody is waited for."""
        return not self.attached and (self.group is None or not len(self.group))
