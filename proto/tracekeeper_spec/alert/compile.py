"""From a config's alerts to Prometheus rules. Pure, each rule by itself: one that is wrong takes no other along."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tracekeeper_spec.alert import builtin, recording
from tracekeeper_spec.alert.build import Builder, Site, first
from tracekeeper_spec.alert.checker import Checked, Surroundings, check, compares
from tracekeeper_spec.alert.compiled import AlertFault, AlertRule, Compiled, Links
from tracekeeper_spec.alert.envelope import Envelope, human, label_faults, summary, top
from tracekeeper_spec.alert.expression import Expression, Matcher, written
from tracekeeper_spec.alert.meaning import BudgetValue, Compare, Filter, Measure, Test
from tracekeeper_spec.alert.measures import DAILY_COST
from tracekeeper_spec.alert.metric import ALWAYS_THERE, BudgetMember, Form, Unit
from tracekeeper_spec.alert.raw import confine
from tracekeeper_spec.alert.section import Alerts, Group, NoData, Rule
from tracekeeper_spec.alert.template import plain
from tracekeeper_spec.alert.verify import verify
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.units import format_duration

LEAST_WINDOW = 120.0
"""Seconds. In less, there may not be the two scrapes that a rate is taken from."""
MAX_COMPARISONS = 256
"""In the conditions of one config, and joins in its PromQL; those of built-in rules do not count."""
NO_DATA = "NoData"
"""Ends the name of the rule that tells of nothing to look at."""
PROMQL = "promql"
POD = "pod"
"""A label by which an extreme is told apart where nothing else does."""


def compile_alerts(
    alerts: Alerts, budgets: tuple[Budget, ...], namespace: str, name: str, *, root: bool, links: Links
) -> Compiled:
    """The rules of the config `namespace`/`name`. `root`: it is for all namespaces, and so are its rules."""
    config = f"{namespace}/{name}"
    own = "" if root else namespace
    work = _Work(Site(config, own, links.operator), Envelope(config, own, links), budgets, root)
    for rule in alerts.rules:
        work.rule(rule)
    taken = {rule.name for rule in alerts.rules}
    for rule in builtin.agent_rules(alerts.built_in):
        if rule.name not in taken:
            work.rule(rule, builtin=True)
    for ready in builtin.ready_rules(alerts.built_in, budgets, work.site, work.envelope):
        if ready.alert not in taken:
            work.ready(ready)
    recorded, rules = recording.share(work.built, work.site)
    return Compiled(config, (*recorded, *rules), tuple(work.faults), tuple(work.warnings))


@dataclass(slots=True)
class _Work:
    """On the rules of one config."""

    site: Site
    envelope: Envelope
    budgets: tuple[Budget, ...]
    root: bool
    room: int = MAX_COMPARISONS
    built: list[tuple[AlertRule, Expression | None]] = field(default_factory=list)
    """Rules, with the tree of their PromQL where Tracekeeper has made it."""
    faults: list[AlertFault] = field(default_factory=list)
    warnings: list[AlertFault] = field(default_factory=list)

    def rule(self, rule: Rule, *, builtin: bool = False) -> None:
        """Compile one, or say what is wrong with it."""
        faults = list(label_faults(rule))
        if rule.promql is not None:
            self._raw(rule, faults)
        else:
            self._condition(rule, faults, builtin=builtin)

    def ready(self, rule: AlertRule) -> None:
        """One that needs no compiling."""
        self.built.append((rule, None))

    def _raw(self, rule: Rule, faults: list[AlertFault]) -> None:
        faults += [
            AlertFault(rule.name, None, f"{name} does not go with promql", "say it in the PromQL")
            for name, there in _not_for_promql(rule)
            if there
        ]
        matcher = None if self.root else Matcher("namespace", "=", self.site.namespace)
        raw = confine(rule.promql or "", matcher)
        faults += self._taken(rule, raw.operations)
        if raw.problem is not None:
            faults.append(AlertFault(rule.name, raw.problem.at, raw.problem.problem, raw.problem.hint))
        elif refusal := verify(raw.text, matcher, raw.selectors):
            faults.append(AlertFault(rule.name, 0, refusal))
        if faults:
            self.faults += faults
            return
        where = self.envelope.namespace or "{{ $labels.namespace }}"
        told = f"{rule.name}: {{{{ $value }}}} in namespace {where}"
        described = _described(rule, rule.promql or "", "{{ $value }}")
        self.built.append((self._alert(rule, raw.text, PROMQL, told, described), None))

    def _condition(self, rule: Rule, faults: list[AlertFault], *, builtin: bool) -> None:
        around = Surroundings(rule.group_by, self.budgets, self.root)
        checked = check(rule.condition or "", around)
        faults += [AlertFault(rule.name, found.at, found.problem, found.hint) for found in checked.problems]
        if checked.test is not None and not builtin:
            faults += self._taken(rule, sum(1 for _ in compares(checked.test)))
        if checked.test is not None:
            faults += _unfit(rule, checked.test)
        if faults or checked.test is None:
            self.faults += faults
            return
        builder = Builder(self.site, rule.window, rule.group_by, rule.no_data, rule.min_samples, self.budgets)
        expression = builder.rule(checked.test)
        if refusal := verify(written(expression)):
            self.faults.append(AlertFault(rule.name, 0, f"cannot be written as PromQL: {refusal}"))
            return
        if not builtin:
            self._warn(rule, checked, builder)
        compared, filters = first(checked.test)
        unit = _unit(compared)
        told = summary(rule.name, _shown(compared), unit, _labelled(compared, rule), self.envelope.namespace)
        described = _described(rule, rule.condition or "", human(unit))
        alert = self._alert(rule, written(expression), _named(compared), told, described)
        if (topmost := self._top(builder, compared, filters, rule)) is not None:
            alert = replace(alert, annotations={**alert.annotations, "top": topmost, **(rule.annotations or {})})
        self.built.append((alert, expression))
        if rule.no_data is NoData.ALERT and (silence := builder.silence(checked.test)) is not None:
            self.built.append((self._silent(rule, silence), None))

    def _taken(self, rule: Rule, comparisons: int) -> list[AlertFault]:
        """Takes from what all rules together may have. What is above it is told, and not compiled."""
        self.room -= comparisons
        if self.room >= 0:
            return []
        self.room += comparisons
        text = f"the rules of a config compare, or join PromQL, at most {MAX_COMPARISONS} times together"
        return [AlertFault(rule.name, None, text, "write them into a second TracingConfig")]

    def _alert(self, rule: Rule, expr: str, metric: str, told: str, description: str) -> AlertRule:
        runbook = rule.runbook_url or builtin.runbook(rule.name)
        annotations = self.envelope.annotations(runbook, told, description, rule.group_by)
        hold = max(rule.cooldown, rule.window) if rule.no_data is NoData.HOLD else rule.cooldown
        labels = self.envelope.labels(rule.severity, metric, rule.labels)
        return AlertRule(rule.name, expr, rule.for_, hold, labels, {**annotations, **(rule.annotations or {})})

    def _silent(self, rule: Rule, silence: Expression) -> AlertRule:
        window = format_duration(rule.window)
        where = self.envelope.namespace or "{{ $labels.namespace }}"
        told = f"{rule.name}: nothing to look at for {window} in namespace {where}"
        labels = self.envelope.labels(rule.severity, f"{NO_DATA}.{rule.name}", rule.labels)
        why = f"Pods run, and nothing came of what {rule.name} looks at: {plain(rule.condition or '')}"
        annotations = self.envelope.annotations(rule.runbook_url or "", told, why, ())
        return AlertRule(rule.name + NO_DATA, written(silence), rule.for_, rule.cooldown, labels, annotations)

    def _top(self, builder: Builder, test: Compare, filters: tuple[Filter, ...], rule: Rule) -> str | None:
        """Who has the largest part in it, where that can be said."""
        if not isinstance(test.left, Measure):
            return None
        source = builder.source(test.left, filters)
        alike = {each.matcher.label for each in filters if each.matcher.sign == "="}
        by = tuple(group.label for group in source.groups if group not in rule.group_by and group.label not in alike)
        if not by and test.left.metric.form is Form.HIGHEST:
            by = (POD,)
        if not by:
            return None
        grouped = tuple(label for label in builder.by if label != "namespace" or self.root)
        parts = builder.offenders(test, filters)
        return top(parts, by, grouped) if parts is not None else None

    def _warn(self, rule: Rule, checked: Checked, builder: Builder) -> None:
        assert checked.test is not None
        found = [AlertFault(rule.name, each.at, each.problem, each.hint) for each in checked.warnings]
        tests = list(compares(checked.test))
        if rule.window < LEAST_WINDOW and any(isinstance(each.left, Measure) for each in tests):
            text = f"window {format_duration(rule.window)} may be too short for two scrapes, and then it never fires"
            found.append(AlertFault(rule.name, None, text, "write 2m or more"))
        for each in tests:
            if isinstance(each.left, Measure) and each.left.metric.name == DAILY_COST and not builder.day_budget(()):
                text = "daily_cost without a budget of a day is of the last 24 hours, and misses pods that end soon"
                found.append(AlertFault(rule.name, each.left.at, text, "write a budget with period: Day"))
        always = all(isinstance(each.left, BudgetValue) or each.left.metric.name in ALWAYS_THERE for each in tests)
        if always and rule.no_data in (NoData.ALERT, NoData.ZERO):
            text = f"noData: {rule.no_data} has no effect, because there always is a value"
            found.append(AlertFault(rule.name, None, text, "leave it out"))
        self.warnings += found


def _not_for_promql(rule: Rule) -> list[tuple[str, bool]]:
    return [
        ("groupBy", bool(rule.group_by)),
        ("minSamples", rule.min_samples > 0),
        (f"noData: {rule.no_data}", rule.no_data in (NoData.ZERO, NoData.ALERT)),
    ]


def _unfit(rule: Rule, test: Test) -> list[AlertFault]:
    """Fields that do not go with what the condition is about."""
    if not rule.min_samples:
        return []
    for each in compares(test):
        name = f"budget {each.left.budget}" if isinstance(each.left, BudgetValue) else each.left.metric.name
        if isinstance(each.left, BudgetValue) or each.left.metric.form in (Form.RATE, Form.COUNT):
            hint = "it is for shares, averages, quantiles and extremes"
            return [AlertFault(rule.name, each.left.at, f"minSamples does not go with {name}", hint)]
    return []


def _shown(test: Compare) -> str:
    left = test.left
    if isinstance(left, BudgetValue):
        window = f'("{left.window}")' if left.window else ""
        return f'budget("{left.budget}").{left.member}{window}'
    name = left.metric.name + (f"({format_duration(left.bound)})" if left.bound is not None else "")
    return name if left.baseline is None else f"rise({name}, {format_duration(left.baseline)})"


def _named(test: Compare) -> str:
    """The value of the label by which alerts of several severities about one thing know each other."""
    return f"budget.{test.left.member}" if isinstance(test.left, BudgetValue) else test.left.metric.name


def _labelled(test: Compare, rule: Rule) -> tuple[Group, ...]:
    return () if isinstance(test.left, BudgetValue) else rule.group_by


def _unit(test: Compare) -> Unit:
    """As people want to read it."""
    if isinstance(test.left, BudgetValue) and test.left.member in (BudgetMember.USED, BudgetMember.BURN):
        return Unit.SHARE
    return test.left.unit


def _described(rule: Rule, what: str, value: str) -> str:
    lasting = f", for {format_duration(rule.for_)}" if rule.for_ else ""
    over = f" over {format_duration(rule.window)}" if rule.promql is None else ""
    return f"{plain(what)}{over}{lasting}. Now: {value}."
