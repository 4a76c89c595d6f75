"""Where raw bytes may hold long numbers, and addresses of IP version 6."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otlp_requests
from tracekeeper_sidecar.wire import numbers
from tracekeeper_sidecar.wire.numbers import number_ends

NUMBER = re.compile(rb"(?=([0-9](?:[ ./()-]{0,2}[0-9]){8}))")
ADDRESS = re.compile(rb"(?=([0-9a-fA-F]{3}:[0-9a-fA-F]{0,4}:))")
MANY = 1 << 30
numerals = st.text("0123456789 ./()-x", max_size=150).map(str.encode)
spaced = st.lists(
    st.tuples(st.text("0123456789", min_size=1, max_size=3), st.text(" .-(", max_size=3)), max_size=40
).map(lambda pairs: "".join(digits + signs for digits, signs in pairs).encode())
coloned = st.text("01aFg:", max_size=120).map(str.encode)


def ends(pattern: re.Pattern[bytes], data: bytes) -> list[int]:
    """Where the shortest match from each place ends."""
    return sorted({found.end(1) for found in pattern.finditer(data)})


def test_the_module_is_the_compiled_one() -> None:
    assert numbers.__file__.endswith(".so")


def test_every_digit_from_the_ninth_on_is_one() -> None:
    assert number_ends(b"call (030) 1234 56-78 or 12345678 or 0.1.2.3.4.5.6.7.8.9", MANY) == ([18, 20, 21, 54, 56], [])


def test_two_colons_near_each_other_behind_hexadecimal_digits_are_one() -> None:
    assert number_ends(b"fe80::1, 2001:db8:1::2, a:b:c, std::string, abcd:12345:", MANY) == ([], [6, 18, 20])


@otlp_requests.property_test
@given(st.binary(max_size=40), numerals | spaced | coloned, st.binary(max_size=80), st.integers(0, 70))
def test_it_finds_what_the_patterns_find_wherever_it_is(
    before: bytes, inside: bytes, after: bytes, distance: int
) -> None:
    data = b"x" * distance + before + inside + after
    assert number_ends(data, MANY) == (ends(NUMBER, data), ends(ADDRESS, data))


@pytest.mark.parametrize("most", [0, 10, 1000])
@pytest.mark.parametrize("text", [b"4" * 100_000, b"abc:" * 25_000])
def test_it_stops_where_there_are_too_many(text: bytes, most: int) -> None:
    assert most < sum(map(len, number_ends(text, most))) <= most + 64
