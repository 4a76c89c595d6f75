"""What a condition can speak of: scopes, their fields, and the types of these.

Scopes go by what is written before the last dot: `span`, `trace.root`, `trace.root.resource`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final


class Type(StrEnum):
    """As messages call it."""

    TEST = "a condition"
    TRUTH = "true or false"
    NUMBER = "a number"
    TEXT = "a text"
    DURATION = "a duration"
    ANY = "an attribute"
    """Known only when a span comes."""


class Subject(StrEnum):
    """What a name is about, as messages call it."""

    TRACE = "the trace"
    ROOT = "its root"
    SPAN = "a span"
    EVENT = "an event of a span"


class Place(IntEnum):
    """Where a value is found. The evaluators go by these numbers."""

    SPAN_ATTRIBUTE = 0
    RESOURCE_ATTRIBUTE = 1
    NAME = 2
    KIND = 3
    STATUS = 4
    STATUS_MESSAGE = 5
    DURATION = 6
    IS_ROOT = 7
    EVENT_ATTRIBUTE = 8
    """These two are of the event that is looked at; they are only in tests of a TraceCode."""
    EVENT_NAME = 9
    TRACE_STATUS = 10
    """From here on: of a trace as a whole, only in the `code` of a TraceCode. A text, one of STATUSES."""
    TRACE_ERRORS = 11
    TRACE_DURATION = 12
    TRACE_SPANS = 13
    TRACE_PRIORITY = 14
    """The text that the slot's key is, `critical`, when a span of the trace has this priority; else missing."""
    SPAN_TEST = 15
    """A truth: whether the test with this number (the slot's key, in decimal digits) held for some span."""
    ROOT_TEST = 16
    """A truth: whether the test with this number held for the root, or one of them; false without a root."""
    TRACE_COST = 17
    """A number of dollars; missing where no call of the trace has a price. Of these two, sums are made as spans
    come."""
    TRACE_TOKENS = 18
    """A number; missing where no call of the trace tells any."""
    TRACE_DETECTED = 19
    """A truth: whether a detector has said something on one of its spans."""


KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""By their numbers in OTLP's Span.SpanKind."""
STATUSES: Final = ("unset", "ok", "error")
"""By their numbers in OTLP's Status.StatusCode."""


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a scope."""

    type: Type
    place: Place
    about: str
    """For the reference page."""
    values: tuple[str, ...] = ()
    """Of a TEXT that can be only one of these."""
    key: str = ""
    """Of its slot."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What stands before a dot."""

    about: str
    attributes: Place | None
    """None for a scope that has none."""
    members: Mapping[str, Member] = field(default_factory=dict)
    subject: Subject = Subject.SPAN


_NAME = Member(Type.TEXT, Place.NAME, "Its name.")
_KIND = Member(Type.TEXT, Place.KIND, "What part it plays.", KINDS)
_STATUS = Member(Type.TEXT, Place.STATUS, "How it ended.", STATUSES)
_DURATION = Member(Type.DURATION, Place.DURATION, "From its start to its end; `0s` if it ends before it starts.")

SPAN: Final = Scope(
    "The span.",
    Place.SPAN_ATTRIBUTE,
    {
        "name": _NAME,
        "kind": _KIND,
        "status": _STATUS,
        "status_message": Member(Type.TEXT, Place.STATUS_MESSAGE, "What its status says in words; often empty."),
        "duration": _DURATION,
        "is_root": Member(Type.TRUTH, Place.IS_ROOT, "Whether it has no parent."),
        "cost": Member(
            Type.NUMBER, Place.SPAN_ATTRIBUTE, "Dollars that its call of a model has cost.", key="gen_ai.usage.cost"
        ),
    },
)
RESOURCE: Final = Scope("What the span comes from: service, pod, host.", Place.RESOURCE_ATTRIBUTE)
EVENT: Final = Scope(
    "An event of the span.",
    Place.EVENT_ATTRIBUTE,
    {"name": Member(Type.TEXT, Place.EVENT_NAME, "Its name.")},
    Subject.EVENT,
)
TRACE: Final = Scope(
    "The whole trace.",
    None,
    {
        "status": Member(Type.TEXT, Place.TRACE_STATUS, "That of its root; without one, of its spans.", STATUSES),
        "errors": Member(Type.NUMBER, Place.TRACE_ERRORS, "Spans in error."),
        "duration": Member(Type.DURATION, Place.TRACE_DURATION, "From its first start to its last end."),
        "spans": Member(Type.NUMBER, Place.TRACE_SPANS, "Spans."),
        "cost": Member(Type.NUMBER, Place.TRACE_COST, "Dollars that its calls of models have cost."),
        "tokens": Member(Type.NUMBER, Place.TRACE_TOKENS, "Tokens of its calls of models."),
        "detected": Member(Type.TRUTH, Place.TRACE_DETECTED, "Whether `Detect` has found its agents in trouble."),
        "priority": Member(Type.TEXT, Place.TRACE_PRIORITY, "Whether a span is critical.", ("critical",), "critical"),
    },
    Subject.TRACE,
)
ROOT: Final = Scope(
    "The span without a parent, else the local root.",
    Place.SPAN_ATTRIBUTE,
    {"name": _NAME, "kind": _KIND, "status": _STATUS, "duration": _DURATION},
    Subject.ROOT,
)
ROOT_RESOURCE: Final = Scope("What the root comes from.", Place.RESOURCE_ATTRIBUTE, subject=Subject.ROOT)

SPAN_SCOPES: Final[Mapping[str, Scope]] = {"span": SPAN, "resource": RESOURCE}
"""For conditions about one span: filters, delivery."""

TRACE_SCOPES: Final[Mapping[str, Scope]] = {
    "trace": TRACE,
    "trace.root": ROOT,
    "trace.root.resource": ROOT_RESOURCE,
    "span": SPAN,
    "resource": RESOURCE,
    "event": EVENT,
}
"""For conditions about a whole trace: sampling."""

ELSEWHERE: Final = {
    "trace": "it is about whole traces, and this condition sees one span",
    "event": "it is for conditions about whole traces, and this one sees a span",
    "metrics": "it is for alerts",
}
"""Scopes that other conditions have or will have."""
