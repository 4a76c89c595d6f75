"""Patterns find what Python's own regular expressions find, and refuse what they cannot hold."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracekeeper_spec.condition.pattern import MAX_STATES, PatternError, compile_pattern
from tracekeeper_spec.condition.regex import utf8

ATOMS = st.sampled_from(
    ["a", "b", "ß", "🙂", ".", "[ab]", "[^a]", "[a-cß-ü]", r"\d", r"\w", r"\S", r"\.", "^", "$", "x1"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
TEXTS = st.text(st.sampled_from("aabbß🙂x1.\n é"), max_size=12)


def python(pattern: str, text: str) -> bool:
    """What Python finds; its `$` would also stand before a line break at the end."""
    return re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=8))
@example("$^", ["", "a"])
@example("($|a)^", ["", "a"])
@example("a*$|^b", ["", "ab", "b"])
def test_it_finds_what_python_finds(pattern: str, texts: list[str]) -> None:
    try:
        compiled = compile_pattern(pattern)
    except PatternError as error:
        assert "too large" in str(error)
        return
    assert [compiled.found(text.encode()) for text in texts] == [python(pattern, text) for text in texts]


@pytest.mark.parametrize("text", ["timeout", "TimeOut", "TIMEOUT 5", "zeitÜberschreitung", "ZEITüBERSCHREITUNG"])
def test_in_any_case(text: str) -> None:
    assert compile_pattern("(?i)time[o-p]ut|zeitü").found(text.encode())
    assert not compile_pattern("(?i)^[^t-z]").found(text.encode())


@given(st.integers(0, 0x10FFFF), st.integers(0, 0x10FFFF), st.characters(exclude_categories=["Cs"]))
def test_ranges_of_characters_are_ranges_of_bytes(low: int, high: int, char: str) -> None:
    low, high = min(low, high), max(low, high)
    data = char.encode()
    inside = any(
        len(data) == len(sequence) and all(a <= byte <= b for byte, (a, b) in zip(data, sequence, strict=True))
        for sequence in utf8(low, high)
    )
    assert inside == (low <= ord(char) <= high)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "has a ( that is never closed"),
        (")", "has a ) that closes nothing"),
        ("[a", "has a [ that is never closed"),
        ("*a", "has a * with nothing before it"),
        ("a**", "has **, one too many"),
        ("a{200}", "has the count {200}"),
        ("a{3,2}", "has the count {3,2}"),
        ("a{0}", "has the count {0}"),
        (r"\bword", r"has \b, which is not known"),
        (r"(a)\1", r"has \1, which is not known"),
        ("(?=a)", "has (?=, which is not known"),
        ("a(?i)", "has (?i, which is not known"),
        ("[[:alpha:]]", "has a named class"),
        ("[b-a]", "wrong way round"),
        ("a\\", "ends with a backslash"),
        (r"\xZZ", "has \\x without a code"),
        ("(" * 40, "is nested more than 32 deep"),
        ("x.{50}y", "is too large"),
        ("((a{1,50}){1,50}){1,50}", "is too large"),
    ],
)
def test_what_cannot_be_used_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=re.escape(words)):
        compile_pattern(pattern)


def test_patterns_that_make_others_explode_are_small() -> None:
    compiled = compile_pattern("^(a+)+$")
    assert len(compiled.final) < MAX_STATES / 50
    assert not compiled.found(b"a" * 20_000 + b"b")
