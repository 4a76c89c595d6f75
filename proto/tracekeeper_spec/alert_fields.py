"""The schema of the section `alerts`; see `fields`, of which it is a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracekeeper_spec.alert import Alerts, BuiltIn, Group, NoData, Rule, Severity
from tracekeeper_spec.channel import Channel
from tracekeeper_spec.channel_fields import CHANNELS
from tracekeeper_spec.schema import (
    Check,
    Choice,
    Duration,
    Field,
    Finding,
    Integer,
    ListOf,
    Object,
    Text,
    TextMap,
    Values,
)

MAX_CONDITION = 1024
"""Characters; as of any condition."""
MAX_PROMQL = 4096
MAX_RULES = 64 * 1024
"""Characters of all rules together: they lie in the namespace's policy, whose Secret holds a mebibyte."""

RULE_NAME = Text(
    63, r"^[A-Za-z][A-Za-z0-9]*$", "a name of letters and digits that begins with a letter, such as HighErrorRate"
)
LABEL_NAME = Text(64, r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of a Prometheus label: letters, digits and underscores")
LINK = Text(1024, r"^https?://[!-~]+$", "a URL that starts with http:// or https://")


def make_rule(group_by: tuple[Group, ...] | None, **values: Any) -> Rule:
    """Absent groups are none; the same one twice is once."""
    return Rule(group_by=tuple(dict.fromkeys(group_by or ())), **values)


RULE = Object(
    make_rule,
    (
        Field("name", RULE_NAME, "Name of the rule, and of its alerts (`alertname`).", required=True),
        Field(
            "condition",
            Text(MAX_CONDITION, expects="a condition"),
            "When the rule holds, for example `error_rate > 0.05`. See the reference of alert conditions.",
            default_note="none: there is `promql`",
        ),
        Field(
            "promql",
            Text(MAX_PROMQL, expects="PromQL"),
            "The same in PromQL. It sees the config's own namespace alone: a matcher is put into every selector.",
            default_note="none: there is `condition`",
        ),
        Field(
            "window",
            Duration("10s", "24h"),
            "Time over which rates, quantiles and extremes are taken. PromQL says its windows itself.",
            default="5m",
        ),
        Field("for", Duration("0s", "24h"), "How long it must hold before the alert fires.", default="0s"),
        Field("severity", Choice(Severity), "How bad that is; channels go by it.", default="warning"),
        Field(
            "labels",
            TextMap(LABEL_NAME, Text(256, min_length=0), 16),
            "More labels of its alerts.",
            default_note="none",
        ),
        Field(
            "annotations",
            TextMap(LABEL_NAME, Text(2048, min_length=0), 16),
            "More annotations of its alerts. `$value` and `$labels.NAME`, in double braces, stand for what fired.",
            default_note="a summary, a description, and links to the runbook and the traces",
        ),
        Field("runbookURL", LINK, "What to do when it fires.", default_note="none"),
        Field(
            "groupBy",
            ListOf(Choice(Group), 7),
            "By what things are looked at one by one. Each has an alert of its own.",
            default_note="none: the namespace as a whole",
        ),
        Field(
            "minSamples",
            Integer(0, 1_000_000),
            "How many requests, calls or conversations there must be in the window before the rule holds.",
            default=0,
        ),
        Field(
            "noData",
            Choice(NoData),
            "What is made of nothing to look at: `Ok` stays quiet, `Zero` takes it for 0, `Alert` has an alert of its "
            "own, `Hold` keeps a firing alert for one window.",
            default="Ok",
        ),
        Field(
            "cooldown",
            Duration("0s", "24h"),
            "How long the alert goes on firing when the rule holds no longer.",
            default="0s",
        ),
    ),
    one_of=("condition", "promql"),
)


def _too_long(values: Values) -> Iterator[Finding]:
    size = sum(
        len(rule.condition or "") + len(rule.promql or "") + sum(len(k) + len(v) for k, v in texts.items())
        for rule in values.get("rules") or ()
        for texts in (dict(rule.labels or {}) | dict(rule.annotations or {}),)
    )
    if size > MAX_RULES:
        problem = f"all rules together have {size} characters, and may have {MAX_RULES}"
        yield "rules", problem, "shorten annotations, or put some rules into another TracingConfig"


def make_alerts(
    built_in: BuiltIn,
    renotify: float,
    rules: tuple[Rule, ...] | None,
    channels: tuple[Channel, ...] | None,
) -> Alerts:
    """Absent lists are empty."""
    return Alerts(built_in, renotify, rules or (), channels or ())


ALERTS = Object(
    make_alerts,
    (
        Field(
            "builtIn",
            Choice(BuiltIn),
            "Which of the rules that come with Tracekeeper are written: `All`, those about the `Pipeline`, those about "
            "the `Agents`, or `None`.",
            default="All",
        ),
        Field(
            "renotify",
            Duration("1m", "168h"),
            "How often what goes on firing is told again, by channels.",
            default="5m",
        ),
        Field(
            "rules",
            ListOf(RULE, 64, unique="name"),
            "Rules of your own. One of the name of a built-in rule takes its place. A rule with a fault is left out; "
            "the others are written.",
            default_note="none",
        ),
        Field(
            "channels",
            CHANNELS,
            "Who is told, through Alertmanager. Each alert goes to every channel that takes its severity.",
            default_note="none: alerts are routed by their labels, by whoever owns the Alertmanager",
        ),
    ),
    checks=(Check(_too_long),),
)
