"""A compiled condition: a flat program over cells, for the evaluator that runs it on raw spans.

There are three sorts of cells, numbered one after the other: constants, slots (filled from each span), temporaries. An
instruction is four numbers, an operation and its operands. Tests set a flag, which jumps look at and which is the
answer at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from tracekeeper_spec.condition.names import Place
from tracekeeper_spec.condition.pattern import Pattern


class Op(IntEnum):
    """Operands are cells unless said otherwise."""

    TRUTH = 0
    """x is the value true."""
    EQUAL = 1
    """x == y"""
    UNEQUAL = 2
    LESS = 3
    """x < y"""
    AT_MOST = 4
    """x <= y"""
    AMONG = 5
    """x equals one of the z cells from y on."""
    HAS = 6
    """x is there."""
    WITHIN = 7
    """The array y holds x."""
    STARTS = 8
    ENDS = 9
    CONTAINS = 10
    MATCHES = 11
    """Pattern number y is found in x."""
    SUM = 12
    """z becomes x + y"""
    DIFFERENCE = 13
    SIZE = 14
    """z becomes the size of x."""
    NOT = 15
    """Turns the flag round."""
    IF_FALSE = 16
    """Goes on at instruction x unless the flag is set."""
    IF_TRUE = 17


class Kind(IntEnum):
    """What a cell holds. The evaluator goes by these numbers."""

    MISSING = 0
    TRUTH = 1
    INTEGER = 2
    DECIMAL = 3
    TEXT = 4
    DURATION = 5
    ARRAY = 6
    MAP = 7
    OTHER = 8
    """There, and not comparable: bytes, and an attribute without a value."""


STEP: Final = 4
"""Numbers in an instruction."""

MAX_CELLS: Final = 256
MAX_INSTRUCTIONS: Final = 512
MAX_PATTERNS: Final = 16
"""The evaluator has room for so many."""


@dataclass(frozen=True, slots=True)
class Constant:
    kind: Kind
    value: bool | int | float | str
    """Of a DURATION, nanoseconds."""


@dataclass(frozen=True, slots=True)
class Slot:
    place: Place
    key: str = ""
    """Of an attribute; what else it is for says Place."""


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    """The condition as it was written; empty for a test of a TraceCode."""
    constants: tuple[Constant, ...]
    slots: tuple[Slot, ...]
    temporaries: int
    instructions: tuple[int, ...]
    """STEP for each."""
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class TraceCode:
    """A compiled condition about a whole trace.

    `span_tests` are run on each span of the trace; test number n holds when it held for any of them. Their slots have
    the places of a span's condition, and EVENT_ATTRIBUTE and EVENT_NAME. A test with a slot of these two is run on each
    event of each span instead (with the span's other slots as ever), and not at all on a span without events.
    `root_tests` are run on the root alone (on each local root, if there are several); their slots have the places of a
    span's condition. No two tests are equal.
    `code` is run when the trace is decided; its slots have the places from TRACE_STATUS on.
    """

    text: str
    """The condition as it was written."""
    span_tests: tuple[Code, ...]
    root_tests: tuple[Code, ...]
    code: Code


MAX_TESTS: Final = 31
"""Of spans, and as many of roots, in all conditions that go together: a trace's summary has a bit for each."""


@dataclass(frozen=True, slots=True)
class TraceCodes:
    """Several TraceCodes that share their tests; see `trace.combine`."""

    span_tests: tuple[Code, ...]
    root_tests: tuple[Code, ...]
    codes: tuple[Code, ...]
    """For each condition its `code`, in which tests have the numbers that they have here."""

    @property
    def sums(self) -> bool:
        """Whether any of them speaks of what traces have cost, or of their tokens."""
        sums = (Place.TRACE_COST, Place.TRACE_TOKENS)
        return any(slot.place in sums for code in self.codes for slot in code.slots)
