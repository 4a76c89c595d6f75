"""What of spans nobody may read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Redact:
    """As `processors[].redact` says."""
