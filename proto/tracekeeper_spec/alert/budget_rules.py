"""Built-in rules about budgets: their thresholds, and how fast they are used up.

The spend itself is worked out by the controller, by the calendar and over all pods; these only compare.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_spec.alert.build import Site, budget_value
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.alert.envelope import NAMESPACE, Envelope, top
from tracekeeper_spec.alert.expression import Aggregate, Binary, Call, Expression, Matcher, Number, Selector, written
from tracekeeper_spec.alert.metric import COST
from tracekeeper_spec.alert.section import Group
from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.period import Period

USED, BURN, STATE = "tracekeeper_budget_used_ratio", "tracekeeper_budget_burn_ratio", "tracekeeper_budget_state"
THRESHOLD, FAST, SLOW, INCOMPLETE = "BudgetThreshold", "BudgetBurnFast", "BudgetBurnSlow", "BudgetIncomplete"
NAMES = (THRESHOLD, FAST, SLOW, INCOMPLETE)

_BURNS = {
    Period.MONTH: (
        (FAST, 0.02, "1h", "5m"),
        (FAST, 0.05, "6h", "30m"),
        (SLOW, 0.1, "1d", "2h"),
        (SLOW, 0.1, "3d", "6h"),
    ),
    Period.WEEK: ((FAST, 0.05, "1h", "5m"), (FAST, 0.15, "6h", "30m"), (SLOW, 0.25, "1d", "2h")),
    Period.DAY: ((FAST, 0.2, "1h", "5m"), (SLOW, 0.5, "6h", "30m")),
}
"""Share of the limit, in the long window; the short one says that it still goes on ("Alerting on SLOs", The Site
Reliability Workbook, 5). Its numbers are for a month; in a shorter period as much of it is quite usual."""
_HOUR = 3600.0
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def budget_rules(budgets: tuple[Budget, ...], site: Site, envelope: Envelope) -> tuple[AlertRule, ...]:
    """Those of each budget."""
    return tuple(rule for budget in budgets for rule in _rules(budget, site, envelope))


def _rules(budget: Budget, site: Site, envelope: Envelope) -> Iterator[AlertRule]:
    of = f"budget {budget.name}{' of {{ $labels.key }}' if budget.groups else ''}"
    used = budget_value(USED, site, budget.name)
    limits = [threshold.percent / 100 for threshold in budget.thresholds]
    for threshold, share, above in zip(budget.thresholds, limits, [*limits[1:], None], strict=True):
        reached: Expression = Binary(">=", used, Number(share))
        if above is not None:  # So that only the highest one fires.
            reached = Binary("<", reached, Number(above))
        summary = f"{THRESHOLD}: {of} is used up to {{{{ $value | humanizePercentage }}}}"
        why = f"From {threshold.percent} % on, that is {threshold.severity}. The period is a {budget.period.lower()}."
        labels = {"threshold": f"{share:g}"}
        yield _alert(THRESHOLD, reached, Severity(threshold.severity), summary, why, budget, site, envelope, labels)
    for name, share, long, short in _BURNS[budget.period] if not budget.groups else ():  # Keys have no burn.
        burning = Binary(">", _burn(site, budget, long), Number(share))
        now = Binary(">", _burn(site, budget, short), Number(_part(share, long, short)))
        both = Binary("and", burning, now, on=("config", "budget", "key"))
        severity = Severity.CRITICAL if name == FAST else Severity.WARNING
        summary = f"{name}: {{{{ $value | humanizePercentage }}}} of {of} went in {long}"
        why = f"More than {share:.0%} of the limit in {long}, and it goes on like this."
        yield _alert(name, both, severity, summary, why, budget, site, envelope, {"window": long})
    unsure = budget_value(STATE, site, budget.name, (Matcher("state", "=", "Incomplete"),))
    summary = f"{INCOMPLETE}: {of} is at least what is shown"
    why = "Some of it is not known: spans were not counted, calls have no price, or sidecars have not been heard of."
    incomplete = Binary("==", unsure, Number(1))
    yield _alert(INCOMPLETE, incomplete, Severity.INFO, summary, why, budget, site, envelope, {}, 600)


def _alert(
    name: str,
    expr: Expression,
    severity: Severity,
    summary: str,
    description: str,
    budget: Budget,
    site: Site,
    envelope: Envelope,
    more: dict[str, str],
    for_: float = 0.0,
) -> AlertRule:
    labels = envelope.labels(severity, name, {"budget": budget.name, **more})
    annotations = envelope.annotations(name, summary, description, ()) | _spenders(budget, site)
    return AlertRule(name, written(expr), for_, 0.0, labels, annotations)


def _spenders(budget: Budget, site: Site) -> dict[str, str]:
    """Who spent most in the last hour; not of a budget by groups, whose alert is about one of them."""
    if budget.groups:
        return {}
    spent = Call("increase", (Selector(COST, site.matchers, _HOUR),))
    by = (Group.AGENT.label, Group.MODEL.label)
    return {"top": top(Aggregate("sum", (), spent), by if site.namespace else (NAMESPACE, *by), ())}


def _burn(site: Site, budget: Budget, window: str) -> Expression:
    return budget_value(BURN, site, budget.name, (Matcher("window", "=", window),))


def _part(share: float, long: str, short: str) -> float:
    """What `share` of the long window is in the short one."""
    return round(share * _seconds(short) / _seconds(long), 6)


def _seconds(window: str) -> int:
    return int(window[:-1]) * _SECONDS[window[-1]]
