"""Patterns and names of users, turned into ones for the pass over raw bytes: they match at least where RE2 does."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction_requests import empty, put, slow, wish
from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.redact.superset import superset

pytestmark = pytest.mark.usefixtures("time_enough")

PATTERNS = (
    r"EMP-\d{6}",
    r"(?i)\bproj(?:ekt)?[\s_-]+x\b",
    r"^\s*secret: .+$",
    r"[^\"\\]{3}\"x",
    r"é+z|ß{2}",
    r"(?i)straße\s\d+",
    r"\pL{3}\d\pL{3}",
    r"(?s)a.b.c",
    r"<<[[:alpha:]/\\]{1,10}>>",
    r"(?P<n>ab|cd){2,3}e?",
    r"x{2,100}y",
    r"[\x{1F600}-\x{1F64F}]",
    r"k[aä]s(?-i:S)",
    r"\x41\x{42}\103",
    r"q\W\Sq",
    r"a{3}{",
    r"(?i)[k-s]{4}!",
)


@lru_cache(None)
def engines(pattern: str) -> tuple[Engine, Engine]:
    wanted = wish(patterns=[{"name": "own", "pattern": pattern}], detectors=[], keyPatterns=[])
    return Engine(wanted), slow(wanted)


def test_all_of_these_can_be_turned() -> None:
    assert not [pattern for pattern in PATTERNS if engines(pattern)[0].prefilter.problem]


@pytest.mark.parametrize("pattern", [r"\Qa.b\E", r"a\Cb", r"(?:)\b"])
def test_what_cannot_be_turned_is_said_so(pattern: str) -> None:
    re2.compile(pattern)
    assert superset(pattern) is None


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_the_outcome_is_the_same_with_the_pass_and_without(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    plain = pattern.replace(r"\pL", "[A-Za-zé中]").replace(r"[[:alpha:]/\\]", r"[a-z/\\]").replace(r"\x{42}\103", "BC")
    plain = (
        plain.replace(r"[\x{1F600}-\x{1F64F}]", "[\U0001f600-\U0001f64f]")
        .replace("(?-i:S)", "S")
        .replace("3}{", r"3}\{")
    )
    text = data.draw(st.one_of(st.from_regex(plain), st.text(max_size=20)))
    for _ in range(data.draw(st.integers(0, 2))):
        text = json.dumps({"a": text}, ensure_ascii=data.draw(st.booleans()))
        if data.draw(st.booleans()):
            text = text.replace("/", "\\/")
    request = empty(1)
    text = text.encode("utf-8", "replace").decode()
    put(request, data.draw(st.sampled_from((0, 3, 4, 7, 17))), text)
    fast, slowly = engines(pattern)
    body = request.SerializeToString()
    assert fast.redact(body).body == slowly.redact(body).body


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        (
            "Zoë Krüger",
            "ADA LOVELACE",
            "ada\nlovelace",
            "Müller",
            "mu\u0308ller",
            "O'Neil",
            "Project/X",
            "Кузнецов",
            "kelvin \u017fmith",
        )
    ),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(("", "x", " ", "é", ".", "\u4e2d")),
)
def test_names_are_found_in_any_case_and_writing(name: str, depth: int, ascii_only: bool, beside: str) -> None:
    text = f"{beside}{name}{beside}"
    for _ in range(depth):
        text = json.dumps([text], ensure_ascii=ascii_only)
    request = empty(1)
    put(request, 0, text)
    body = request.SerializeToString()
    fast, slowly = named()
    assert fast.redact(body).body == slowly.redact(body).body
    hidden = b"REDACTED" in fast.redact(body).body
    assert hidden is (not beside.isalnum() and name != "mu\u0308ller")


@lru_cache(None)
def named() -> tuple[Engine, Engine]:
    names = ["zoë krüger", "Ada Lovelace", "MÜLLER", "o'neil", "project/x", "кузнецов", "Kelvin Smith"]
    wanted = wish(names=names, detectors=[], keyPatterns=[])
    return Engine(wanted), slow(wanted)


def test_as_many_and_as_long_names_and_keys_as_there_may_be_are_part_of_the_pass() -> None:
    words = [f"{number:02d} " + "K\u00fcnstler " * 13 for number in range(64)]
    names = [word.strip()[:128] for word in words]
    keys = [word.replace(" ", "_")[:100] for word in words]
    wanted = wish(names=names, keyPatterns=keys)
    engine, slowly = Engine(wanted), slow(wanted)
    assert not engine.prefilter.problem
    made = empty(1)
    put(made, 0, f"see {names[63].upper()}, and {names[0]}!")
    put(made, 5, json.dumps({keys[40]: "hunter2", "x": keys[40][:60]}))
    body = made.SerializeToString()
    assert engine.prefilter.suspect(body).hits
    outcome = engine.redact(body)
    assert outcome.values == {"Names": 2, "Key": 1}
    assert outcome.body == slowly.redact(body).body


def test_a_pattern_too_long_for_the_pass_is_looked_for_by_its_beginning() -> None:
    long = superset(r"\w-" * 100 + "end")
    assert long is not None
    assert len(long) < 2_000
    assert superset(r"(?:" + r"\w-" * 100 + ")end") is None
    assert superset("x*" * 600 + "y") is not None, "what may be nothing is no beginning"
