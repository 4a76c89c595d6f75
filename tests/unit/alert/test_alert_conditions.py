"""What is wrong with a condition of an alert is told with its place and with what to write instead."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from alert_world import compiled
from tracekeeper_spec.alert.compiled import AlertRule

BUDGETS = [
    {"name": "daily", "period": "Day", "limit": {"amount": "10"}},
    {"name": "monthly", "period": "Month", "limit": {"amount": "100"}},
]
FAULTS: list[tuple[str, list[str], int, str, str]] = [
    # condition, groupBy, where the fault is (a place in the text), the problem, the hint
    ("eror_rate > 0.05", [], 0, "there is no metric eror_rate", "did you mean error_rate?"),
    ("error_rate > 5", [], 11, "is never true", "write 0.05 for 5 %"),
    ("error_rate > 5%", [], 14, "% is not part of this language", "write 0.05 for 5 %"),
    ("cost_per_hour > $5", [], 16, "$ is not part of this language", "costs are dollars"),
    ("error_rate > .05", [], 13, "a number begins with a digit", "write 0 before the point"),
    ("error_rate >= 0", [], 11, "is always true", "from 0 to 1"),
    ("error_rate < 0", [], 11, "is never true", "from 0 to 1"),
    ("tokens_per_request >= 0", [], 19, "is always true", "never below 0"),
    ("p99_latency > 4h", [], 12, "is never true", "from 0s to 4h"),
    ("p99_latency > 10", [], 14, "compares a duration with a number", "durations have a unit"),
    ("error_rate > 10s", [], 13, "compares a share with a duration", "write a number"),
    ("error_rate == 0.05", [], 11, "it is hardly ever exactly 0.05", "write < or >"),
    ("slow_rate > 0.1", [], 0, "slower than what?", "slow_rate(1s)"),
    ("slow_rate(3s) > 0.1", [], 10, "durations are counted in steps", "write 2s500ms or 5s"),
    ("error_rate(5m) > 0.1", [], 0, "error_rate takes nothing in brackets", "write error_rate alone"),
    ("rise(calls_per_request, 24h) > 2", [], 5, "a metric that is an average", ""),
    ("span.duration > 1s", [], 0, "span", "error_rate"),
    ("agent > 3", [], 6, "> does not go with texts", "write == or !="),
    ("agent == 3 && error_rate > 0.1", [], 9, "a fixed text is wanted here, in quotes", ""),
    ('agent == "a"', [], 6, "compares a label alone", "join it with &&"),
    ('agent == "a" || error_rate > 0.1', [], 6, "compares a label alone on one side of ||", "in ["),
    ('user == "a" && error_rate > 0.1', [], 0, "there is no metric user", ""),
    ('namespace == "a" && error_rate > 0.1', [], 0, "only the config's own namespace is looked at", "leave it out"),
    ('agent.matches("(") && error_rate > 0.1', [], 14, "the pattern", ""),
    ('tool == "a" && cost_per_hour > 1', [], 5, "cost_per_hour does not go with the label tool here", "model"),
    ("tokens_per_request > 5", ["Model"], 0, "tokens_per_request cannot be told apart by Model", "tokens_per_call"),
    ("error_rate > 0.1", ["Model", "Tool"], 0, "error_rate cannot be told apart by Model and Tool together", "Service"),
    ('budget("dayly").spent > 5', [], 7, "there is no budget 'dayly'", 'did you mean "daily"?'),
    ('budget("daily").spend > 5', [], 16, "a budget has no spend", "did you mean spent?"),
    ('budget("daily") > 5', [], 0, "which amount of the budget?", ".spent"),
    ('budget("daily").burn("4h") > 0.1', [], 21, "burn takes one of a few windows", "1h"),
    ('budget("daily").used > budget("daily").limit', [], 21, "compares a number with an amount in dollars", ""),
    ('budget("daily").spent > 5', ["Agent"], 16, "budgets are not told apart by Agent here", "one of its own"),
    ('agent == "a" && budget("daily").spent > 5', [], 6, "budgets have no such label", "groupBy"),
    ("error_rate > tool_error_rate", [], 11, "compares two metrics", "compare each with a number"),
    ("1 > 2", [], 2, "compares two fixed values", "error_rate"),
    ("error_rate", [], 0, "is a share, and a condition is wanted", "compare it with something"),
    ("error_rate > 0.1 and p99_latency > 1s", [], 17, "and is not an operator", "write &&"),
    ("error_rate + 1 > 2", [], 11, "a metric or a number is wanted here", ""),
]


@pytest.mark.parametrize(("condition", "groups", "at", "problem", "hint"), FAULTS, ids=lambda value: str(value)[:30])
def test_a_fault_has_a_place_and_a_hint(condition: str, groups: list[str], at: int, problem: str, hint: str) -> None:
    made = compiled({"name": "X", "condition": condition, "groupBy": groups}, budgets=BUDGETS)
    assert not made.rules
    (fault,) = made.faults
    assert (fault.at, fault.rule) == (at, "X"), fault.text
    assert problem in fault.problem and hint in fault.hint, fault.text
    assert f"rule X, character {at + 1}: " in fault.text and len(fault.text) < 250


def test_what_is_wrong_on_both_sides_is_told_at_once() -> None:
    made = compiled({"name": "X", "condition": "eror_rate > 1 && p98_latency > 10s"})
    assert [fault.at for fault in made.faults] == [0, 17]


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ([], "there is no budget of a day"),
        (BUDGETS[1:], "there is no budget of a day"),
        ([*BUDGETS, {**BUDGETS[0], "name": "other"}], "there are several budgets of a day: daily, other"),
    ],
)
def test_the_limit_of_a_day_needs_exactly_one_budget_of_a_day(budgets: list[dict[str, Any]], said: str) -> None:
    made = compiled({"name": "X", "condition": "daily_cost > budget_limit"}, budgets=budgets)
    assert [(fault.at, fault.problem) for fault in made.faults] == [(13, said)]


def test_a_condition_compares_so_often_and_no_more() -> None:
    terms = ["p99_latency > 1s", "error_rate > 0.1"] * 8
    assert compiled({"name": "X", "condition": " || ".join(terms)}).rules
    made = compiled({"name": "X", "condition": " || ".join([*terms, "error_rate > 0.2", "error_rate > 0.3"])})
    (fault,) = made.faults
    assert (fault.at, fault.problem) == (len(" || ".join(terms)) + 15, "a condition compares at most 16 times")
    assert fault.hint == "write several rules" and not made.rules


def test_rules_that_are_too_much_together_are_told_and_the_others_are_written() -> None:
    condition, promql = " || ".join(["error_rate > 0.1"] * 16), " + ".join(["up"] * 65)
    rules = [{"name": f"R{index}", "condition": condition} for index in range(12)]  # 192 of 256
    made = compiled(
        *rules,
        {"name": "Joins", "promql": promql},
        {"name": "One", "condition": "error_rate > 0.1"},
        {"name": "Two", "promql": "up + up"},
        {"name": "None", "promql": "up"},
        built_in="Agents",
    )
    assert [fault.rule for fault in made.faults] == ["One", "Two"]
    assert all("at most 256 times together" in fault.problem for fault in made.faults)
    written = {rule.alert for rule in made.rules if isinstance(rule, AlertRule)}
    assert {*(rule["name"] for rule in rules), "Joins", "None", "ErrorRateCritical"} <= written


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"condition": "cost_per_hour > 1", "minSamples": 5}, "minSamples does not go with cost_per_hour"),
        ({"promql": "up", "minSamples": 5}, "minSamples does not go with promql"),
        ({"promql": "up", "groupBy": ["Agent"]}, "groupBy does not go with promql"),
        ({"promql": "up", "noData": "Zero"}, "noData: Zero does not go with promql"),
        ({"condition": "error_rate > 0.1", "labels": {"v": "{{ $value }}"}}, "labels.v, character 1"),
        ({"condition": "error_rate > 0.1", "labels": {"agent": "a"}, "groupBy": ["Agent"]}, "groupBy sets it"),
    ],
)
def test_fields_that_do_not_go_together_are_faults(fields: dict[str, Any], said: str) -> None:
    (fault,) = compiled({"name": "X", **fields}).faults
    assert said in fault.problem


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"condition": "error_rate > 0.1", "window": "30s"}, "too short for two scrapes"),
        ({"condition": "request_rate == 0", "noData": "Zero"}, "noData: Zero has no effect"),
        ({"condition": "p99_latency > 11s"}, "11s is an estimate"),
        ({"condition": "daily_cost > 5"}, "misses pods that end soon"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(fields: dict[str, Any], said: str) -> None:
    made = compiled({"name": "X", **fields})
    assert made.rules and not made.faults
    assert [said in warning.problem for warning in made.warnings] == [True]


def test_where_no_rules_are_written_one_parser_is_enough() -> None:
    """As in the sidecar's image, which has a `check` and no other parser."""
    script = (
        "import sys; sys.modules['promql_parser'] = None; sys.path.insert(0, 'tests')\n"
        "from alert_world import compiled\n"
        "made = compiled({'name': 'A', 'promql': 'up{'}, {'name': 'B', 'promql': 'up'})\n"
        "print([fault.rule for fault in made.faults], [rule.expr for rule in made.rules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == """['A'] ['up{namespace="shop"}']"""
