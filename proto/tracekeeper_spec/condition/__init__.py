"""The condition language: from text to a program for raw spans, or to everything that is wrong with it.

The reference is `docs/reference/condition-language.md`. A text goes through `tokens`, `parser` (which makes a `tree`),
`checker` (its `meaning`) and `emit` (a `code.Code`). What runs the program is the sidecar's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tracekeeper_spec.condition.checker import Checker
from tracekeeper_spec.condition.code import Code
from tracekeeper_spec.condition.emit import Emitter
from tracekeeper_spec.condition.names import SPAN_SCOPES, Scope
from tracekeeper_spec.condition.parser import Parser
from tracekeeper_spec.condition.problem import Problem, Unreadable

__all__ = ["MAX_LENGTH", "Code", "ConditionError", "Problem", "compile_condition", "find_problems"]

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


@lru_cache(maxsize=256)
def _compile(text: str) -> Code | tuple[Problem, ...]:
    return _compiled(text, SPAN_SCOPES)


def _compiled(text: str, scopes: Mapping[str, Scope]) -> Code | tuple[Problem, ...]:
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
    emitter = Emitter()
    emitter.test(meant)
    if not emitter.fits:
        return (Problem(0, "the condition is too large", "split it up"),)
    return emitter.code(text)
