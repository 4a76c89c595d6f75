"""PromQL that somebody wrote, kept to one namespace.

The controller writes rules with rights of its own, so what a tenant wrote must not read what the tenant may not. A
matcher is put into every selector of the *text*; no tree is printed again, since printers of PromQL do not all escape
what they should. That every selector got one is checked twice: here, and by `verify`, which reads the outcome with
another parser.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.alert.expression import Matcher, matchers
from tracekeeper_spec.alert.raw_functions import Type
from tracekeeper_spec.alert.raw_parser import Parser
from tracekeeper_spec.condition.problem import Problem, Unreadable

MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Raw:
    """What came of it; without `problem`, `text` is PromQL."""

    text: str
    selectors: int = 0
    operations: int = 0
    """Joins of two operands."""
    problem: Problem | None = None


def confine(text: str, matcher: Matcher | None) -> Raw:
    """`text` with `matcher` in each of its selectors, if there is one. Never raises."""
    if len(text) > MAX_LENGTH:
        return Raw(text, problem=Problem(MAX_LENGTH, f"has more than {MAX_LENGTH} characters"))
    try:
        parser = Parser(text)
        found = parser.parse()
    except Unreadable as error:
        return Raw(text, problem=error.found)
    if found is not Type.VECTOR:
        hint = "compare a metric with it" if found is Type.SCALAR else "wrap it in rate(…), for example"
        return Raw(text, problem=Problem(0, f"is {found}, and an instant vector is wanted", hint))
    if matcher is None:
        return Raw(text, len(parser.places), parser.operations)
    put, parts, end = matchers([matcher]), [], 0
    for place in sorted(parser.places, key=lambda place: place.at):
        parts.append(text[end : place.at])
        parts.append(put + ("" if place.empty else ",") if place.braces else f"{{{put}}}")
        end = place.at
    return Raw("".join([*parts, text[end:]]), len(parser.places), parser.operations)
