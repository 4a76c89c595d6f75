"""What we take, the real promtool takes: of conditions that are made up, and of PromQL. What we refuse has a place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import promql_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_world import compiled, refused, rule_file
from promql_grammar import Conditions, PromQL
from tracekeeper_spec.alert.compiled import AlertRule, RecordingRule
from tracekeeper_spec.alert.expression import Matcher
from tracekeeper_spec.alert.raw import confine
from tracekeeper_spec.alert.section import Group
from tracekeeper_spec.alert.verify import verify

BUDGETS = [
    {"name": "daily", "period": "Day", "limit": {"amount": "10"}},
    {"name": "weekly", "period": "Week", "limit": {"amount": "50"}},
]
SHOP = Matcher("namespace", "=", "shop")
THRIFT = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
BATCH = 250
"""Texts of one example: promtool takes them all at once."""


def config_of(random: Random) -> dict[str, object]:
    groups = [group.value for group in Group if random.random() < 0.15]
    return {
        "window": random.choice(["10s", "90s", "5m", "10m", "24h"]),
        "for": random.choice(["0s", "2m"]),
        "groupBy": groups,
        "minSamples": random.choice([0, 0, 20]),
        "noData": random.choice(["Ok", "Ok", "Zero", "Alert", "Hold"]),
    }


@THRIFT
@given(st.integers(0, 2**32))
def test_what_is_compiled_of_conditions_is_taken_by_promtool(seed: int) -> None:
    random, counts = Random(seed), Counter[str]()
    groups: dict[str, tuple[AlertRule | RecordingRule, ...]] = {}
    for number in range(BATCH):
        text = Conditions(random).text()
        if not 0 < len(text) <= 1024:
            continue
        made = compiled(
            {"name": "X", "condition": text, **config_of(random)}, budgets=BUDGETS, root=random.random() < 0.2
        )
        counts["refused" if made.faults else "taken"] += 1
        for fault in (*made.faults, *made.warnings):
            assert fault.problem and (fault.at is None or 0 <= fault.at <= len(text)), (text, fault)
        assert made.rules or made.faults, text
        for rule in made.rules:
            assert isinstance(promql_parser.parse(rule.expr), promql_parser.Expr)
        groups[str(number)] = made.rules
    assert counts["taken"] > BATCH / 10 and counts["refused"] > BATCH / 10, counts
    with TemporaryDirectory() as folder:
        assert not (said := refused(rule_file(groups), Path(folder))), said[:4000]
    print(dict(counts))


@THRIFT
@given(st.integers(0, 2**32))
def test_promql_that_is_taken_is_taken_by_promtool_and_kept_to_its_namespace(seed: int) -> None:
    random, counts = Random(seed), Counter[str]()
    groups: dict[str, tuple[AlertRule, ...]] = {}
    for number in range(BATCH):
        text = PromQL(random).text()
        for matcher in (SHOP, None):
            raw = confine(text, matcher)
            counts["refused" if raw.problem else "taken"] += 1
            if raw.problem is not None:
                assert 0 <= raw.problem.at <= len(text), (text, raw.problem)
                continue
            assert verify(raw.text, matcher, raw.selectors) == "", (text, raw.text)
            groups[f"{number}{matcher}"] = (AlertRule("X", raw.text),)
    assert counts["taken"] > BATCH / 5 and counts["refused"] > BATCH / 5, counts
    with TemporaryDirectory() as folder:
        assert not (said := refused(rule_file(groups), Path(folder))), said[:4000]
    print(dict(counts))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_either_taken_or_refused_with_a_place(text: str) -> None:
    raw = confine(text, SHOP)
    assert raw.problem is None or (0 <= raw.problem.at <= len(text) and raw.problem.problem)
    if text:
        made = compiled({"name": "X", "condition": text})
        assert made.rules or all(fault.at is not None and 0 <= fault.at <= len(text) for fault in made.faults)


def test_promql_that_joins_too_often_is_refused_before_another_parser_reads_it() -> None:
    """That one makes a tree as deep as there are joins, and looks at each part of it again and again."""
    for sign in ("+", "or", "> bool"):
        text = f" {sign} ".join(["up"] * 65)
        raw = confine(text, SHOP)
        assert raw.problem is None and raw.operations == 64 and not verify(raw.text, SHOP, 65), sign
        raw = confine(f"{text} {sign} up", SHOP)
        assert raw.problem is not None and raw.problem.problem == "joins more than 64 times", sign
    for text in ("+".join(["a"] * 2000), f"a{'*2' * 1500}"):
        assert confine(text, SHOP).problem is not None, text


def test_every_selector_is_found_whatever_it_is_in() -> None:
    inside = 'x{y="z"}'
    for text in (
        f"topk(scalar({inside}), {inside}) + -({inside})",
        f"sum(rate({inside}[5m])) by (a) > max_over_time(rate({inside}[5m])[1h:1m] offset 1m)",
        f'label_replace({inside}, "a", "$1", "b", "(.*)") unless on (c) count_values("v", {inside})',
        f"clamp({inside}, 1, scalar({inside})) and vector(1) > pi()",
    ):
        count = text.count(inside)
        raw = confine(text, SHOP)
        assert raw.selectors == count and not verify(raw.text, SHOP, count), text
        half = raw.text.replace('namespace="shop",', "", 1)
        assert "would not be kept" in verify(half, SHOP, count) and "were seen" in verify(raw.text, SHOP, count + 1)


def test_what_parsers_read_in_two_ways_is_refused() -> None:
    for text in ("x > 0e3", "x > 05E-3", "x > 010", "x{a='\\\"'}", "x # y", "x{a=`b`}", "x @ 5", '{"a.b"}', "by > 1"):
        assert confine(text, SHOP).problem is not None, text
    for text in ('x{a=~"^*b"}', 'x{a!~"^*$"}', "x > 0.5", "x > 0", "x > 0x1f"):
        raw = confine(text, SHOP)
        assert raw.problem is None and not verify(raw.text, SHOP, raw.selectors), text
