"""Which spans are thrown away."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """As `processors[].filter` says."""

    drop: tuple[str, ...]
    """Conditions: a span goes when one of them holds."""
