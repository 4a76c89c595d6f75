"""How spans of all dialects come to speak one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Normalize:
    """As `processors[].normalize` says."""
