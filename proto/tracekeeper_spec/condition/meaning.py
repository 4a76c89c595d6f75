"""A condition after the checker: what is tested, and the values that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.condition.code import Constant, Slot
from tracekeeper_spec.condition.names import Subject, Type
from tracekeeper_spec.condition.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Fixed:
    type: Type
    constant: Constant


@dataclass(frozen=True, slots=True)
class Read:
    """A field or an attribute."""

    type: Type
    slot: Slot
    values: tuple[str, ...] = ()
    subject: Subject = Subject.SPAN


@dataclass(frozen=True, slots=True)
class Sum:
    sign: str
    type: Type
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Size:
    type: Type
    of: Value


Value = Fixed | Read | Sum | Size


@dataclass(frozen=True, slots=True)
class Truth:
    """A value that may be true."""

    value: Value


@dataclass(frozen=True, slots=True)
class Compare:
    sign: str
    """One of == != < <=."""
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Among:
    value: Value
    items: tuple[Fixed, ...]


@dataclass(frozen=True, slots=True)
class Has:
    slot: Slot
    subject: Subject = Subject.SPAN


@dataclass(frozen=True, slots=True)
class Within:
    """`array` is an attribute that holds `value`."""

    value: Value
    array: Value


@dataclass(frozen=True, slots=True)
class TextTest:
    name: str
    """startsWith, endsWith or contains."""
    text: Value
    part: Value


@dataclass(frozen=True, slots=True)
class Matches:
    text: Value
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Not:
    test: Test


@dataclass(frozen=True, slots=True)
class Logic:
    sign: str
    left: Test
    right: Test


Test = Truth | Compare | Among | Has | Within | TextTest | Matches | Not | Logic


def subjects(node: Test | Value) -> set[Subject]:
    """What the names in `node` are about; nothing if it has only fixed values."""
    match node:
        case Read(subject=subject) | Has(subject=subject):
            return {subject}
        case Fixed():
            return set()
        case Size(of=of):
            return subjects(of)
        case Truth(value=value) | Among(value=value):
            return subjects(value)
        case Not(test=test):
            return subjects(test)
        case Within(value=value, array=array):
            return subjects(value) | subjects(array)
        case Matches(text=text):
            return subjects(text)
        case TextTest(text=text, part=part):
            return subjects(text) | subjects(part)
        case Sum(left=left, right=right) | Compare(left=left, right=right) | Logic(left=left, right=right):
            return subjects(left) | subjects(right)
