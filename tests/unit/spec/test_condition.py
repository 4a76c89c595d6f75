"""The condition language: what is refused, where, and with which advice; and programs of what is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.condition import Code, ConditionError, compile_condition, find_problems
from tracekeeper_spec.condition.names import SPAN_SCOPES
from tracekeeper_spec.condition.tokens import Kind, tokens
from tracekeeper_spec.manifest import load_manifest

PAGE = Path(__file__).parents[3] / "docs/reference/condition-language.md"

FAULTS = [
    ("", "at character 1: a value is missing here; the condition ends"),
    ("span.durations > 1s", "at character 6: span has no field durations (did you mean span.duration?)"),
    ("span.tenant == 1", 'at character 6: span has no field tenant (attributes are span.attributes["tenant"])'),
    ("spam.name == 'x'", "at character 1: there is no spam (did you mean span?; texts are in quotes)"),
    ("duration > 1s", "at character 1: there is no duration by itself (did you mean span.duration?)"),
    ("span == 'x'", "at character 1: which field of span? (span.duration, for example)"),
    ("resource == 'x'", "at character 1: which field of resource?"),
    ("trace.status == 'ok'", "at character 1: trace is not for here: it is about whole traces"),
    ("span.name", "at character 6: is a text, and a condition is wanted (compare it with something)"),
    ("span.name == foo", "at character 14: there is no foo"),
    ("span.name == 'x' && span.nme == 'y'", "at character 26: span has no field nme (did you mean span.name?)"),
    ("span.duration > 5", "at character 15: compares a duration with a number, which is never true (durations have"),
    ("span.duration > 1.5s", "at character 17: 1.5s is neither a number nor a duration"),
    ("span.duration > 10 s", "at character 20: the condition should end here, or go on with && or ||; found s"),
    ("span.duration > 99999999999h", "at character 17: is too large a number"),
    ("span.name == 1", "at character 11: compares a text with a number"),
    ("span.is_root < true", "at character 14: < does not go with true and false (write == or !=)"),
    ("span.attributes['x'] > 10s", "at character 22: compares an attribute with a duration"),
    ("span.status == 'err'", 'at character 13: is never \'err\' (did you mean "error"?)'),
    ("span.kind == 'SERVER'", 'at character 11: is never \'SERVER\' (did you mean "server"?)'),
    ("span.kind in ['servr']", 'at character 15: is never \'servr\' (did you mean "server"?)'),
    ("span.kind < 'server'", "at character 11: < does not go with it (its values are unspecified, internal"),
    ("span.attributes == 1", "at character 6: which of the attributes?"),
    ("span.attributes.gen_ai.agent == 'x'", 'at character 24: attributes have nothing below them (names with dots'),
    ("span.attributes[1] == 1", "at character 17: the name of an attribute is wanted here, in quotes"),
    ("span.name.first == 'x'", "at character 11: there is nothing below this"),
    ("1 in span.attributes", "at character 1: the name of an attribute is wanted here"),
    ("span.name in span.name", "at character 19: is a text, and behind in there must be a list"),
    ("1s in span.attributes.x", "at character 1: a list never holds durations"),
    ("span.name in []", "at character 14: the list is empty, so this is never true"),
    ("span.name in [span.name]", "at character 20: a list holds only fixed texts, numbers and durations"),
    ("[1] == [1]", "at character 1: a list stands only behind in"),
    ("['a']", "at character 1: a list alone is no condition"),
    ("(1 == 1) == true", "at character 4: is a condition, and a value is wanted (leave == true out"),
    ("span.duration + 5 > 1s", "at character 15: + does not go with a duration and a number"),
    ("span.name + 'x' == 'y'", "at character 11: + does not go with a text and a text"),
    ("1 + 1", "at character 3: is a sum, and a condition is wanted"),
    ("-span.name == 'x'", "at character 1: - does not go with a text"),
    ("span.name.matches('a(')", "at character 19: the pattern has a ( that is never closed"),
    ("span.name.matches(span.name)", "at character 24: the pattern must be a fixed text"),
    ("span.name.startWith('a')", "at character 11: there is no function startWith (did you mean startsWith()?)"),
    ("startsWith(span.name, 'a')", "at character 1: startsWith comes after a text, and takes one"),
    ("span.duration.contains('a')", "at character 6: is a duration, and contains is for texts"),
    ("has(span.name)", 'at character 1: has() is not part of this language (write "key" in span.attributes)'),
    ("size(span.duration) > 1", "at character 11: is a duration, which has no size"),
    ("size() > 1", "at character 1: size takes one text or attribute"),
    ("span.is_root ? true : false", "at character 14: ? is not part of this language (there is no ?: choice"),
    ("1 * 2 == 2", "at character 3: * is not part of this language"),
    (
        "span.duration / 0 > 1s",
        "at character 15: / is not part of this language (there is no division; work the number out)",
    ),
    ("span.name = 'x'", "at character 11: '=' means nothing here (write == to compare)"),
    ("span.is_root and true", "at character 14: and is not an operator (write &&)"),
    ("not span.is_root", "at character 1: not is not an operator (write !)"),
    ("span.attributes.x == null", "at character 22: there is no null"),
    ("span.name == 'x", "at character 14: the text that begins here has no end: a ' is missing"),
    (r"span.name == '\d'", "at character 15: \\d is no escape"),
    ("(span.is_root", "at character 14: ) is missing here; the condition ends"),
    ("span.", "at character 6: the name of a field or function is missing after the dot; the condition ends"),
    ("1 < 2 < 3", "at character 3: is a condition, and a value is wanted"),
    ("!" * 40 + "true", "is nested more than 32 deep"),
    ("(" * 40 + "true", "is nested more than 32 deep"),
    ("span.name in [" + "1," * 70 + "1]", "a list has at most 64 items here"),
    ("true || " * 200 + "true", "the condition has more than 1024 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_what_is_wrong_is_told_with_its_place(text: str, words: str) -> None:
    (problem,) = find_problems(text)
    assert words in str(problem)
    with pytest.raises(ConditionError, match=re.escape(words.partition(" (")[0])):
        compile_condition(text)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = "foo == 1 && (span.durations > 1s || !(span.kind == 'x'))"
    assert [problem.at for problem in find_problems(text)] == [0, 18, 48]


def test_a_fault_in_a_manifest_has_its_line_and_its_character() -> None:
    manifest = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {name: a}
spec:
  backends: [{name: a, type: OTLP, otlp: {protocol: GRPC, endpoint: "http://a:1"}}]
  delivery:
    - name: a
      backends: [a]
      match: span.durations > 1s && span.nme == "x"
"""
    _, faults = load_manifest(manifest, "x.yaml")
    assert [fault.located() for fault in faults] == [
        "x.yaml:9: spec.delivery[0].match: at character 6: span has no field durations (did you mean span.duration?)",
        "x.yaml:9: spec.delivery[0].match: at character 29: span has no field nme (did you mean span.name?)",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100ms", 100_000_000),
        ("1h30m5s2ms", 5_405_002_000_000),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (r'"a\"\n\x41\u00e9\U0001F642"', 'a"\nAé🙂'),
        (r"r'\d'", r"\d"),
    ],
)
def test_values_are_read_as_written(text: str, value: object) -> None:
    first, end = tokens(text)
    assert (first.value, first.text, end.kind) == (value, text, Kind.END)


