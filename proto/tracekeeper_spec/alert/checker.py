"""Types: from an alert's condition as it was written to one in which every name is known and every comparison can be
true. Everything that is wrong is told with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracekeeper_spec.alert import labels
from tracekeeper_spec.alert.meaning import All, Any, BudgetValue, Compare, Filter, Measure, Test
from tracekeeper_spec.alert.measures import DAILY_COST, Measures
from tracekeeper_spec.alert.metric import BOUNDS, METRICS, BudgetMember, Form, Metric, Unit
from tracekeeper_spec.alert.section import Group
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.condition import MAX_LENGTH, tree
from tracekeeper_spec.condition.parser import Parser
from tracekeeper_spec.condition.problem import Problem, Unreadable
from tracekeeper_spec.units import format_duration

OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
MAX_COMPARISONS = 16
"""Of metrics, in one condition. Each becomes up to 700 characters of PromQL."""
_ORDER = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a condition stands in."""

    groups: tuple[Group, ...] = ()
    budgets: tuple[Budget, ...] = ()
    root: bool = False
    """Whether it is about all namespaces."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found; `test` is None after a problem."""

    test: Test | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def check(text: str, around: Surroundings) -> Checked:
    """What the condition `text` means. Never raises."""
    if len(text) > MAX_LENGTH:
        return Checked(None, (Problem(MAX_LENGTH, f"the condition has more than {MAX_LENGTH} characters"),))
    try:
        node = Parser(text).parse()
    except Unreadable as error:
        return Checked(None, (_in_other_words(error.found, text),))
    checker = Checker(around)
    meant = checker.whole(node)
    problems = tuple(sorted(checker.problems, key=lambda problem: problem.at))
    return Checked(None if problems else meant, problems, tuple(checker.warnings))


def _in_other_words(problem: Problem, text: str) -> Problem:
    """Percent and dollars are what alerts are about, and the language's own parser knows of neither."""
    char = text[problem.at : problem.at + 1]
    if char == "%":
        return Problem(problem.at, "% is not part of this language", "shares are from 0 to 1: write 0.05 for 5 %")
    if char == "$":
        return Problem(problem.at, "$ is not part of this language", "write the number alone: costs are dollars")
    if char == "." and text[problem.at + 1 : problem.at + 2].isdigit():
        return Problem(problem.at, "a number begins with a digit", "write 0 before the point")
    return problem


