"""Injection, example by example; `python tests/injection_golden.py` writes the expectations anew."""

from __future__ import annotations

import json

import pytest

import injection_golden


def test_there_are_fixtures() -> None:
    assert len(injection_golden.names()) >= 33


@pytest.mark.parametrize("name", injection_golden.names())
def test_injection_is_as_it_was_agreed(name: str) -> None:
    expected = json.loads(injection_golden.expected(name).read_text())
    assert json.loads(json.dumps(injection_golden.outcome(name))) == expected
