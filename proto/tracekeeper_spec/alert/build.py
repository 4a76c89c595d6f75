"""From a checked condition to PromQL. Every value has the labels `namespace` and those of the rule's groups, and no
others, so that what is compared and joined always finds its match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracekeeper_spec.alert.expression import Aggregate, Binary, Call, Expression, Matcher, Number, Selector, Text
from tracekeeper_spec.alert.labels import NAMESPACE
from tracekeeper_spec.alert.meaning import All, Any, BudgetValue, Compare, Filter, Measure, Test
from tracekeeper_spec.alert.measures import DAILY_COST, day_budgets
from tracekeeper_spec.alert.metric import ALWAYS_THERE, BOUNDS, METERING, SEEN_FIRST, BudgetMember, Form, Source
from tracekeeper_spec.alert.section import Group, NoData
from tracekeeper_spec.budget import Budget

DAY = 86_400.0
_CONFIG, _BUDGET, _KEY = "config", "budget", "key"


@dataclass(frozen=True, slots=True)
class Site:
    """Whose pods are looked at."""

    config: str
    """`namespace/name`"""
    namespace: str
    """Empty: all of them."""
    operator: str = ""
    """The namespace that the operator runs in; empty where that is not known."""

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        own = (Matcher(NAMESPACE, "=", self.namespace),) if self.namespace else ()
        return (Matcher("alerts", "=", self.config), *own)

    @property
    def metering(self) -> Expression:
        """1 for each namespace in which pods run that count."""
        return Aggregate("max", (NAMESPACE,), Selector(METERING, self.matchers))


def first(test: Test, filters: tuple[Filter, ...] = ()) -> tuple[Compare, tuple[Filter, ...]]:
    """The first comparison of a value, and the filters that stand for it."""
    if isinstance(test, Compare):
        return test, filters
    return first(test.parts[0], (*filters, *test.filters) if isinstance(test, All) else filters)


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds one rule's expressions."""

    site: Site
    window: float
    groups: tuple[Group, ...] = ()
    no_data: NoData = NoData.OK
    min_samples: int = 0
    budgets: tuple[Budget, ...] = ()

    @property
    def by(self) -> tuple[str, ...]:
        """Labels of what fires."""
        return (NAMESPACE, *(group.label for group in Group if group in self.groups))

    def rule(self, test: Test) -> Expression:
        """What fires when `test` holds."""
        return self._test(test, ())

    def silence(self, test: Test) -> Expression | None:
        """What fires where pods run and there is nothing to look at; None where there always is something."""
        found = self.base(test)
        if found is None:
            return None
        source, filters = found
        came = Aggregate("sum", (NAMESPACE,), self._rate(_counted(source), filters, self.window))
        return Binary("unless", self.site.metering, Binary(">", came, Number(0)), on=(NAMESPACE,))

    def offenders(self, test: Compare, filters: tuple[Filter, ...]) -> Expression | None:
        """What is shown of each part of what fired: how much there is of what the metric is about; None where nobody
        can say that. `filters` stand for `test`."""
        assert isinstance(test.left, Measure)
        source, metric = self.source(test.left, filters), test.left.metric
        if metric.histogram:
            return self._slower(test, source, filters)
        if metric.form is Form.HIGHEST:
            return Aggregate("max", self.by, self._over("max_over_time", source, filters, self.window))
        return Aggregate("sum", self.by, self._over("increase", source, filters, self.window, more=metric.part))

    def _slower(self, test: Compare, source: Source, filters: tuple[Filter, ...]) -> Expression | None:
        """How many took longer than a duration that is compared with, as near as buckets know it."""
        assert isinstance(test.left, Measure)
        if test.sign not in (">", ">=") or test.left.baseline is not None or isinstance(test.right, BudgetValue):
            return None
        bound = test.left.bound or max((each for each in BOUNDS if each <= test.right), default=BOUNDS[0])
        within = (Matcher("le", "=", str(bound)),)
        whole = self._over("increase", _suffixed(source, "_count"), filters, self.window)
        quick = self._over("increase", _suffixed(source, "_bucket"), filters, self.window, more=within)
        slow = Binary("-", Aggregate("sum", self.by, whole), Aggregate("sum", self.by, quick))
        return Binary(">", slow, Number(0))

    def base(self, test: Test, filters: tuple[Filter, ...] = ()) -> tuple[Source, tuple[Filter, ...]] | None:
        """The counter that says whether there is something to look at for the first metric of `test`."""
        match test:
            case Compare(left=Measure() as measure) if measure.metric.name not in ALWAYS_THERE:
                return self.source(measure, filters), filters
            case Compare():
                return None
            case All():
                filters = (*filters, *test.filters)
        return next((found for part in test.parts if (found := self.base(part, filters)) is not None), None)

    def source(self, measure: Measure, filters: Sequence[Filter]) -> Source:
        """The first that has the labels which are wanted; the checker has seen that there is one."""
        labels = {filter.matcher.label for filter in filters}
        wanted = {*self.groups, *(group for group in Group if group.label in labels)}
        return next(source for source in measure.metric.sources if wanted <= set(source.groups))

    def _test(self, test: Test, filters: tuple[Filter, ...]) -> Expression:
        match test:
            case Compare():
                return self._compare(test, filters)
            case All(parts=parts):
                sign, filters = "and", (*filters, *test.filters)
            case Any(parts=parts):
                sign = "or"
        built = [(self._test(part, filters), _labels(part, self.by)) for part in parts]
        whole, common = built[0]
        for part, labels in built[1:]:
            common = tuple(label for label in common if label in labels)
            whole = Binary(sign, whole, part, on=common)
        return whole

    def _compare(self, test: Compare, filters: tuple[Filter, ...]) -> Expression:
        left = self._as_budget(test.left, filters)
        if isinstance(left, BudgetValue):
            right = self._budget(test.right) if isinstance(test.right, BudgetValue) else Number(test.right)
            return Binary(test.sign, self._budget(left), right)
        assert not isinstance(test.right, BudgetValue)
        compared = Binary(test.sign, self._value(left, filters), Number(test.right))
        if not self.min_samples:
            return compared
        source = _counted(self.source(left, filters))
        samples = Aggregate("sum", self.by, self._over("increase", source, filters, self.window))
        return Binary("and", compared, Binary(">=", samples, Number(self.min_samples)), on=self.by)

    def _as_budget(self, value: Measure | BudgetValue, filters: tuple[Filter, ...]) -> Measure | BudgetValue:
        """`daily_cost` is what the only budget of a day says, where that knows it."""
        if isinstance(value, Measure) and value.metric.name == DAILY_COST:
            if (budget := self.day_budget(filters)) is not None:
                return BudgetValue(value.at, budget.name, BudgetMember.SPENT)
        return value

    def day_budget(self, filters: Sequence[Filter]) -> Budget | None:
        """The one that `daily_cost` is taken from; None where it must be worked out of what the last day has cost."""
        days = day_budgets(self.budgets)
        if len(days) != 1 or self.groups or filters or days[0].group_by or not self.site.namespace:
            return None
        return days[0]

    def _value(self, measure: Measure, filters: tuple[Filter, ...]) -> Expression:
        source, name = self.source(measure, filters), measure.metric.name
        window = DAY if name == DAILY_COST else self.window
        value = self._form(measure, source, filters, window, 0.0)
        if measure.baseline is not None:
            before = self._form(measure, source, filters, measure.baseline, self.window)
            value = Binary("/", value, Binary(">", before, Number(0)))
        if name in ALWAYS_THERE or self.no_data is NoData.ZERO:
            return Binary("or", value, self._zero(_counted(source), filters, seen=name == SEEN_FIRST))
        return value

    def _zero(self, source: Source, filters: tuple[Filter, ...], *, seen: bool) -> Expression:
        """0 where pods run; with groups, for those that were there within the last day."""
        running = self.site.metering
        of_namespaces = tuple(filter.matcher for filter in filters if filter.matcher.label == NAMESPACE)
        if of_namespaces:
            running = Aggregate("max", (NAMESPACE,), Selector(METERING, (*self.site.matchers, *of_namespaces)))
        if not seen and not self.groups:
            return Binary("*", Number(0), running)
        known = Aggregate("max", self.by, self._over("last_over_time", source, filters, DAY))
        return Binary("and", Binary("*", Number(0), known), running, on=(NAMESPACE,))

    def _form(
        self, measure: Measure, source: Source, filters: tuple[Filter, ...], window: float, offset: float
    ) -> Expression:
        metric = measure.metric

        def total(source: Source, more: tuple[Matcher, ...] = ()) -> Expression:
            return Aggregate("sum", self.by, self._over("rate", source, filters, window, offset, more))

        match metric.form:
            case Form.SHARE | Form.REST:
                whole = total(source)
                # A part that never came has no series.
                part = Binary("or", total(source, metric.part), Binary("*", Number(0), whole))
                share = Binary("/", part, Binary(">", whole, Number(0)))
                return share if metric.form is Form.SHARE else Binary("-", Number(1), share)
            case Form.RATIO:
                return Binary("/", total(source), Binary(">", total(_second(source)), Number(0)))
            case Form.RATE:
                rate = total(source)
                return rate if metric.scale == 1 else Binary("*", Number(metric.scale), rate)
            case Form.COUNT:
                return Aggregate("sum", self.by, self._over("increase", source, filters, window, offset))
            case Form.HIGHEST:
                return Aggregate("max", self.by, self._over("max_over_time", source, filters, window, offset))
            case Form.QUANTILE:
                buckets = self._over("rate", _suffixed(source, "_bucket"), filters, window, offset)
                quantile = (Number(metric.scale), Aggregate("sum", (*self.by, "le"), buckets))
                return Call("histogram_quantile", quantile)
            case Form.SLOW:
                assert measure.bound is not None
                fast = total(_suffixed(source, "_bucket"), (Matcher("le", "=", str(measure.bound)),))
                whole = total(_suffixed(source, "_count"))
                return Binary("-", Number(1), Binary("/", fast, Binary(">", whole, Number(0))))

    def _over(
        self,
        function: str,
        source: Source,
        filters: Sequence[Filter],
        window: float,
        offset: float = 0.0,
        more: tuple[Matcher, ...] = (),
    ) -> Expression:
        picked = tuple(filter.matcher for filter in filters)
        matchers = (*self.site.matchers, *source.fixed, *more, *picked)
        return Call(function, (Selector(source.counter, matchers, window, offset),))

    def _rate(self, source: Source, filters: Sequence[Filter], window: float) -> Expression:
        return self._over("rate", source, filters, window)

    def _budget(self, value: BudgetValue) -> Expression:
        """Of all that the operator's replicas show; its `namespace` is the config's."""
        match value.member:
            case BudgetMember.REMAINING:
                limit = self._budget(replace(value, member=BudgetMember.LIMIT))
                return Binary("-", limit, self._budget(replace(value, member=BudgetMember.SPENT)))
            case BudgetMember.USED:
                name = "tracekeeper_budget_used_ratio"
            case BudgetMember.BURN:
                name = "tracekeeper_budget_burn_ratio"
            case member:
                name = f"tracekeeper_budget_{member}_dollars"
        window = (Matcher("window", "=", value.window),) if value.window else ()
        return budget_value(name, self.site, value.budget, window)


