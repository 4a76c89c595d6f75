"""What attributes are set, renamed, copied and deleted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attributes:
    """As `processors[].attributes` says."""
