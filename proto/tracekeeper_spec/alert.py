"""What a TracingConfig wants to be told of, and who is to be told: the section `alerts`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BuiltIn(StrEnum):
    """Which rules come with the product."""

    ALL = "All"
    PIPELINE = "Pipeline"
    AGENTS = "Agents"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Alerts:
    """The section `alerts`."""

    built_in: BuiltIn