def budget_value(name: str, site: Site, budget: str, more: tuple[Matcher, ...] = ()) -> Expression:
    """A budget's metric with the labels `namespace`, `config`, `budget`, and `key` where it has groups; as the
    operator's own pods show it."""
    own = (Matcher(NAMESPACE, "=", site.operator),) if site.operator else ()
    found = Selector(name, (Matcher(_CONFIG, "=", site.config), Matcher(_BUDGET, "=", budget), *own, *more))
    highest = Aggregate("max", (_CONFIG, _BUDGET, _KEY), found)
    texts = (NAMESPACE, "$1", _CONFIG, "([^/]+)/.*")
    return Call("label_replace", (highest, *(Text(text) for text in texts)))


def _labels(test: Test, by: tuple[str, ...]) -> tuple[str, ...]:
    """What `test` has labels of, as far as others may have them, too."""
    if isinstance(test, Compare):
        budget = isinstance(test.left, BudgetValue) or test.left.metric.name == DAILY_COST
        return (NAMESPACE,) if budget else by
    found = [_labels(part, by) for part in test.parts]
    return tuple(label for label in by if all(label in labels for labels in found))


def _second(source: Source) -> Source:
    return replace(source, counter=source.over, fixed=source.over_fixed, over="", over_fixed=())


def _counted(source: Source) -> Source:
    """The counter of what there is to look at."""
    if source.over:
        return _second(source)
    return _suffixed(source, "_count") if source.counter.endswith("_seconds") else source


def _suffixed(source: Source, suffix: str) -> Source:
    return replace(source, counter=source.counter + suffix)
