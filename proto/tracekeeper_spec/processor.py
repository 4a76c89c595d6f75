"""What is done with spans before they are stored: the section `processors`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.attributes import Attributes
from tracekeeper_spec.custom import Custom
from tracekeeper_spec.detect import Detect
from tracekeeper_spec.filter import Filter
from tracekeeper_spec.normalize import Normalize
from tracekeeper_spec.price import Price, PriceOverride
from tracekeeper_spec.redact import Redact


class ProcessorType(StrEnum):
    NORMALIZE = "Normalize"
    REDACT = "Redact"
    FILTER = "Filter"
    ATTRIBUTES = "Attributes"
    PRICE = "Price"
    DETECT = "Detect"
    CUSTOM = "Custom"


@dataclass(frozen=True, slots=True)
class Processor:
    """One step: its name, its type, and the member that belongs to that type; the other members are None."""

    name: str
    type: ProcessorType
    normalize: Normalize | None = None
    redact: Redact | None = None
    filter: Filter | None = None
    attributes: Attributes | None = None
    price: Price | None = None
    detect: Detect | None = None
    custom: Custom | None = None


def price_overrides(processors: Iterable[Processor]) -> tuple[PriceOverride, ...]:
    """Those of all steps, in their order."""
    return tuple(
        override
        for processor in processors
        if processor.type is ProcessorType.PRICE and processor.price is not None
        for override in processor.price.overrides
    )
