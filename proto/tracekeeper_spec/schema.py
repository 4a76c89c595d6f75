"""The words in which a config's shape is declared, once, in `fields`.

The same declaration is walked by `walk.read` (objects and faults), by scripts/generate_crd.py (OpenAPI and
CEL of the custom resource) and by scripts/generate_reference.py (the reference page), so that the three
cannot disagree.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Values = Mapping[str, Any]
"""What could be read of an object: snake_case name to value; a field with a fault is missing."""
Finding = tuple[str, str, str]
"""Path below the object, problem, hint."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Fraction:
    """A share of something, or another number of any kind; read as float."""

    minimum: float
    maximum: float = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    """A string. Where `look` is given, it goes into detail before `pattern` is tried."""

    max_length: int
    pattern: str = ""
    """Regular expression that both Python and RE2 read alike, anchored at both ends."""
    expects: str = "a string"
    """In words, what `pattern` asks for."""
    min_length: int = 1
    look: Callable[[str], tuple[str, str] | None] | None = None
    """Problem and hint for a text that is wrong, else None."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A text in the condition language, kept as it was written (str)."""

    whole_trace: bool = False
    """Whether it is about a whole trace, and not about one span."""


@dataclass(frozen=True, slots=True)
class Choice:
    values: type[StrEnum]


@dataclass(frozen=True, slots=True)
class Duration:
    """A text such as `10s`; read as seconds (float)."""

    minimum: str
    maximum: str


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes as a Kubernetes quantity; read as int."""

    minimum: str
    maximum: str


@dataclass(frozen=True, slots=True)
class Amount:
    """Any Kubernetes quantity above zero, kept as it was written (str)."""


@dataclass(frozen=True, slots=True)
class TextMap:
    """A mapping of texts to texts; read as dict[str, str]."""

    key: Text
    value: Text
    max_items: int


@dataclass(frozen=True, slots=True)
class Free:
    """A mapping whose form is somebody else's affair: of what JSON has, with texts as names; read as dict[str, Any]."""

    max_bytes: int
    """As JSON without spaces."""
    max_depth: int
    """Of lists and mappings in each other, itself included."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """Read as a tuple. `unique` names the field by which items are told apart; the list is a map by it,
    then, unless the order of its items counts (`ordered`)."""

    item: Object | Text | Integer | Choice | Condition
    max_items: int
    min_items: int = 0
    unique: str = ""
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    node: Node
    description: str
    required: bool = False
    default: Any = None
    """As a user would write it; None when an absent field stays absent (or its default is worked out by
    `make`)."""
    default_note: str = ""
    """For people, where the default is worked out and not simply `default`."""

    @property
    def attribute(self) -> str:
        """The name in snake_case: `maxSpans` is `max_spans`, `runbookURL` is `runbook_url`; `from`, which Python keeps
        for itself, is `from_`."""
        name = re.sub(r"(?<![A-Z])([A-Z])", r"_\1", self.name.replace("-", "_")).lower()
        return f"{name}_" if keyword.iskeyword(name) else name


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold between the fields of an object."""

    find: Callable[[Values], Iterator[Finding]] | None = None
    """Yields what does not hold; must cope with fields that are missing because they had faults of their own.
    None where `parse` looks at what was written, because one fault must not hide another."""
    cel: str = ""
    """The same for the API server, where it can be said in CEL."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    """`type: X` plus the member named after it, and no other member."""

    tag: str
    members: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    """Types that may stand without their member."""


@dataclass(frozen=True, slots=True)
class Object:
    make: Callable[..., Any]
    """Called with every field by its snake_case name, absent ones as their default or None."""
    fields: tuple[Field, ...]
    union: Union | None = None
    one_of: tuple[str, ...] = ()
    """Exactly one of these fields must be there."""
    checks: tuple[Check, ...] = field(default=())


Node = (
    Boolean
    | Integer
    | Fraction
    | Text
    | Condition
    | Choice
    | Duration
    | Size
    | Amount
    | TextMap
    | Free
    | ListOf
    | Object
)
