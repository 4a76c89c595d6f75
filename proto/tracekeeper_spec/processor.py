"""What is done with spans before they are metered: the section `processors`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ProcessorType(StrEnum):
    PRICE = "Price"


@dataclass(frozen=True, slots=True)
class Processor:
    """One step."""

    name: str
    type: ProcessorType
