"""What other sidecars keep meets what is known here: each trace comes out as what it is, and changes as it should."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

HALF = 8 << 52
NOW = 1_760_000_000_000


class Here:
    """What one sidecar knows."""

    def __init__(self, sampling: SimpleNamespace, most: int = 1000) -> None:
        self.make = sampling.traces.verdict
        self.table = sampling.traces.Traces(seed=1)
        self.remembered = sampling.remembered.Remembered(1000)
        self.told = sampling.told.Told(most)
        self.keep = self.make(3, HALF, keep=True)
        self.drop = self.make(29, HALF, keep=False)

    def decided(self, trace_id: bytes, verdict: int) -> int:
        slot: int = self.table.insert(trace_id, NOW)
        self.table.decide(slot, verdict)
        self.remembered.add(self.table.pack([slot]))
        return slot

    def take(self, *ids: bytes, verdict: int | None = None) -> object:
        return self.told.take(b"".join(ids), verdict or self.keep, self.table, self.remembered)


@pytest.fixture
def here(sampling: SimpleNamespace) -> Here:
    return Here(sampling)


def ids(count: int) -> list[bytes]:
    chance = random.Random(4)
    return [chance.randbytes(16) for _ in range(count)]


def shape(met: object) -> tuple[int, int, bytes, bytes, bytes]:
    return met.unknown, met.kept, met.open_ids, met.overturned, met.passed  # type: ignore[attr-defined]


def test_what_is_not_known_is_remembered_at_the_lowest_threshold(here: Here) -> None:
    first, second, other = ids(3)
    assert not here.told.any
    assert shape(here.take(first, second)) == (2, 0, b"", b"", b"")
    assert here.told.any and here.told.get(first) == here.keep and not here.told.get(other)
    low, high = here.make(5, HALF >> 1, keep=True), here.make(5, HALF << 1, keep=True)
    here.take(first, verdict=low)
    here.take(second, verdict=high)
    assert (here.told.get(first), here.told.get(second)) == (low, here.keep)
    assert not here.remembered.get(first)


def test_each_is_met_as_what_it_is(here: Here) -> None:
    unknown, opened, kept, dropped, gone, gone_kept = ids(6)
    here.table.insert(opened, NOW)
    kept_slot, dropped_slot = here.decided(kept, here.keep), here.decided(dropped, here.drop)
    for trace_id, verdict in ((gone, here.drop), (gone_kept, here.keep)):
        here.table.remove(here.decided(trace_id, verdict))
    told = here.make(7, 0, keep=True)
    packed = told.to_bytes(8)
    assert shape(here.take(unknown, opened, kept, dropped, gone, gone_kept, verdict=told)) == (
        1, 2, opened, dropped + packed + gone + packed, gone + packed,
    )  # fmt: skip
    assert here.table.verdict(kept_slot) == here.keep == here.remembered.get(gone_kept)
    assert here.table.verdict(dropped_slot) == told == here.remembered.get(dropped) == here.remembered.get(gone)
    assert here.table.open == 1
    # Whoever tells it again has nothing changed.
    assert shape(here.take(dropped, gone, verdict=told)) == (0, 2, b"", b"", b"")


def test_a_late_trace_was_left_out_before(here: Here) -> None:
    """Its first spans are gone, whether those that have come since are decided or not."""
    opened, decided = ids(2)
    for trace_id in (opened, decided):
        here.table.remove(here.decided(trace_id, here.drop))
        here.table.insert(trace_id, NOW)
    here.table.follow(here.table.find(decided), here.drop)
    packed = here.keep.to_bytes(8)
    both = opened + packed + decided + packed
    assert shape(here.take(opened, decided)) == (0, 0, b"", both, both)
    assert here.remembered.get(opened) == here.keep and here.table.verdict(here.table.find(opened)) is None


def test_a_trace_of_which_a_part_is_cut_has_passed(sampling: SimpleNamespace, here: Here) -> None:
    from traces_to_sample import request_of, trace

    spans = trace(random.Random(5), 4)
    folder = sampling.fold.Folder(here.table)
    keep = sampling.keep.Keep(here.table, lambda _: 0)
    bodies = [request_of(spans[:2]), request_of(spans[2:])]
    for body in bodies:
        folder.fold(body, NOW)
    trace_id = spans[0].trace_id
    slot = here.table.find(trace_id)
    here.table.decide(slot, here.drop)
    here.remembered.add(here.table.pack([slot]))
    assert keep.cut(bodies[0]).kept == 0
    packed = trace_id + here.keep.to_bytes(8)
    assert shape(here.take(trace_id)) == (0, 0, b"", packed, packed)
    assert keep.cut(bodies[1]).kept == 2
    assert here.table.count == 0


def test_memory_of_what_is_told_has_a_bound(sampling: SimpleNamespace) -> None:
    here = Here(sampling, 600)
    for trace_id in (many := ids(5000)):
        here.take(trace_id)
        assert here.told.memory <= 16 * 2 * 2048
    assert all(here.told.get(trace_id) for trace_id in many[-600:]) and not here.told.get(many[0])


def test_what_cannot_be_is_an_error(here: Here) -> None:
    with pytest.raises(ValueError, match="17 bytes of ids"):
        here.take(bytes(17))
    with pytest.raises(ValueError, match="must keep"):
        here.take(bytes(16), verdict=here.drop)
