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
from tracekeeper_spec.price import Price
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


def price_of(processors: Iterable[Processor]) -> Price:
    """What all steps say of prices, in their order: a call costs the same wherever it is priced."""
    said = [each.price for each in processors if each.type is ProcessorType.PRICE and each.price is not None]
    return Price(
        tuple(override for each in said for override in each.overrides),
        tuple(tier for each in said for tier in each.service_tiers),
    )