def test_precedence_is_that_of_cel() -> None:
    flat = "span.is_root || span.name == 'a' && !span.is_root || 1 + 2 - 3 < 4"
    deep = "(span.is_root || ((span.name == 'a') && (!(span.is_root)))) || (((1 + 2) - 3) < 4)"
    assert compile_condition(flat).instructions == compile_condition(deep).instructions


def test_equal_values_and_names_share_a_cell() -> None:
    code = compile_condition("span.attributes.a == 'x' || span.attributes['a'] == 'x' || span.attributes.a == 'y'")
    assert len(code.slots) == 1 and len(code.constants) == 2


@given(st.text(max_size=60) | st.lists(st.sampled_from([*"()[]!-+.,'\"<>=&|?", "span", ".name", "in", "1", "5s", " "]),
                                       max_size=25).map("".join))  # fmt: skip
def test_no_text_makes_it_raise(text: str) -> None:
    found = find_problems(text)
    assert all(0 <= problem.at <= len(text) and problem.problem for problem in found)
    if not found:
        assert isinstance(compile_condition(text), Code)


def test_the_largest_conditions_fit() -> None:
    texts = " || ".join(f"span.attributes.a{number}=='{number}'" for number in range(35))
    assert not find_problems(texts)
    assert not find_problems("span.attributes.a in [" + ",".join(str(number) for number in range(64)) + "]")
    many = " || ".join(f"span.name.matches('{letter}')" for letter in "abcdefghijklmnopq")
    assert "too large" in str(find_problems(many)[0])


def test_patterns_that_are_too_large_are_looked_at_once_only() -> None:
    """Else a config could keep a webhook busy for as long as its author likes."""
    text = " || ".join(f"span.name.matches('{letter}.{{60}}y')" for letter in "abcdefgh")
    first, *others = find_problems(text)
    assert "the pattern is too large" in first.problem
    assert {problem.problem for problem in others} == {"the patterns of this condition are too large together"}


def test_the_page_names_every_field_and_its_examples_compile() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for scope, found in SPAN_SCOPES.items():
        for name, member in found.members.items():
            row = next(line for line in text.splitlines() if line.startswith(f"| `{scope}.{name}`"))
            assert all(f'`"{value}"`' in row for value in member.values)
    examples = text.split("```")[1].strip().splitlines()
    assert len(examples) == 4
    assert [find_problems(example) for example in examples] == [[]] * 4
    for line in re.findall(r"^spec\.delivery\[0\]\.match: (.*)$", text, re.MULTILINE):
        assert line in {str(problem) for faulty, _ in FAULTS for problem in find_problems(faulty)}
