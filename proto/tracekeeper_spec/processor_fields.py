"""The schema of the section `processors`."""

from __future__ import annotations

from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.schema import Choice, Field, ListOf, Object
from tracekeeper_spec.texts import DNS_LABEL

PROCESSOR = Object(
    Processor,
    (
        Field("name", DNS_LABEL, "Name of the step, in metrics and logs.", required=True),
        Field("type", Choice(ProcessorType), "What it does.", required=True),
    ),
)

PROCESSORS = ListOf(PROCESSOR, 16, unique="name")
