"""A step of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

GROUP = "tracekeeper.processors"
"""The group of entry points in which packages name their classes."""


class OnError(StrEnum):
    """What becomes of a request that the step could not work on."""

    BYPASS = "Bypass"
    REFUSE = "Refuse"


@dataclass(frozen=True, slots=True)
class Custom:
    """As `processors[].custom` says."""

    entry_point: str
    """Name in the group `tracekeeper.processors`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """For the class, as it was written."""
    on_error: OnError = OnError.BYPASS
    timeout: float = 1.0
    """Seconds that one request may take."""
    memory: int = 128 << 20
    """Bytes that the process of the step may have."""
