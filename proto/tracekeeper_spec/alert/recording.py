"""What several rules of a config need is worked out once, by a recording rule before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tracekeeper_spec.alert.build import Site
from tracekeeper_spec.alert.compiled import AlertRule, RecordingRule
from tracekeeper_spec.alert.expression import (
    Aggregate,
    Call,
    Expression,
    Matcher,
    Selector,
    duration,
    matchers,
    replaced,
    walk,
    written,
)

LEAST_USES = 2
"""Rules that need it."""
_FUNCTIONS = ("rate", "increase")
_ALERTS, _BY, _OF = "alerts", "grouped_by", "selected"


def share(
    built: Sequence[tuple[AlertRule, Expression | None]], site: Site
) -> tuple[list[RecordingRule], list[AlertRule]]:
    """The recording rules, and the rules with what these record in place of what they would work out."""
    parts = [list(dict.fromkeys(part for part in walk(tree) if _fits(part))) if tree else [] for _, tree in built]
    uses = Counter(part for each in parts for part in each)
    shared = {part: _read(part, site) for part, count in uses.items() if count >= LEAST_USES}
    rules = []
    for (rule, tree), each in zip(built, parts, strict=True):
        if tree is None or not any(part in shared for part in each):
            rules.append(rule)
            continue
        rules.append(replace(rule, expr=written(replaced(tree, shared, _fits))))
    return [_record(part, site) for part in shared], rules


def _fits(part: Expression) -> bool:
    """`sum by (…) (rate(…))`, of now."""
    if not isinstance(part, Aggregate) or not isinstance(part.of, Call) or part.of.name not in _FUNCTIONS:
        return False
    selector = part.of.arguments[0]
    return isinstance(selector, Selector) and not selector.offset


def _record(part: Expression, site: Site) -> RecordingRule:
    name, labels = _identity(part, site)
    return RecordingRule(name, written(part), {_ALERTS: site.config, **labels})


def _read(part: Expression, site: Site) -> Expression:
    """What it recorded, with the labels that `part` has and no more."""
    name, labels = _identity(part, site)
    assert isinstance(part, Aggregate)
    own = tuple(Matcher(label, "=", value) for label, value in labels.items())
    return Aggregate("sum", part.by, Selector(name, (*site.matchers, *own)))


def _identity(part: Expression, site: Site) -> tuple[str, dict[str, str]]:
    """A name, and labels that tell it from others of this name."""
    assert isinstance(part, Aggregate) and isinstance(part.of, Call)
    selector = part.of.arguments[0]
    assert isinstance(selector, Selector)
    name = f"tracekeeper:{selector.metric.removeprefix('tracekeeper_')}:{part.of.name}{duration(selector.window)}"
    more = [matcher for matcher in selector.matchers if matcher not in site.matchers]
    # Prometheus runs labels as templates.
    of = matchers(more).replace("{{", "{ {")
    return name, {_BY: ", ".join(part.by), **({_OF: of} if of else {})}
