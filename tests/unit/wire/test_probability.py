"""What a tracestate says about probability is read and written as OpenTelemetry has it; all else in it stays."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import otlp_requests

NEVER = 1 << 56


@pytest.mark.parametrize(
    ("tracestate", "threshold", "randomness"),
    [
        ("", None, None),
        ("ot=th:c", 0xC << 52, None),
        ("ot=th:0", 0, None),
        ("ot=rv:00000000000001;th:ffffffffffffff", NEVER - 1, 1),
        ("a=1, ot=th:8;x:y ,b=2", 8 << 52, None),
        ("ot=th:", None, None),
        ("ot=th:C", None, None),
        ("ot=th:123456789abcdef", None, None),
        ("ot=rv:1234;th:0800", 8 << 48, None),
        ("ot=rv:0123456789ABCD", None, None),
        ("xot=th:c,o=th:c,ott=th:c", None, None),
        ("th:c", None, None),
    ],
)
def test_it_reads(sampling: SimpleNamespace, tracestate: str, threshold: int | None, randomness: int | None) -> None:
    assert sampling.probability.Tracestate().parse(tracestate.encode()) == (threshold, randomness)


@pytest.mark.parametrize(
    ("before", "threshold", "after"),
    [
        ("", 0, "ot=th:0"),
        ("", 0xC << 52, "ot=th:c"),
        ("", 1, "ot=th:00000000000001"),
        ("", NEVER - 1, "ot=th:ffffffffffffff"),
        ("ot=th:8", 0xC << 52, "ot=th:c"),
        ("ot=th:c", 8 << 52, "ot=th:c"),
        ("ot=th:c", 0, "ot=th:c"),
        ("ot=rv:00000000000001", 8 << 52, "ot=th:8;rv:00000000000001"),
        ("a=1,b=2", 8 << 52, "ot=th:8,a=1,b=2"),
        ("a=1,ot=x:y;th:bad!;rv:00000000000001,b=2", 8 << 52, "ot=th:8;x:y;rv:00000000000001,a=1,b=2"),
        ("a=1, ot=x:y", 8 << 52, "ot=th:8;x:y,a=1"),
        ("ot=,a=1", 8 << 52, "ot=th:8,a=1"),
    ],
)
def test_a_threshold_is_set_and_never_lowered(
    sampling: SimpleNamespace, before: str, threshold: int, after: str
) -> None:
    assert sampling.probability.Tracestate().at(before.encode(), threshold).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("ot=th:8", ""),
        ("a=1,ot=th:8", "a=1"),
        ("ot=th:8,a=1", "a=1"),
        ("a=1,ot=th:8,b=2", "a=1,b=2"),
        ("a=1,ot=rv:00000000000001;th:8;x:y,b=2", "ot=rv:00000000000001;x:y,a=1,b=2"),
        ("a=1,ot=rv:00000000000001", "a=1,ot=rv:00000000000001"),
    ],
)
def test_a_threshold_is_erased(sampling: SimpleNamespace, before: str, after: str) -> None:
    assert sampling.probability.Tracestate().erased(before.encode()).decode() == after


def test_what_has_no_room_stays_as_it_is(sampling: SimpleNamespace) -> None:
    tracestate = sampling.probability.Tracestate()
    for full in (
        b"ot=x:" + b"y" * 250,
        b",".join(b"k%d=v" % number for number in range(32)),
        b"a=" + b"v" * 500,
        b"ot=th:8," + b"v" * 5000,
    ):
        assert tracestate.at(full, 0xC << 52) == full
    assert tracestate.at(b",".join(b"k%d=v" % number for number in range(31)), 0).startswith(b"ot=th:0,k0=v")


WORDS = st.sampled_from(
    ["ot", "a", "th", "rv", "=", ":", ";", ",", " ", "8", "c", "00000000000001", "th:8", "ot=", "ß"]
)


@settings(otlp_requests.property_test, max_examples=300)
@given(words=st.lists(WORDS, max_size=30), threshold=st.integers(0, NEVER - 1))
def test_others_stay_byte_for_byte(sampling: SimpleNamespace, words: list[str], threshold: int) -> None:
    tracestate = sampling.probability.Tracestate()
    before = "".join(words).encode()
    known, randomness = tracestate.parse(before)
    after = tracestate.at(before, threshold)
    assert tracestate.parse(after) == (max(threshold, known or 0), randomness)
    gone = tracestate.erased(after)
    assert tracestate.parse(gone) == (None, randomness)

    def others(text: bytes) -> list[bytes]:
        return [part for part in text.split(b",") if part and not part.strip(b" \t").startswith(b"ot=")]

    assert others(after) == others(before) == others(gone)


@given(probability=st.floats(0, 1))
@settings(otlp_requests.property_test)
def test_a_threshold_is_a_probability(sampling: SimpleNamespace, probability: float) -> None:
    module = sampling.probability
    assert module.threshold(1) == 0 and module.threshold(0) == NEVER
    assert abs(module.probability(module.threshold(probability)) - probability) <= 2**-56
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must be from 0 to 1"):
            module.threshold(wrong)
