"""What a condition can speak of: scopes, their fields, and the types of these."""

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


class Place(IntEnum):
    """Where a value is found in a span. The evaluator goes by these numbers."""

    SPAN_ATTRIBUTE = 0
    RESOURCE_ATTRIBUTE = 1
    NAME = 2
    KIND = 3
    STATUS = 4
    STATUS_MESSAGE = 5
    DURATION = 6
    IS_ROOT = 7


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


@dataclass(frozen=True, slots=True)
class Scope:
    """What stands before a dot."""

    about: str
    attributes: Place
    members: Mapping[str, Member] = field(default_factory=dict)


SPAN: Final = Scope(
    "The span.",
    Place.SPAN_ATTRIBUTE,
    {
        "name": Member(Type.TEXT, Place.NAME, "Its name."),
        "kind": Member(Type.TEXT, Place.KIND, "What part it plays.", KINDS),
        "status": Member(Type.TEXT, Place.STATUS, "How it ended.", STATUSES),
        "status_message": Member(Type.TEXT, Place.STATUS_MESSAGE, "What its status says in words; often empty."),
        "duration": Member(
            Type.DURATION, Place.DURATION, "From its start to its end; `0s` if it ends before it starts."
        ),
        "is_root": Member(Type.TRUTH, Place.IS_ROOT, "Whether it has no parent."),
    },
)
RESOURCE: Final = Scope("What the span comes from: service, pod, host.", Place.RESOURCE_ATTRIBUTE)

SPAN_SCOPES: Final[Mapping[str, Scope]] = {"span": SPAN, "resource": RESOURCE}
"""For conditions about one span: filters, delivery."""

ELSEWHERE: Final = {
    "trace": "it is about whole traces, and this condition sees one span",
    "metrics": "it is for alerts",
}
"""Scopes that other conditions have or will have."""
