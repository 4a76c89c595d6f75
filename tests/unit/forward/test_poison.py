"""Telling a request that a backend cannot digest from a backend that is unwell."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.poison import Blame


def test_nothing_is_proven_while_nothing_else_gets_through() -> None:
    assert not Blame(taken_before=5, failed_before=1, tries=10_000).proven(taken=5, failed=50_000)
    assert not Blame(taken_before=5, failed_before=1, tries=10_000).proven(taken=5, failed=10_000)


def test_a_backend_that_takes_everything_else_proves_it_soon() -> None:
    assert not Blame(0, 1, tries=23).proven(taken=50, failed=23)
    assert Blame(0, 1, tries=24).proven(taken=50, failed=24)


def test_little_other_traffic_takes_more_tries() -> None:
    assert not Blame(0, 1, tries=25).proven(taken=2, failed=29)
    assert Blame(0, 1, tries=50).proven(taken=2, failed=54)


def test_a_few_others_that_were_lucky_prove_nothing() -> None:
    """Nine failures in a row are nothing special at a backend that fails six times in ten."""
    assert not Blame(taken_before=100, failed_before=150, tries=9).proven(taken=103, failed=158)


@given(st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_a_backend_that_fails_at_random_costs_nothing(share: float, seed: int) -> None:
    chance = random.Random(seed)
    blame, taken, failed = Blame(0, 1), 0, 1
    while chance.random() < share:  # the request's own tries, until it gets through
        blame.tries += 1
        failed += 1
        for _ in range(3):  # others, in between
            if chance.random() < share:
                failed += 1
            else:
                taken += 1
        assert not blame.proven(taken, failed)


def test_a_size_is_believed_when_smaller_ones_get_through() -> None:
    assert not Blame(taken_before=4, failed_before=1, tries=100).size_proven(taken=4)
    assert not Blame(taken_before=4, failed_before=1, tries=5).size_proven(taken=9)
    assert Blame(taken_before=4, failed_before=1, tries=6).size_proven(taken=5)
