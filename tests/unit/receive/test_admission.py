"""Bytes in flight are bounded, and always given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.receive.admission import Admission, Lease


def test_grows_up_to_the_limit_and_gives_back() -> None:
    admission = Admission(100)
    with admission.lease() as one, admission.lease() as other:
        assert one.grow(60)
        assert other.grow(40)
        assert not other.grow(1)
        assert admission.in_flight == 100
    assert admission.in_flight == 0


def test_a_request_alone_is_admitted_whatever_its_size() -> None:
    admission = Admission(100)
    with admission.lease() as giant, admission.lease() as other:
        assert giant.grow(80)
        assert giant.grow(500)
        assert not other.grow(1)
    with admission.lease() as other:
        assert other.grow(1)


def test_given_back_when_the_request_fails() -> None:
    admission = Admission(10)
    with pytest.raises(KeyError), admission.lease() as lease:
        lease.grow(10)
        raise KeyError("request failed")
    assert admission.in_flight == 0


@property_test
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=40))
def test_never_over_the_limit_but_for_one_alone(steps: list[tuple[int, int]]) -> None:
    admission = Admission(100)
    held: dict[int, tuple[Lease, int]] = {number: (admission.lease(), 0) for number in range(5)}
    for number, size in steps:
        lease, before = held[number]
        if size == 0:
            lease.release()
            held[number] = (lease, 0)
        elif lease.grow(size):
            held[number] = (lease, before + size)
        sizes = [each for _, each in held.values() if each]
        assert admission.in_flight == sum(sizes)
        assert sum(sizes) <= 100 or len(sizes) == 1
