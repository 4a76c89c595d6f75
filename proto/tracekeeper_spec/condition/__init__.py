"""The condition language: from text to a program for raw spans, or to everything that is wrong with it.

The reference is `docs/reference/condition-language.md`. A text goes through `tokens`, `parser` (which makes a `tree`),
`checker` (its `meaning`) and `emit` (a `code.Code`); one about a whole trace also through `trace`, which makes several
programs of it. What runs them is the sidecar's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tracekeeper_spec.condition.checker import Checker
from tracekeeper_spec.condition.code import MAX_TESTS, Code, TraceCode, TraceCodes
from tracekeeper_spec.condition.emit import Emitter
from tracekeeper_spec.condition.meaning import Test
from tracekeeper_spec.condition.names import SPAN_SCOPES, TRACE_SCOPES, Scope
from tracekeeper_spec.condition.parser import Parser
from tracekeeper_spec.condition.problem import Problem, Unreadable
from tracekeeper_spec.condition.trace import TooLarge, TooManyTests, combine, trace_code

__all__ = [
    "MAX_LENGTH",
    "MAX_TESTS",
    "Code",
    "ConditionError",
    "Problem",
    "TooManyTests",
    "TraceCode",
    "TraceCodes",
    "combine",
    "compile_condition",
    "compile_trace",
    "find_problems",
    "find_trace_problems",
]

MAX_LENGTH = 1024
"""Characters of a condition."""


class ConditionError(ValueError):
    """A text is not a condition; `problems` says why, in the order of the text."""

    def __init__(self, text: str, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(f"{text!r}: " + "; ".join(str(problem) for problem in problems))


def compile_condition(text: str) -> Code:
    """The program of a condition about one span. Raises ConditionError."""
    found = _compile(text)
    if isinstance(found, Code):
        return found
    raise ConditionError(text, list(found))


def find_problems(text: str) -> list[Problem]:
    """Everything that is wrong with a condition about one span; never raises."""
    found = _compile(text)
    return [] if isinstance(found, Code) else list(found)


def compile_trace(text: str) -> TraceCode:
    """The programs of a condition about a whole trace. Raises ConditionError."""
    found = _compile_trace(text)
    if isinstance(found, TraceCode):
        return found
    raise ConditionError(text, list(found))


def find_trace_problems(text: str) -> list[Problem]:
    """Everything that is wrong with a condition about a whole trace; never raises."""
    found = _compile_trace(text)
    return [] if isinstance(found, TraceCode) else list(found)


@lru_cache(maxsize=256)
def _compile(text: str) -> Code | tuple[Problem, ...]:
    meant = _meaning(text, SPAN_SCOPES)
    if isinstance(meant, tuple):
        return meant
    emitter = Emitter()
    emitter.test(meant)
    return emitter.code(text) if emitter.fits else (_TOO_LARGE,)


@lru_cache(maxsize=256)
def _compile_trace(text: str) -> TraceCode | tuple[Problem, ...]:
    meant = _meaning(text, TRACE_SCOPES)
    if isinstance(meant, tuple):
        return meant
    try:
        return trace_code(text, meant)
    except TooLarge:
        return (_TOO_LARGE,)
    except TooManyTests as error:
        return (Problem(0, f"its parts {error}", "split it up"),)


_TOO_LARGE = Problem(0, "the condition is too large", "split it up")


def _meaning(text: str, scopes: Mapping[str, Scope]) -> Test | tuple[Problem, ...]:
    if len(text) > MAX_LENGTH:
        return (Problem(MAX_LENGTH, f"the condition has more than {MAX_LENGTH} characters"),)
    try:
        node = Parser(text).parse()
    except Unreadable as error:
        return (error.found,)
    checker = Checker(scopes)
    meant = checker.check(node)
    if meant is None:
        return tuple(sorted(checker.problems, key=lambda problem: problem.at))
    return meant
