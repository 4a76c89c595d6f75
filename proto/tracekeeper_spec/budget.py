"""What the calls of models may cost in a period: the section `budgets`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget."""

    name: str
