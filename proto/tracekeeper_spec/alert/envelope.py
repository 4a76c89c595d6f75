"""What a rule carries besides its expression: labels to route by, and annotations for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tracekeeper_spec.alert.compiled import AlertFault, Links
from tracekeeper_spec.alert.expression import Aggregate, Binary, Call, Expression, Matcher, Number, Selector, written
from tracekeeper_spec.alert.metric import Unit
from tracekeeper_spec.alert.section import Group, Rule
from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.alert.template import plain, problems

CONFIG, METRIC, NAMESPACE, SEVERITY = "tracekeeper_config", "tracekeeper_metric", "namespace", "severity"
RESERVED = ("alertname", NAMESPACE, SEVERITY, "alerts")
_HUMAN = {
    Unit.SHARE: "{{ $value | humanizePercentage }}",
    Unit.NUMBER: "{{ $value | humanize }}",
    Unit.PER_SECOND: '{{ printf "%.3g" $value }}/s',
    Unit.DOLLARS: '{{ printf "%.2f" $value }} dollars',
    Unit.DURATION: "{{ $value | humanizeDuration }}",
}
_PLACES = ("namespace", "service", "agent")
"""What a template of an address may name."""
_TOP = 3


@dataclass(frozen=True, slots=True)
class Envelope:
    """Of the rules of one config."""

    config: str
    """`namespace/name`"""
    namespace: str
    """Of all its alerts; empty where each has its own."""
    links: Links

    def labels(self, severity: Severity, metric: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Those of an alert; `more` cannot replace the others."""
        own = {NAMESPACE: self.namespace} if self.namespace else {}
        return {**(more or {}), SEVERITY: severity.value, **own, CONFIG: self.config, METRIC: metric}

    def annotations(self, runbook: str, summary: str, description: str, groups: tuple[Group, ...]) -> dict[str, str]:
        """`runbook`: the name of a page of ours, or an address; may be empty. The texts are templates."""
        found = {"summary": summary, "description": description}
        if runbook:
            address = runbook if "://" in runbook else self.links.runbook(runbook)
            found |= {"runbook_url": address} if address else {}
        if self.links.trace:
            found["trace_url"] = self._trace(groups)
        return found

    def _trace(self, groups: tuple[Group, ...]) -> str:
        grouped = {group.label for group in groups}

        def filled(place: re.Match[str]) -> str:
            name = place[1]
            if name == NAMESPACE and self.namespace:
                return self.namespace
            return f"{{{{ $labels.{name} | urlquery }}}}" if name == NAMESPACE or name in grouped else ""

        return re.sub(rf"\{{({'|'.join(_PLACES)})\}}", filled, plain(self.links.trace))


def summary(name: str, what: str, unit: Unit, groups: tuple[Group, ...], namespace: str) -> str:
    """`HighErrorRate: error_rate is 12 % for agent planner in namespace shop`"""
    where = [f"{group.label} {{{{ $labels.{group.label} }}}}" for group in Group if group in groups]
    where.append(f"namespace {namespace or '{{ $labels.namespace }}'}")
    return f"{name}: {plain(what)} is {human(unit)} for {', '.join(where)}"


def human(unit: Unit) -> str:
    """A template of the alert's value."""
    return _HUMAN[unit]


def top(expression: Expression, by: tuple[str, ...], grouped: tuple[str, ...]) -> str:
    """A template that names the series that have the largest part in what fired. `expression` is made of aggregations,
    each of a function of one selector; `by` are the labels that tell the series apart, `grouped` those of the alert.
    """
    holes = tuple(Matcher(label, "=", f"\x00{label}") for label in grouped)
    query = written(Call("topk", (Number(_TOP), _narrowed(expression, by, holes)))).replace("%", "%%")
    for place, label in enumerate(grouped, 1):
        # The printer has quoted and escaped what stands for the alert's own value.
        query = query.replace(f'"\\u0000{label}"', f"%[{place}]q")
    values = "".join(f" $labels.{label}" for label in grouped)
    # The printer writes no backtick, so nothing ends this text early.
    asked = f"printf `{query}`{values} | query" if grouped else f"query `{query.replace('%%', '%')}`"
    names = " ".join(f"{{{{ .Labels.{label} }}}}" for label in by)
    value = 'printf "%.2f" .Value' if "_dollars" in query else ".Value | humanize"
    return f"{{{{ range {asked} }}}}{names}: {{{{ {value} }}}}; {{{{ end }}}}"


def _narrowed(expression: Expression, by: tuple[str, ...], holes: tuple[Matcher, ...]) -> Expression:
    """The same by other labels, of the alert's own group alone."""
    match expression:
        case Binary(left=left, right=right):
            return replace(expression, left=_narrowed(left, by, holes), right=_narrowed(right, by, holes))
        case Aggregate(name=name, of=Call(name=function, arguments=(Selector() as selector,))):
            narrowed = replace(selector, matchers=(*selector.matchers, *holes))
            return Aggregate(name, by, Call(function, (narrowed,)))
    return expression


def label_faults(rule: Rule) -> Iterator[AlertFault]:
    """Labels and annotations of a rule that must not be."""
    grouped = {group.label for group in rule.group_by}
    for key, value in (rule.labels or {}).items():
        if key in RESERVED or key.startswith(("tracekeeper_", "__")):
            yield AlertFault(rule.name, None, f"labels.{key}: Tracekeeper sets it, or Prometheus", "use another name")
        elif key in grouped:
            yield AlertFault(rule.name, None, f"labels.{key}: groupBy sets it", "use another name")
        yield from _template_faults(rule, f"labels.{key}", value, steady=True)
    for key, value in (rule.annotations or {}).items():
        yield from _template_faults(rule, f"annotations.{key}", value)
    yield from _template_faults(rule, "runbookURL", rule.runbook_url or "")


def _template_faults(rule: Rule, where: str, text: str, *, steady: bool = False) -> Iterator[AlertFault]:
    for problem in problems(text, steady=steady):
        yield AlertFault(rule.name, None, f"{where}, character {problem.at + 1}: {problem.problem}", problem.hint)
