"""What a backend's refusals teach about the size of its requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.size import KEEP, KEEP_DOUBTFUL, SizeLimit


def test_nothing_is_known_at_first() -> None:
    size = SizeLimit()
    size.taken(5000)
    assert size.most(0) is None


def test_named_limit_is_believed() -> None:
    size = SizeLimit()
    size.refused(5_000_000, 0, certain=True, named=4_194_304)
    assert size.most(1) == 4_194_304


def test_absurd_named_limit_is_not() -> None:
    size = SizeLimit()
    size.refused(1000, 0, certain=True, named=2000)
    assert size.most(1) == 500


def test_what_is_known_is_forgotten() -> None:
    size = SizeLimit()
    size.refused(1000, 0, certain=True)
    assert size.most(KEEP - 1) == 500
    assert size.most(KEEP) is None
    size.refused(1000, KEEP, certain=False)
    assert size.most(KEEP + KEEP_DOUBTFUL) is None


def test_larger_request_that_is_taken_ends_it() -> None:
    size = SizeLimit()
    size.refused(1000, 0, certain=True)
    size.taken(1000)
    assert size.most(1) is None


def test_limit_that_came_down_is_found_again() -> None:
    size = SizeLimit()
    size.taken(1000)
    size.refused(800, 0, certain=True)
    assert size.most(1) == 400


@given(st.integers(2, 1 << 26), st.integers(1, 1 << 26))
def test_limit_is_found_within_a_quarter_in_few_steps(limit: int, first: int) -> None:
    size, refusals, wanted = SizeLimit(), 0, first
    for _ in range(60):
        if wanted > limit:
            size.refused(wanted, 0, certain=True)
            refusals += 1
        else:
            size.taken(wanted)
        most = size.most(0)
        wanted = first if most is None else min(first, most)
    assert wanted <= limit
    assert wanted == first or 4 * wanted >= 3 * min(limit, first) - 4
    assert refusals <= max(1, (first // limit).bit_length()) + 3
