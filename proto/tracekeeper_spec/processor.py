"""What is done with spans before they are metered: the section `processors`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.price import Price, PriceOverride


class ProcessorType(StrEnum):
    PRICE = "Price"


@dataclass(frozen=True, slots=True)
class Processor:
    """One step."""

    name: str
    type: ProcessorType
    price: Price | None = None


def price_overrides(processors: Iterable[Processor]) -> tuple[PriceOverride, ...]:
    """Those of all steps, in their order."""
    return tuple(
        override
        for processor in processors
        if processor.type is ProcessorType.PRICE and processor.price is not None
        for override in processor.price.overrides
    )
