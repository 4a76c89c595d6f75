"""The schema of the section `processors`."""

from __future__ import annotations

from typing import Any

from tracekeeper_spec.attributes_fields import ATTRIBUTES
from tracekeeper_spec.custom_fields import CUSTOM
from tracekeeper_spec.detect_fields import DETECT
from tracekeeper_spec.filter_fields import FILTER
from tracekeeper_spec.normalize_fields import NORMALIZE
from tracekeeper_spec.price_fields import PRICE
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.redact_fields import REDACT
from tracekeeper_spec.schema import Choice, Field, ListOf, Object, Union
from tracekeeper_spec.texts import DNS_LABEL
from tracekeeper_spec.walk import read

_BY_DEFAULT = {
    ProcessorType.NORMALIZE: ("normalize", NORMALIZE),
    ProcessorType.REDACT: ("redact", REDACT),
    ProcessorType.PRICE: ("price", PRICE),
    ProcessorType.DETECT: ("detect", DETECT),
}
"""Types that need not be told anything: their member may be left out, and then is as if it were written `{}`."""


def _make(**values: Any) -> Processor:
    default = _BY_DEFAULT.get(values["type"])
    if default is not None and values[default[0]] is None:
        values[default[0]] = read(default[1], {}, default[0], [])
    return Processor(**values)


PROCESSOR = Object(
    _make,
    (
        Field("name", DNS_LABEL, "Name of the step, in metrics and logs.", required=True),
        Field(
            "type",
            Choice(ProcessorType),
            "What it does. `Normalize` has spans of all dialects of generative AI speak OpenTelemetry's; `Redact` "
            "hides what nobody may read; `Filter` throws spans away; `Attributes` sets, renames, copies and deletes "
            "attributes; `Price` says what calls of models cost; `Detect` looks for agents in trouble; `Custom` is a "
            "Python class of your own.",
            required=True,
        ),
        Field("normalize", NORMALIZE, "For `type: Normalize`.", default_note="all dialects"),
        Field(
            "redact",
            REDACT,
            "For `type: Redact`: what is looked for, and what becomes of it.",
            default_note="the defaults below",
        ),
        Field("filter", FILTER, "For `type: Filter`: which spans go."),
        Field("attributes", ATTRIBUTES, "For `type: Attributes`: what is done with them."),
        Field(
            "price", PRICE, "For `type: Price`: prices to go before those of the book.", default_note="the book alone"
        ),
        Field("detect", DETECT, "For `type: Detect`: what is looked for.", default_note="the defaults below"),
        Field("custom", CUSTOM, "For `type: Custom`: whose class it is, and what becomes of spans that it fails on."),
    ),
    union=Union(
        "type",
        {str(kind): str(kind).lower() for kind in ProcessorType},
        optional=frozenset(str(kind) for kind in _BY_DEFAULT),
    ),
)

PROCESSORS = ListOf(PROCESSOR, 16, unique="name", ordered=True)
