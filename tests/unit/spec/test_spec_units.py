"""Durations and quantities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.units import (
    format_duration,
    format_quantity,
    parse_amount,
    parse_duration,
    parse_quantity,
    show,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("10s", 10), ("250ms", 0.25), ("5m", 300), ("1h30m", 5400), ("1h1m1s1ms", 3661.001), ("90m", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1 s", "1.5s", "-1s", "1s1m", "1d", "10S", "100000s", "1s\n", "\u0661s"]
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write one like 500ms, 10s, 5m or 1h30m"):
        parse_duration(text)


@given(st.integers(0, 99_999 * 3_600_000))
def test_a_duration_survives_writing_and_reading(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


def test_a_negative_duration_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("5", 5),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Gi", 3 * 2**29),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1500m", 2),
        ("1Ei", 2**60),
        ("2e-1", 1),
    ],
)
def test_quantities(text: str | int, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1GiB", "-1", "+1", "1e999", ".5", "1.", "1Gi\n", 10**40])
def test_what_is_not_a_quantity(text: str | int) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write one like"):
        parse_quantity(text)


def test_thousandths_of_a_core() -> None:
    assert str(parse_amount("500m")) == "0.500"


@given(st.integers(0, 2**59))
def test_a_quantity_survives_writing_and_reading(size: int) -> None:
    assert parse_quantity(format_quantity(size)) == size


def test_quantities_are_written_in_the_largest_unit_that_divides_them() -> None:
    assert [format_quantity(n) for n in (0, 1, 1024, 2**30, 2**30 + 1024)] == ["0", "1", "1Ki", "1Gi", "1048577Ki"]


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.none())))
def test_values_in_messages_are_short_and_on_one_line(value: object) -> None:
    text = show(value)
    assert text and len(text) <= 64 and "\n" not in text


def test_a_number_of_many_digits_is_not_spelled_out() -> None:
    assert show(10**10_000) == "a number of many digits"
