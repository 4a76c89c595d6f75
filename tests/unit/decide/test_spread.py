"""What others are to keep is told once, in bounded batches, and not when it is too old or too much."""

from __future__ import annotations

from tracekeeper_sidecar.decide.spread import BATCH, MOMENT, MOST, OLD, Spread

NAMES = {1: "errors", 30: "max-spans"}


class Rig:
    def __init__(self) -> None:
        self.time, self.woken = 1000.0, 0
        self.spread = Spread(NAMES.__getitem__, lambda: self.time)
        self.spread.call_when_kept(self.wake)

    def wake(self) -> None:
        self.woken += 1

    def add(self, count: int, rule: int = 1, threshold: int = 0, *, erase: bool = False) -> None:
        for number in range(count):
            self.spread.add(number.to_bytes(16), rule, threshold, erase)


def test_traces_kept_for_the_same_reason_go_together_and_once() -> None:
    rig = Rig()
    rig.add(3)
    rig.add(1, threshold=8 << 52)
    rig.add(2, rule=30, erase=True)
    first, second, third = rig.spread.take()
    assert (first.rule, first.threshold, first.erase, first.decided, first.traces) == ("errors", 0, False, 1000.0, 3)
    assert first.ids == b"".join(number.to_bytes(16) for number in range(3))
    assert (second.threshold, second.traces) == (8 << 52, 1)
    assert (third.rule, third.erase, third.traces) == ("max-spans", True, 2)
    assert (rig.spread.take(), rig.spread.told, rig.spread.dropped) == ([], 6, 0)


def test_whoever_fetches_is_woken_when_something_waits_and_nothing_did() -> None:
    rig = Rig()
    rig.add(5)
    assert rig.woken == 1
    rig.spread.take()
    rig.add(2)
    assert rig.woken == 2


def test_batches_are_bounded_in_number_and_in_time() -> None:
    rig = Rig()
    rig.add(BATCH + 1)
    rig.time += MOMENT * 1.1
    rig.add(1)
    assert [(batch.traces, batch.decided) for batch in rig.spread.take()] == [
        (BATCH, 1000.0), (1, 1000.0), (1, 1000.0 + MOMENT * 1.1),
    ]  # fmt: skip


def test_what_is_too_much_is_dropped_the_oldest_first() -> None:
    rig = Rig()
    rig.add(1)
    rig.time += MOMENT * 2
    rig.add(MOST)
    batches = rig.spread.take()
    assert sum(batch.traces for batch in batches) == MOST and batches[0].decided > 1000.0
    assert (rig.spread.told, rig.spread.dropped) == (MOST, 1)


def test_what_nobody_fetched_for_long_is_dropped() -> None:
    rig = Rig()
    rig.add(4)
    rig.time += OLD + 1.0
    rig.add(2)
    assert [batch.traces for batch in rig.spread.take()] == [2]
    assert (rig.spread.told, rig.spread.dropped) == (2, 4)
