"""The condition `RulesLoaded`: whether Prometheus has a config's rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekeeper_spec.alert.compiled import AlertRule, RecordingRule

from ..status import MAX_MESSAGE, Condition, Reason
from .deliver import Told, Way
from .prometheus import Loaded, LoadedRule, Place
from .wanted import Alerting

PATIENCE = 180.0
"""Seconds that rules may take from the object, or the file, into Prometheus: the kubelet alone takes up to 90."""
SHOWN = 3
"""Rules that a message names."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What asking one Prometheus gave."""

    replicas: tuple[Loaded, ...] = ()
    problem: str = ""
    """Why it did not answer."""


@dataclass(frozen=True, slots=True)
class Written:
    """How the writing of a config's rules went."""

    place: Place | None = None
    """Where Prometheus has them; None before they are written."""
    since: float = 0.0
    """Seconds since what is written there is as it is now."""
    problem: str = ""
    """Why they could not be written."""
    notes: tuple[str, ...] = ()
    """Besides, about channels."""


def condition(item: Alerting, told: Told, written: Written, url: str, answer: Answer | None) -> Condition:
    """`answer` is that of the Prometheus at `url`, which is empty where none is known; None before it was asked."""
    status, reason, text = _judge(item, told, written, url, answer)
    notes = "; ".join((*told.notes, *written.notes))
    text = f"{text}; {notes}" if notes else text
    return Condition("RulesLoaded", status, reason, text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…")


def _judge(item: Alerting, told: Told, written: Written, url: str, answer: Answer | None) -> tuple[str, Reason, str]:
    if not item.compiled.rules:
        return "True", Reason.NO_RULES, "there is no rule to load" + (": see Accepted" if item.compiled.faults else "")
    if told.way is Way.NOWHERE:
        text = (
            "its rules are written nowhere: the API server has no PrometheusRules, and the chart's value "
            "alerts.plain.namespace names no namespace for plain files"
        )
        return "False", Reason.NOT_WRITTEN, text
    if problem := told.problem or written.problem:
        return "False", Reason.NOT_WRITTEN, problem
    if told.unselected:
        return "False", Reason.NOT_SELECTED, told.unselected
    if told.enforced:
        return "False", Reason.NAMESPACE_ENFORCED, told.enforced
    where = _where(told, written)
    if not url:
        text = f"{where}; whether Prometheus has them is not known: set the chart's value prometheus.url"
        return "Unknown", Reason.NO_PROMETHEUS, text
    if answer is None or written.place is None:
        return "Unknown", Reason.NOT_YET, f"{where}; Prometheus was not asked yet"
    if answer.problem:
        text = (
            f"{where}; whether Prometheus has them is not known: {url} does not answer ({answer.problem}). Is it the "
            "right address? The chart's NetworkPolicy lets the controller reach only what prometheus.url says"
        )
        return "Unknown", Reason.PROMETHEUS_UNREACHABLE, text
    return _compare(item, written, url, where, answer.replicas, written.place)


def _compare(
    item: Alerting, written: Written, url: str, where: str, replicas: Sequence[Loaded], place: Place
) -> tuple[str, Reason, str]:
    count = len(item.compiled.rules)
    rules = "the rule" if count == 1 else f"all {count} rules"
    behind = sum(not _same(item.compiled.rules, replica.get(place, ())) for replica in replicas)
    if behind or not replicas:
        which = "" if len(replicas) < 2 else f" ({behind} of {len(replicas)} replicas)"
        if written.since < PATIENCE:
            return "Unknown", Reason.NOT_YET, f"{where}; Prometheus{which} does not have them yet, which takes minutes"
        text = (
            f"{where}, but Prometheus at {url}{which} does not have them as they are now: its log, or that of the "
            "Prometheus operator, says why it refuses them; plain files have to be mounted"
        )
        return "False", Reason.RULES_NOT_LOADED, text
    failing = {rule.name: rule.error for replica in replicas for rule in replica[place] if rule.health == "err"}
    if failing:
        shown = "; ".join(f"{name}: {error}" for name, error in sorted(failing.items())[:SHOWN])
        more = f"; and {len(failing) - SHOWN} more" if len(failing) > SHOWN else ""
        return "False", Reason.RULE_FAILING, f"Prometheus has them, but cannot evaluate {shown}{more}"
    return "True", Reason.LOADED, f"Prometheus has {rules}"


def _where(told: Told, written: Written) -> str:
    if told.rule is not None:
        return f"its rules are in PrometheusRule {told.rule[1]}/{told.rule[2]}"
    return (
        f"its rules are in the file {written.place[0]}" if written.place is not None else "its rules are to be written"
    )


def _same(rules: Sequence[AlertRule | RecordingRule], found: Sequence[LoadedRule]) -> bool:
    """Whether these are the rules, as far as Prometheus shows them as they were written: expressions it does not."""
    return len(rules) == len(found) and all(map(_is, rules, found))


def _is(rule: AlertRule | RecordingRule, found: LoadedRule) -> bool:
    name = rule.record if isinstance(rule, RecordingRule) else rule.alert
    if found.name != name or any(found.labels.get(key) != value for key, value in rule.labels.items()):
        return False
    if isinstance(rule, RecordingRule):
        return True
    return abs(found.for_ - rule.for_) < 0.001 and dict(found.annotations) == dict(rule.annotations)
