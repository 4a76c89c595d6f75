"""The schema of the section `processors`."""

from __future__ import annotations

from tracekeeper_spec.price_fields import PRICE
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.schema import Choice, Field, ListOf, Object, Union
from tracekeeper_spec.texts import DNS_LABEL

PROCESSOR = Object(
    Processor,
    (
        Field("name", DNS_LABEL, "Name of the step, in metrics and logs.", required=True),
        Field("type", Choice(ProcessorType), "What it does. `Price` says what calls of models cost.", required=True),
        Field("price", PRICE, "For `type: Price`: prices to go before those of the book."),
    ),
    union=Union("type", {"Price": "price"}),
)

PROCESSORS = ListOf(PROCESSOR, 16, unique="name", ordered=True)
