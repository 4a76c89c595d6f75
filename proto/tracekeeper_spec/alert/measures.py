"""Finds the metrics and budgets that an alert's condition names, and its fixed values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracekeeper_spec.alert.labels import LABELS
from tracekeeper_spec.alert.meaning import BudgetValue, Measure
from tracekeeper_spec.alert.metric import BOUNDS, BURN_WINDOWS, METRICS, BudgetMember, Form
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.lookup import listed, nearest
from tracekeeper_spec.condition.problem import Unreadable
from tracekeeper_spec.period import Period
from tracekeeper_spec.units import format_duration, show

BUDGET_LIMIT = "budget_limit"
DAILY_COST = "daily_cost"
RISE = "rise"
SLOW = "slow_rate"
_FUNCTIONS = (SLOW, RISE, "budget")
_SPANS = ("span", "resource", "trace", "event")
_LONGEST_BASELINE = 7 * 86_400.0
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


class Measures:
    """All methods raise Unreadable for what cannot be found."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = {budget.name: budget for budget in budgets}

    def value(self, node: tree.Node) -> Measure | BudgetValue | float:
        """What stands on one side of a comparison."""
        match node:
            case tree.Literal(value=bool()) | tree.Literal(value=str()):
                raise Unreadable(node.at, "a metric or a number is wanted here", "texts are compared with labels")
            case tree.Literal(value=int() | float() as number):
                return float(number)
            case tree.Duration(nanoseconds=nanoseconds):
                return nanoseconds / 1e9
            case tree.Unary(sign="-"):
                return self._negative(node)
            case tree.Name():
                return self._name(node)
            case tree.Call(of=None):
                return self._call(node)
        return self._below(node)

    def _negative(self, node: tree.Unary) -> float:
        value = self.value(node.operand)
        if not isinstance(value, float):
            raise Unreadable(node.at, "- goes only with numbers")
        return -value

    def _name(self, node: tree.Name) -> Measure | BudgetValue:
        if node.name == BUDGET_LIMIT:
            return BudgetValue(node.at, self._day_budget(node.at).name, BudgetMember.LIMIT)
        if node.name in METRICS and node.name != SLOW:
            return Measure(node.at, METRICS[node.name])
        if node.name == SLOW:
            raise Unreadable(node.at, "slower than what?", "write slow_rate(1s), for example")
        if node.name in _SPANS:
            hint = "write a metric, such as error_rate or p99_latency"
            raise Unreadable(node.at, f"{node.name} is about single spans, and alerts are about metrics", hint)
        if node.name in LABELS:
            raise Unreadable(node.at, f"{node.name} is a label", f'compare it with a text: {node.name} == "…"')
        likely = nearest(node.name, [*METRICS, *_FUNCTIONS, BUDGET_LIMIT], "{}")
        raise Unreadable(node.at, f"there is no metric {node.name[:40]}", likely if likely.startswith("did") else "")

    def _call(self, node: tree.Call) -> Measure:
        if node.name == SLOW:
            return self._slow(node)
        if node.name == RISE:
            return self._rise(node)
        if node.name == "budget":
            raise Unreadable(node.at, "which amount of the budget?", 'write budget("…").spent, for example')
        if node.name in METRICS:
            raise Unreadable(node.at, f"{node.name} takes nothing in brackets", f"write {node.name} alone")
        raise Unreadable(node.at, f"there is no function {node.name[:40]}", nearest(node.name, _FUNCTIONS, "{}()"))

    def _slow(self, node: tree.Call) -> Measure:
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], tree.Duration):
            raise Unreadable(node.at, f"{SLOW} takes one duration", "write slow_rate(1s), for example")
        at, seconds = node.arguments[0].at, node.arguments[0].nanoseconds / 1e9
        if seconds not in BOUNDS:
            below = [bound for bound in BOUNDS if bound < seconds][-1:]
            above = [bound for bound in BOUNDS if bound > seconds][:1]
            hint = " or ".join(format_duration(bound) for bound in (*below, *above))
            raise Unreadable(at, "durations are counted in steps, and this is none of them", f"write {hint}")
        return Measure(node.at, METRICS[SLOW], bound=seconds)

    def _rise(self, node: tree.Call) -> Measure:
        if len(node.arguments) != 2 or not isinstance(node.arguments[1], tree.Duration):
            hint = "write rise(tokens_per_request, 24h), for example"
            raise Unreadable(node.at, f"{RISE} takes a metric, and over how long it is compared", hint)
        value, seconds = self.value(node.arguments[0]), node.arguments[1].nanoseconds / 1e9
        if not isinstance(value, Measure) or value.baseline is not None or value.metric.form is Form.HIGHEST:
            raise Unreadable(
                node.arguments[0].at, "a metric that is an average, share, rate or quantile is wanted here"
            )
        if value.metric.name == DAILY_COST:
            raise Unreadable(node.arguments[0].at, f"{RISE} does not go with {DAILY_COST}", "write cost_per_hour")
        if not 60 <= seconds <= _LONGEST_BASELINE:
            raise Unreadable(node.arguments[1].at, "must be from 1m to 168h")
        return Measure(node.at, value.metric, value.bound, seconds)

    def _below(self, node: tree.Node) -> BudgetValue:
        """`budget("daily").spent`, or `….burn("1h")`."""
        of = node.of if isinstance(node, (tree.Member, tree.Call)) else None
        if isinstance(of, tree.Call) and of.of is None and of.name == "budget":
            assert isinstance(node, (tree.Member, tree.Call))
            return self._budget_value(node, self._budget(of))
        if isinstance(of, tree.Name):
            self._name(of)
            raise Unreadable(node.at, f"there is nothing below {of.name}")
        if isinstance(node, (tree.Member, tree.Index)) and isinstance(node.of, (tree.Name, tree.Member, tree.Index)):
            self.value(node.of)
        raise Unreadable(node.at, "a metric or a number is wanted here")

    def _budget(self, node: tree.Call) -> Budget:
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], tree.Literal):
            raise Unreadable(node.at, "budget takes the name of one, in quotes", 'write budget("…").spent')
        argument = node.arguments[0]
        found = self._budgets.get(str(argument.value))
        if found is None:
            hint = nearest(str(argument.value), self._budgets, '"{}"') if self._budgets else "see spec.budgets"
            raise Unreadable(argument.at, f"there is no budget {show(argument.value)}", hint)
        return found

    def _budget_value(self, node: tree.Member | tree.Call, budget: Budget) -> BudgetValue:
        names = [member.value for member in BudgetMember]
        if node.name not in names:
            raise Unreadable(node.at, f"a budget has no {node.name[:40]}", nearest(node.name, names, "{}"))
        member = BudgetMember(node.name)
        if member is BudgetMember.BURN:
            if budget.groups:
                hint = "write .used or .forecast, or a budget without groupBy"
                raise Unreadable(node.at, "the burn of a budget with groups is not known", hint)
            return BudgetValue(node.at, budget.name, member, _burn_window(node))
        if isinstance(node, tree.Call):
            raise Unreadable(node.at, f"{node.name} takes nothing in brackets", f"write .{node.name} alone")
        return BudgetValue(node.at, budget.name, member)

    def spent_today(self, at: int) -> BudgetValue:
        """What `daily_cost` is where it is compared with a budget's limit."""
        return BudgetValue(at, self._day_budget(at).name, BudgetMember.SPENT)

    def _day_budget(self, at: int) -> Budget:
        """The only budget of a day."""
        days = day_budgets(self._budgets.values())
        if len(days) == 1:
            return days[0]
        if not days:
            hint = "write one into spec.budgets" if not self._budgets else 'budget("NAME").spent is of any period'
            raise Unreadable(at, "there is no budget of a day", hint)
        first = f'write budget("{days[0].name}").limit'
        raise Unreadable(at, f"there are several budgets of a day: {listed(day.name for day in days)}", first)


def day_budgets(budgets: Iterable[Budget]) -> list[Budget]:
    return [budget for budget in budgets if budget.period is Period.DAY]


def _burn_window(node: tree.Member | tree.Call) -> str:
    hint = f'write burn("1h"); there are {listed(BURN_WINDOWS)}'
    argument = node.arguments[0] if isinstance(node, tree.Call) and len(node.arguments) == 1 else None
    if isinstance(argument, tree.Literal) and argument.value in BURN_WINDOWS:
        return str(argument.value)
    if isinstance(argument, tree.Duration):
        for window in BURN_WINDOWS:
            if int(window[:-1]) * _SECONDS[window[-1]] == argument.nanoseconds / 1e9:
                return window
    raise Unreadable(node.at if argument is None else argument.at, "burn takes one of a few windows", hint)