class Checker:
    """Checks one tree."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._measures = Measures(around.budgets)
        self._comparisons = 0
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def whole(self, node: tree.Node) -> Test | None:
        """What the whole condition means; None after a problem."""
        try:
            meant = self._test(node, negated=False)
            if isinstance(meant, Filter) or (isinstance(meant, All) and not meant.parts and meant.filters):
                at = meant.at if isinstance(meant, Filter) else meant.filters[0].at
                raise Unreadable(at, "compares a label alone", "join it with && to what it is about")
            if not self.problems:
                self._agrees(meant, ())
                self._joins(meant)
        except Unreadable as error:
            self.problems.append(error.found)
            return None
        return None if self.problems else meant

    def _test(self, node: tree.Node, *, negated: bool) -> Test | Filter:
        """Raises Unreadable, as the rest does. `negated`: what is meant is its opposite."""
        match node:
            case tree.Unary(sign="!"):
                return self._test(node.operand, negated=not negated)
            case tree.Binary(sign="&&" | "||"):
                return self._logic(node, negated=negated)
            case tree.Binary(sign="in") | tree.Call(name="startsWith" | "endsWith" | "contains" | "matches"):
                return labels.test(node, negated=negated, root=self._around.root)
            case tree.Binary(sign="+" | "-"):
                raise Unreadable(node.at, "is a sum, and a condition is wanted", "work the number out")
            case tree.Binary():
                return self._compare(node, negated=negated)
        meant = self._measures.value(node) if not isinstance(node, tree.Literal) else None
        what = meant.unit if isinstance(meant, (Measure, BudgetValue)) else "a fixed value"
        raise Unreadable(node.at, f"is {what}, and a condition is wanted", "compare it with something")

    def _logic(self, node: tree.Binary, *, negated: bool) -> Test | Filter:
        """Looks at both sides before it gives up, so that what is wrong in each is told."""
        sides: list[Test | Filter] = []
        for side in (node.left, node.right):
            try:
                sides.append(self._test(side, negated=negated))
            except Unreadable as error:
                self.problems.append(error.found)
        both = (node.sign == "&&") is not negated
        if len(sides) < 2:
            return All(())  # Something is wrong, so nobody looks at it.
        return self._all(sides) if both else self._any(node, sides)

    def _all(self, sides: Sequence[Test | Filter]) -> Test | Filter:
        parts: list[Test] = []
        filters: list[Filter] = []
        for side in sides:
            if isinstance(side, Filter):
                filters.append(side)
            elif isinstance(side, All):
                parts += side.parts
                filters += side.filters
            else:
                parts.append(side)
        return All(tuple(parts), tuple(filters))

    def _any(self, node: tree.Binary, sides: Sequence[Test | Filter]) -> Test:
        parts: list[Test] = []
        for side in sides:
            if isinstance(side, Filter) or (isinstance(side, All) and side.filters and not side.parts):
                at = side.at if isinstance(side, Filter) else side.filters[0].at
                hint = 'join it with && to what it is about; for several values, agent in ["a", "b"]'
                raise Unreadable(at, "compares a label alone on one side of ||", hint)
            parts += side.parts if isinstance(side, Any) else (side,)
        return Any(tuple(parts))

    def _compare(self, node: tree.Binary, *, negated: bool) -> Test | Filter:
        if labels.names(node.left) or labels.names(node.right):
            return labels.test(node, negated=negated, root=self._around.root)
        self._comparisons += 1
        if self._comparisons == MAX_COMPARISONS + 1:
            text = f"a condition compares at most {MAX_COMPARISONS} times"
            self.problems.append(Problem(node.at, text, "write several rules"))
        left, right, sign = self._measures.value(node.left), self._measures.value(node.right), node.sign
        if isinstance(right, BudgetValue) and _is_daily(left):
            left = self._measures.spent_today(node.left.at)
        elif isinstance(left, BudgetValue) and _is_daily(right):
            right = self._measures.spent_today(node.right.at)
        self._comparable(node, left, right)
        if isinstance(left, (int, float)):
            left, right, sign = right, left, MIRRORED[sign]
        assert isinstance(left, (Measure, BudgetValue)) and not isinstance(right, Measure)
        sign = OPPOSITE[sign] if negated else sign
        if isinstance(right, (int, float)):
            self._possible(node, left, sign, right)
        elif isinstance(right, BudgetValue) and sign in ("==", "!="):
            raise Unreadable(node.at, "two amounts are hardly ever the same", "write < or >")
        self._groups(left)
        return Compare(node.at, left, sign, right)

    def _comparable(self, node: tree.Binary, left: object, right: object) -> None:
        sides = [side for side in (left, right) if isinstance(side, (Measure, BudgetValue))]
        if not sides:
            raise Unreadable(node.at, "compares two fixed values", "one side must be a metric, such as error_rate")
        if len(sides) == 2:
            if not all(isinstance(side, BudgetValue) for side in sides):
                hint = "compare each with a number, and join the two with && or ||"
                raise Unreadable(node.at, "compares two metrics", hint)
            if sides[0].unit is not sides[1].unit:
                raise Unreadable(node.at, f"compares {sides[0].unit} with {sides[1].unit}")
            return
        metric, fixed = sides[0], (node.right if sides[0] is left else node.left)
        written_as_duration = isinstance(fixed, tree.Duration) or (
            isinstance(fixed, tree.Unary) and isinstance(fixed.operand, tree.Duration)
        )
        if metric.unit is Unit.DURATION and not written_as_duration:
            raise Unreadable(fixed.at, "compares a duration with a number", "durations have a unit: 100ms, 10s")
        if metric.unit is not Unit.DURATION and written_as_duration:
            raise Unreadable(fixed.at, f"compares {metric.unit} with a duration", "write a number")

    def _possible(self, node: tree.Binary, value: Measure | BudgetValue, sign: str, number: float) -> None:
        least, most = _range(value)
        shown = f"it is {_bounds(value, least, most)}"
        if _never(sign, number, least, most):
            hint = f"{shown}; write {number / 100:g} for {number:g} %" if most == 1 < number <= 100 else shown
            raise Unreadable(node.at, "is never true", hint)
        if _always(sign, number, least, most):
            raise Unreadable(node.at, "is always true", shown)
        if sign in ("==", "!=") and not _tells_apart(value, number, least, most):
            raise Unreadable(node.at, f"it is hardly ever exactly {number:g}", "write < or >")
        if isinstance(value, Measure) and value.metric.form is Form.QUANTILE and value.baseline is None:
            self._near_bound(node, number)

    def _near_bound(self, node: tree.Binary, seconds: float) -> None:
        if seconds in BOUNDS:
            return
        above = next(bound for bound in BOUNDS if bound > seconds)
        below = max((bound for bound in BOUNDS if bound < seconds), default=0.0)
        text = f"{format_duration(seconds)} is an estimate: durations are counted in steps"
        hint = f"exact are {format_duration(below)} and {format_duration(above)}"
        self.warnings.append(Problem(node.at, text, hint))

    def _groups(self, value: Measure | BudgetValue) -> None:
        """Refuses groups that it has not."""
        wanted = self._around.groups
        if isinstance(value, BudgetValue):
            if wanted:
                hint = "leave groupBy out of the rule; the budget has one of its own"
                raise Unreadable(value.at, f"budgets are not told apart by {wanted[0]} here", hint)
            return
        metric = value.metric
        if _fits(metric, wanted):
            return
        strangers = [group for group in wanted if group not in metric.groups]
        names = " and ".join(strangers or wanted)
        together = "" if strangers else " together"
        hint = f"it can by {_listed(metric)}"
        if metric.instead and _fits(METRICS[metric.instead], wanted):
            hint += f"; {metric.instead} can by {names}"
        raise Unreadable(value.at, f"{metric.name} cannot be told apart by {names}{together}", hint)

    def _agrees(self, test: Test, filters: tuple[Filter, ...]) -> None:
        """Refuses filters for what has no such label."""
        match test:
            case Any(parts=parts):
                for part in parts:
                    self._agrees(part, filters)
            case All(parts=parts):
                for part in parts:
                    self._agrees(part, (*filters, *test.filters))
            case Compare(left=BudgetValue()) if filters:
                hint = "give the budget a groupBy, or leave the label out"
                raise Unreadable(filters[0].at, "budgets have no such label", hint)
            case Compare(left=Measure(metric=metric)):
                for filter in filters:
                    self._filtered(metric, filter, filters)

    def _filtered(self, metric: Metric, filter: Filter, filters: tuple[Filter, ...]) -> None:
        groups = {group for group in Group if group.label in {each.matcher.label for each in filters}}
        if not _fits(metric, (*self._around.groups, *groups)):
            hint = f"it has {_listed(metric).lower()}"
            raise Unreadable(filter.at, f"{metric.name} does not go with the label {filter.matcher.label} here", hint)

    def _joins(self, test: Test) -> None:
        """A budget of the root namespace is no namespace's, so there is nothing to join the two by."""
        found = list(compares(test))
        budgets = [each for each in found if isinstance(each.left, BudgetValue)]
        if self._around.root and budgets and len(budgets) < len(found):
            hint = "write a rule for each"
            raise Unreadable(budgets[0].at, "budgets of the root namespace cannot be joined with other metrics", hint)


