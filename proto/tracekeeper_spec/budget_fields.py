"""The schema of the section `budgets`."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_spec.budget import (
    Currency,
    Decision,
    GroupBy,
    Limit,
    Period,
    Severity,
    Threshold,
    make_budget,
)
from tracekeeper_spec.sampling_checks import groups_differ
from tracekeeper_spec.schema import Boolean, Check, Choice, Field, Finding, Integer, ListOf, Object, Text, Values
from tracekeeper_spec.texts import DNS_LABEL, TIME_ZONE


def _look_at_amount(text: str) -> tuple[str, str] | None:
    if text.strip("0.") == "":
        return "must be more than zero", "leave the budget out where nothing is to be watched"
    return None


AMOUNT = Text(
    20,
    r"^[0-9]{1,10}(\.[0-9]{1,9})?$",
    'a decimal number in quotes, such as "100" or "12.50"',
    look=_look_at_amount,
)


def thresholds_differ(values: Values) -> Iterator[Finding]:
    """Each share once."""
    seen: set[int] = set()
    for index, threshold in enumerate(values.get("thresholds") or ()):
        if threshold.percent in seen:
            yield f"thresholds[{index}].percent", f"{threshold.percent} is in this list already", "remove one of them"
        seen.add(threshold.percent)


def namespace_or_shared(values: Values) -> Iterator[Finding]:
    """Two ways to say the opposite."""
    if values.get("shared") and GroupBy.NAMESPACE in (values.get("group_by") or ()):
        yield "shared", "true goes against Namespace in groupBy", "keep one of them"


LIMIT = Object(
    Limit,
    (
        Field("amount", AMOUNT, "How much may be spent in a period.", required=True),
        Field("currency", Choice(Currency), "What the amount is in. Prices are known in US dollars.", default="USD"),
    ),
)

THRESHOLD = Object(
    Threshold,
    (
        Field("percent", Integer(1, 1000), "Share of the limit from which on it applies.", required=True),
        Field("severity", Choice(Severity), "How bad it is, for alerts.", default="warning"),
        Field(
            "decision",
            Choice(Decision),
            "`Deny`: from here on the answer to whoever asks whether a call may be made is no. Tracekeeper itself "
            "keeps no call from being made.",
            default="Allow",
        ),
    ),
)

BUDGET = Object(
    make_budget,
    (
        Field("name", DNS_LABEL, "Name of the budget, in rules, metrics and decisions.", required=True),
        Field("period", Choice(Period), "When it begins anew, by the calendar; weeks begin on Monday.", default="Day"),
        Field("timeZone", TIME_ZONE, "The time zone of that calendar.", default="Etc/UTC"),
        Field("limit", LIMIT, "How much may be spent in a period.", required=True),
        Field(
            "groupBy",
            ListOf(Choice(GroupBy), 4),
            "The limit is for each group of values of these, and not for all together.",
            default_note="all together",
        ),
        Field(
            "thresholds",
            ListOf(THRESHOLD, 8),
            "What happens at which share of the limit.",
            default_note="75 (warning), 90 and 100 (critical), all with the decision Allow",
        ),
        Field(
            "unknown",
            Choice(Decision),
            "The answer to whoever asks while what was spent is not known, or was last known two minutes ago.",
            default="Allow",
        ),
        Field(
            "shared",
            Boolean(),
            "Of a config that pods of other namespaces use: all of them spend from one amount. Without it, each "
            "namespace has the limit for itself.",
            default=False,
        ),
    ),
    checks=(Check(groups_differ), Check(thresholds_differ), Check(namespace_or_shared)),
)

BUDGETS = ListOf(BUDGET, 8, unique="name")
