"""What an entry has settled, against a model that keeps every span's number in a set."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.settled import Settled, step, trimmed
from tracekeeper_sidecar.model import Batch, Frame, Position


def place(seq: int) -> Position:
    """Where frame number `seq` would be, were every span a frame of ten bytes, and a segment a hundred of them."""
    return Position(1 + seq // 100, 64 + 10 * (seq % 100), seq)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    """Batches that follow each other from 0 on, in the order in which they are settled, and how many come to be."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=25))
    bounds = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
    batches = list(itertools.pairwise(bounds))
    order = draw(st.permutations(batches))
    return list(order), draw(st.integers(0, len(batches)))


@given(journeys())
@settings(deadline=None)
def test_in_any_order_the_position_passes_what_has_no_gap(journey: tuple[list[tuple[int, int]], int]) -> None:
    batches, count = journey
    settled, model = Settled(place(0)), set[int]()
    for begin, end in batches[:count]:
        assert settled.settle(place(begin), place(end)) == 0
        model |= set(range(begin, end))
        gap = next(seq for seq in range(10_000) if seq not in model)
        assert settled.position == place(gap)
        assert settled.ahead == len(model) - gap
        assert sum(length for _, length in settled.runs()) == settled.ahead
        for probe in (begin, end, gap):
            assert settled.between(probe, probe + 7) == len(model & set(range(probe, probe + 7)))


@given(journeys(), st.integers(0, 2**32))
@settings(deadline=None)
def test_after_a_restart_only_what_was_open_is_read_again(
    journey: tuple[list[tuple[int, int]], int], seed: int
) -> None:
    """Whoever reads from the position on, steps over the runs and settles the rest, sees each open span once."""
    batches, count = journey
    before = Settled(place(0))
    for begin, end in batches[:count]:
        before.settle(place(begin), place(end))
    done = {seq for begin, end in batches[:count] for seq in range(begin, end)}
    last = max(end for _, end in batches)

    after = Settled(before.position, before.runs())
    assert (after.position, after.ahead, after.runs()) == (before.position, before.ahead, before.runs())
    chance = random.Random(seed)
    at, seen, flights = after.position.seq, set[int](), []
    stretches = after.stretches()
    while at < last:
        # The limit of bytes, or the log's end, may end a read anywhere.
        until = min(last, at + chance.randint(1, step(stretches, at, 12)))
        if after.between(at, until) == until - at:
            assert after.settle(place(at), place(until)) == until - at
        else:
            assert after.between(at, until) == 0
            seen |= set(range(at, until))
            flights.append((at, until))
        at = until
    assert seen == set(range(last)) - done
    chance.shuffle(flights)
    for begin, end in flights:
        assert after.settle(place(begin), place(end)) == 0
    assert after.position == place(last)
    assert (after.ahead, after.runs(), after.count()) == (0, (), 0)


def test_damage_across_the_bounds_of_a_run_counts_no_span_twice() -> None:
    settled = Settled(place(0), ((10, 10), (40, 5)))
    assert settled.settle(place(5), place(15)) == 5
    assert settled.settle(place(15), place(42)) == 5 + 2
    assert settled.position == place(0)
    assert settled.runs() == ((5, 40),)
    assert settled.settle(place(0), place(5)) == 0
    assert settled.position == place(42)
    assert settled.runs() == ((0, 3),)
    assert settled.settle(place(42), place(50)) == 3
    assert settled.position == place(50)
    assert settled.ahead == 0


def test_a_batch_is_cut_down_to_what_is_not_settled() -> None:
    """Spans 3 to 5 are lost; 0 to 2, 6 and 7, and 8 and 9 are frames; 4 to 7 are settled."""
    frames = (Frame(0, 3, 0, 2), Frame(6, 2, 2, 3), Frame(8, 2, 5, 1))
    batch = Batch(b"aabbbc", 7, 6, place(0), place(10), lost=3, frames=frames)
    settled = Settled(place(0), ((4, 4),))
    cut = trimmed(batch, settled)
    assert (cut.body, cut.spans, cut.size, cut.lost) == (b"aac", 5, 3, 1)
    assert (cut.begin, cut.end) == (batch.begin, batch.end)
    assert cut.spans + cut.lost == 10 - settled.settle(batch.begin, batch.end)
    assert trimmed(batch, Settled(place(0))) is batch


def test_what_sampling_left_out_of_a_settled_frame_is_not_booked_again() -> None:
    """Spans 0 to 3 are lost; 4 to 9 and 10 to 14 are frames of sampling; 2 to 9 are settled."""
    frames = (Frame(4, 6, 0, 2, {"a": 4}), Frame(10, 5, 2, 1, {"a": 1, "b": 2}, 1))
    batch = Batch(b"aab", 3, 3, place(0), place(15), lost=5, frames=frames, sampled_out={"a": 5, "b": 2})
    settled = Settled(place(0), ((2, 8),))
    cut = trimmed(batch, settled)
    assert (cut.body, cut.spans, cut.lost, cut.sampled_out) == (b"b", 1, 2 + 1, {"a": 1, "b": 2})
    assert cut.spans + cut.lost + sum(cut.sampled_out.values()) == 15 - settled.settle(batch.begin, batch.end)


def test_settling_what_lies_behind_changes_nothing() -> None:
    settled = Settled(place(20))
    assert settled.settle(place(3), place(9)) == 6
    assert settled.settle(place(12), place(25)) == 8
    assert settled.position == place(25)
