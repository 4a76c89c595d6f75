"""Which config a pod gets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.selector import LabelExpression, Operator, Selector, pick


@dataclass(frozen=True)
class Config:
    name: str
    created: str = ""
    selector: Selector | None = None


AGENTS = Selector({"part-of": "agents"})


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        (Operator.IN, ("a", "b"), {"k": "b"}, True),
        (Operator.IN, ("a", "b"), {"k": "c"}, False),
        (Operator.IN, ("a",), {}, False),
        (Operator.NOT_IN, ("a",), {"k": "a"}, False),
        (Operator.NOT_IN, ("a",), {"k": "b"}, True),
        (Operator.NOT_IN, ("a",), {}, True),
        (Operator.EXISTS, (), {"k": ""}, True),
        (Operator.EXISTS, (), {}, False),
        (Operator.DOES_NOT_EXIST, (), {}, True),
        (Operator.DOES_NOT_EXIST, (), {"k": ""}, False),
    ],
)
def test_expressions(operator: Operator, values: tuple[str, ...], labels: dict[str, str], expected: bool) -> None:
    assert Selector(match_expressions=(LabelExpression("k", operator, values),)).matches(labels) is expected


def test_all_requirements_must_hold() -> None:
    selector = Selector({"a": "1", "b": "2"}, (LabelExpression("c", Operator.EXISTS),))
    assert selector.matches({"a": "1", "b": "2", "c": "", "d": "x"})
    for missing in "abc":
        assert not selector.matches({k: v for k, v in {"a": "1", "b": "2", "c": ""}.items() if k != missing})


def test_a_config_that_selects_beats_an_older_one_that_takes_all() -> None:
    configs = [Config("all", "2020"), Config("empty", "2019", Selector()), Config("agents", "2026", AGENTS)]
    chosen = pick(configs, {"part-of": "agents"}, {})
    assert chosen is not None and chosen.name == "agents"
    chosen = pick(configs, {"part-of": "web"}, {})
    assert chosen is not None and chosen.name == "empty"


def test_the_oldest_wins_then_the_first_by_name() -> None:
    old, new = Config("z", "2026-01-01T00:00:00Z", AGENTS), Config("a", "2026-01-01T00:00:01Z", AGENTS)
    assert pick([new, old], {"part-of": "agents"}, {}) is old
    first, second = Config("a", "2026"), Config("b", "2026")
    assert pick([second, first], {}, {}) is first


def test_no_match_is_none() -> None:
    assert pick([Config("agents", selector=AGENTS)], {}, {}) is None
    assert pick([], {}, {}) is None


NAMES = st.sampled_from(["a", "b", "c"])
SELECTORS = st.none() | st.builds(Selector, st.dictionaries(NAMES, NAMES, max_size=2))


@given(
    st.lists(st.builds(Config, NAMES, st.sampled_from(["1", "2"]), SELECTORS), unique_by=lambda c: c.name),
    st.dictionaries(NAMES, NAMES),
)
def test_the_choice_does_not_depend_on_the_order(configs: list[Config], labels: dict[str, str]) -> None:
    assert (
        pick(configs, labels, {})
        == pick(configs[::-1], labels, {})
        == pick(sorted(configs, key=lambda c: c.name), labels, {})
    )
