"""What attributes are set, renamed, copied and deleted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """Whose attributes they are."""

    SPAN = "Span"
    RESOURCE = "Resource"


class ValueType(StrEnum):
    TEXT = "Text"
    INTEGER = "Integer"
    DECIMAL = "Decimal"
    BOOLEAN = "Boolean"


class PodField(StrEnum):
    """What can be said of the pod that the sidecar is in."""

    NAME = "Name"
    NAMESPACE = "Namespace"
    UID = "UID"
    NODE = "Node"
    SERVICE_ACCOUNT = "ServiceAccount"


@dataclass(frozen=True, slots=True)
class Set:
    """An attribute, and where its value comes from: one of `value` and the `from_` ones is there."""

    key: str
    value: str | None = None
    value_type: ValueType = ValueType.TEXT
    from_pod: PodField | None = None
    from_label: str | None = None
    from_annotation: str | None = None
    from_context: str | None = None
    """Name of a header or of a key of gRPC's metadata, in lower case."""
    if_missing: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """From one key to another."""

    from_: str
    to: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """As `processors[].attributes` says: copy, rename and delete look at the attributes as they came, set at what is
    left then."""

    target: Target = Target.SPAN
    match: str = ""
    """A condition; empty holds for all."""
    copy: tuple[Move, ...] = ()
    rename: tuple[Move, ...] = ()
    delete: tuple[str, ...] = ()
    set: tuple[Set, ...] = ()
