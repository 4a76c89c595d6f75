"""Dividing a target among the sidecars of a group, as they come, report and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plain_division import divide
from tracekeeper_operator.control.groups import LINGER, MOST_KEYS, Group
from tracekeeper_spec.sampling import Adaptive as Limits
from tracekeeper_spec.sampling_share import LEAST, MOST_RATE

LIMITS = Limits(target_traces_per_second=1000.0, min_probability=0.01)
Rates = Mapping[str, float]


def group_of(reports: Mapping[str, Rates], limits: Limits = LIMITS) -> Group:
    group = Group(limits)
    for pod, rates in reports.items():
        group.join(pod)
        group.report(pod, rates.items())
    group.divide(0.0)
    return group


def tell(group: Group, most: int = 1000) -> dict[str, float]:
    """Tell everybody whom to tell is due; their parts."""
    return {pod: group.answer(pod).traces_per_second for pod in group.due(most)}


def test_parts_are_those_of_the_whole_division() -> None:
    reports = {"a": {"loud": 9000.0, "quiet": 30.0}, "b": {"loud": 1000.0, "other": 20.0}, "new": {}}
    group = group_of(reports)
    expected = divide(LIMITS, reports)
    assert tell(group) == pytest.approx(expected.parts)
    assert group.floor == pytest.approx(0.9 * expected.floor)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "break", "report", "report", "divide", "tell"]),
            st.sampled_from("abcdef"),
            st.dictionaries(st.sampled_from(["x", "y", "z", ""]), st.floats(0.0, 1e9), max_size=4),
        ),
        max_size=60,
    )
)
@example([("join", "a", {}), ("join", "b", {}), ("report", "b", {"x": 1.0}), ("report", "b", {"x": 2e-44})])
@example(
    [
        ("join", "a", {}),
        ("join", "b", {}),
        ("report", "a", {"x": 1e6}),
        ("report", "b", {"x": 1e-6}),
        ("leave", "a", {}),
    ]
)
def test_sums_stay_right_whatever_happens(steps: list[tuple[str, str, dict[str, float]]]) -> None:
    """In the end parts are as if all that count had just come with their last reports."""
    group, now, reports, gone = Group(LIMITS), 0.0, dict[str, dict[str, float]](), dict[str, float]()
    for what, pod, rates in steps:
        now += 1.0
        if what == "join":
            group.join(pod)
            reports.setdefault(pod, {})
            gone.pop(pod, None)
        elif what == "leave":
            group.leave(pod, now, for_good=True)
            reports.pop(pod, None)
            gone.pop(pod, None)
        elif what == "break" and pod in reports:
            group.leave(pod, now, for_good=False)
            gone[pod] = now + LINGER
        elif what == "report" and pod in reports and pod not in gone:
            group.report(pod, rates.items())
            reports[pod] = rates
        elif what == "divide":
            group.divide(now)
            for late in [pod for pod, until in gone.items() if until <= now]:
                del gone[late], reports[late]
        elif what == "tell":
            tell(group)
    group.divide(now)
    for late in [pod for pod, until in gone.items() if until <= now]:
        del reports[late]
    expected = divide(LIMITS, reports).parts
    assert len(group) == len(expected)
    assert {pod: group.answer(pod).traces_per_second for pod in reports} == pytest.approx(expected, rel=1e-6)


def test_whoever_has_come_or_reported_is_told_at_once_and_the_others_when_much_has_moved() -> None:
    group = group_of({f"pod-{each}": {"loud": 1000.0} for each in range(100)})
    assert len(tell(group)) == 100
    assert group.due(1000) == []
    group.report("pod-7", [("loud", 1010.0)])
    group.divide(1.0)
    assert group.due(1000) == ["pod-7"], "one that has hardly changed is nobody else's matter"
    tell(group)
    for each in range(50):
        group.report(f"pod-{each}", [("loud", 3000.0)])
    group.divide(2.0)
    first = group.due(10)
    assert set(first[:50]) == {f"pod-{each}" for each in range(50)}
    assert len(first) == 60, "those that have reported, and as many of the others as may be told now"
    for pod in first:
        group.answer(pod)
    assert len(group.due(1000)) == 40


def test_while_nobody_is_limited_nobody_is_told_of_others() -> None:
    group = group_of({f"pod-{each}": {"quiet": 1.0} for each in range(100)})
    tell(group)
    for each in range(50):
        group.report(f"pod-{each}", [("quiet", 3.0)])
    group.divide(1.0)
    assert len(group.due(1000)) == 50


def test_a_broken_stream_keeps_its_part_for_a_while_and_whoever_comes_back_has_it_still() -> None:
    group = group_of({"a": {"loud": 5000.0}, "b": {"loud": 5000.0}})
    before = tell(group)
    group.leave("a", 10.0, for_good=False)
    group.divide(10.0 + LINGER / 2)
    assert group.answer("b").traces_per_second == pytest.approx(before["b"])
    group.join("a")
    group.divide(10.0 + 2 * LINGER)
    assert group.answer("a").traces_per_second == pytest.approx(before["a"])
    group.leave("a", 100.0, for_good=False)
    group.divide(100.0 + LINGER)
    assert tell(group) == {"b": pytest.approx(1000.0)}
    assert len(group) == 1


def test_the_floor_rests_while_the_load_does_and_follows_when_it_does_not() -> None:
    group = group_of({"a": {"loud": 5000.0}, "b": {"loud": 5000.0}})
    floor = group.floor
    assert floor == pytest.approx(0.9 * 0.095)
    for second, rate in enumerate((5100.0, 4700.0, 5200.0)):
        group.report("a", [("loud", rate)])
        group.divide(float(second))
        assert group.floor == floor
    group.report("a", [("loud", 45_000.0)])
    group.divide(10.0)
    assert group.floor == pytest.approx(0.9 * 0.019)
    assert set(group.due(1000)) == {"a", "b"}
    group.report("a", [("loud", 1.0)])
    group.report("b", [("loud", 1.0)])
    group.divide(11.0)
    assert group.floor == 1.0


def test_one_that_is_alone_has_the_whole_target_and_nobody_to_agree_with() -> None:
    group = group_of({"a": {"loud": 5000.0}})
    assert tell(group) == {"a": pytest.approx(1000.0)}
    assert group.floor == LIMITS.min_probability


def test_another_target_is_told_to_all() -> None:
    group = group_of({"a": {"loud": 5000.0}, "b": {"loud": 5000.0}})
    tell(group)
    group.configure(replace(LIMITS, target_traces_per_second=100.0))
    group.divide(1.0)
    assert tell(group) == {"a": pytest.approx(50.0), "b": pytest.approx(50.0)}


def test_the_keys_of_a_group_are_bounded_and_the_rest_is_taken_together() -> None:
    group = Group(replace(LIMITS, target_traces_per_second=1e6))
    for pod in range(10):
        group.join(f"pod-{pod}")
        group.report(f"pod-{pod}", [(f"key-{pod}-{each}", 1.0) for each in range(500)])
    group.divide(0.0)
    assert len(group._numbers) == MOST_KEYS + 1
    assert sum(tell(group).values()) == pytest.approx(1e6)
    for pod in range(10):
        group.leave(f"pod-{pod}", 1.0, for_good=True)
    assert len(group._numbers) == 0
    group.join("later")
    group.report("later", [(f"other-{each}", 1.0) for each in range(501)])
    assert len(group._names) <= MOST_KEYS + 1, "numbers are given out anew"


@pytest.mark.parametrize("rate", [nan, inf, -5.0])
def test_rates_that_are_none_count_as_nothing(rate: float) -> None:
    group = group_of({"a": {"loud": rate}, "b": {"loud": 5000.0}})
    assert tell(group)["a"] == pytest.approx(LEAST * 500.0)


def test_a_rate_beyond_belief_counts_as_the_highest_one_and_leaves_nothing_behind() -> None:
    group = group_of({"a": {"loud": 1e300}, "b": {"loud": MOST_RATE}})
    assert tell(group) == pytest.approx({"a": 500.0, "b": 500.0})
    group.report("a", [("loud", 10.0)])
    group.report("b", [("loud", 10.0)])
    group.divide(1.0)
    assert tell(group) == pytest.approx({"a": 500.0, "b": 500.0})


def test_no_more_is_granted_than_an_earlier_sampler_has_left() -> None:
    """Traces of `thin` stand for forty each: they ask for as much as they are, and are as probable as what they stand
    for."""
    group = group_of({"a": {"thin": 8000.0}, "b": {"full": 8000.0}})
    assert tell(group) == pytest.approx({"a": 500.0, "b": 500.0})
    group.report("a", [("thin", 8000.0)], {"thin": 200.0})
    group.divide(1.0)
    least = LEAST * 500.0
    assert tell(group) == pytest.approx({"a": least + 200.0, "b": least + 750.0})
    assert group.floor == pytest.approx(0.9 * 750.0 / 8000.0)
    group.report("a", [("thin", 8000.0)], {"thin": 800.0})
    group.divide(2.0)
    assert tell(group)["a"] == pytest.approx(500.0)
    assert group.floor == pytest.approx(0.9 * 475.0 / 8000.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.dictionaries(st.sampled_from(["x", "y", ""]), st.floats(0.0, 1e9), max_size=3),
            st.dictionaries(st.sampled_from(["x", "y", ""]), st.floats(0.0, 1e9), max_size=3),
        ),
        max_size=30,
    )
)
def test_what_was_taken_out_is_summed_as_rates_are(steps: list[tuple[str, Rates, Rates]]) -> None:
    group, last = Group(LIMITS), dict[str, tuple[Rates, Rates]]()
    for pod, rates, coming in steps:
        group.join(pod)
        group.report(pod, rates.items(), coming)
        last[pod] = rates, coming
    fresh = Group(LIMITS)
    for pod, (rates, coming) in last.items():
        fresh.join(pod)
        fresh.report(pod, rates.items(), coming)
    group.divide(0.0)
    fresh.divide(0.0)
    for pod in last:
        now, new = group.answer(pod), fresh.answer(pod)
        # Keys are summed in the order in which they came: alike but for the last digit.
        assert now.traces_per_second == pytest.approx(new.traces_per_second)
        assert now.floor == pytest.approx(new.floor)
        assert now.sidecars == new.sidecars
    assert sum(fresh.answer(pod).traces_per_second for pod in last) <= 1000.0 * (1.0 + 1e-6)
