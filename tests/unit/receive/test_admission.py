"""Bytes in flight are bounded, whoever asks for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.receive.admission import Admission


def test_grows_up_to_the_limit_and_gives_back() -> None:
    admission = Admission(100)
    assert admission.reserve(60)
    assert admission.reserve(40)
    assert not admission.reserve(1)
    assert admission.in_flight == 100
    admission.release(60)
    assert admission.reserve(60)


def test_a_request_alone_is_admitted_whatever_its_size() -> None:
    admission = Admission(100)
    assert admission.reserve(80)
    assert admission.reserve(500, 80), "what it holds itself is not in its way"
    assert not admission.reserve(1)
    admission.release(580)
    assert admission.reserve(1)
    assert not admission.reserve(500)


@property_test
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=40))
def test_never_over_the_limit_but_for_one_alone(steps: list[tuple[int, int]]) -> None:
    admission = Admission(100)
    held = dict.fromkeys(range(5), 0)
    for number, size in steps:
        if size == 0:
            admission.release(held[number])
            held[number] = 0
        elif admission.reserve(size, held[number]):
            held[number] += size
        sizes = [each for each in held.values() if each]
        assert admission.in_flight == sum(sizes)
        assert sum(sizes) <= 100 or len(sizes) == 1
