"""What troubles of agents are looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detect:
    """As `processors[].detect` says."""