def compares(test: Test) -> Iterator[Compare]:
    """Every comparison in it."""
    if isinstance(test, Compare):
        yield test
    else:
        for part in test.parts:
            yield from compares(part)


def _is_daily(value: object) -> bool:
    return isinstance(value, Measure) and value.metric.name == DAILY_COST


def _fits(metric: Metric, wanted: Sequence[Group]) -> bool:
    return any(set(wanted) <= set(source.groups) for source in metric.sources)


def _listed(metric: Metric) -> str:
    sets = list(dict.fromkeys(", ".join(source.groups) for source in metric.sources))
    return "; or by ".join(sets)


def _range(value: Measure | BudgetValue) -> tuple[float, float]:
    if isinstance(value, BudgetValue):
        return (float("-inf") if value.member is BudgetMember.REMAINING else 0.0), float("inf")
    return (0.0, float("inf")) if value.baseline is not None else (value.metric.least, value.metric.most)


def _never(sign: str, number: float, least: float, most: float) -> bool:
    outside = number < least or number > most
    impossible = {
        ">": number >= most,
        ">=": number > most,
        "<": number <= least,
        "<=": number < least,
        "==": outside,
        "!=": False,
    }
    return impossible[sign]


def _always(sign: str, number: float, least: float, most: float) -> bool:
    sure = {
        ">": number < least,
        ">=": number <= least,
        "<": number > most,
        "<=": number >= most and most != float("inf"),
        "==": False,
        "!=": number < least or number > most,
    }
    return sure[sign]


def _tells_apart(value: Measure | BudgetValue, number: float, least: float, most: float) -> bool:
    """Whether a metric can be exactly that number other than by accident."""
    if isinstance(value, BudgetValue):
        return number == 0
    if value.baseline is not None or value.metric.form is Form.QUANTILE:
        return False
    return (value.metric.whole and number == int(number)) or number in (least, most)


def _bounds(value: Measure | BudgetValue, least: float, most: float) -> str:
    seconds = isinstance(value, Measure) and value.unit is Unit.DURATION
    if most == float("inf"):
        return "never below 0" if least == 0 else "any number"
    return f"from 0s to {format_duration(most)} here" if seconds else f"from {least:g} to {most:g}"
