"""Decisions on their way to other sidecars: gathered, without repeats, within bounds."""

from __future__ import annotations

from tracekeeper_operator.control.spread import (
    MOST_BYTES,
    MOST_IDS,
    MOST_WAIT,
    MOST_WAITING,
    SOONEST,
    Repeats,
    Spread,
    gathering,
    rate,
)
from tracekeeper_proto.control.v1 import control_pb2 as pb


def kept(*numbers: int, rule: str = "errors", threshold: int = 0, erase: bool = False, decided: float = 5.0) -> pb.Kept:
    ids = b"".join(number.to_bytes(16, "big") for number in numbers)
    return pb.Kept(rule=rule, threshold=threshold, erase=erase, decided=decided, trace_ids=ids)


def spread(generation: int = 1000) -> Spread:
    return Spread(("config", ""), Repeats(generation))


def told(data: bytes) -> dict[tuple[str, int, bool], list[int]]:
    message = pb.ToSidecar.FromString(data)
    return {
        (each.rule, each.threshold, each.erase): [
            int.from_bytes(each.trace_ids[at : at + 16], "big") for at in range(0, len(each.trace_ids), 16)
        ]
        for each in message.kept.kept
    }


def test_what_is_gathered_goes_out_once_by_reason_in_the_order_in_which_it_came() -> None:
    gathers = spread()
    gathers.add(10.0, kept(1, 2, decided=9.0), 3)
    gathers.add(10.05, kept(7, rule="slow", threshold=1 << 55), 3)
    gathers.add(10.06, kept(3, decided=8.0), 3)
    assert not gathers.due(10.0 + SOONEST / 2, 3)
    assert gathers.due(10.01 + SOONEST, 3)
    data = gathers.take(10.2, 3, 3)
    assert told(data) == {("errors", 0, False): [1, 2, 3], ("slow", 1 << 55, False): [7]}
    assert pb.ToSidecar.FromString(data).kept.kept[0].decided == 8.0
    assert (gathers.waiting, gathers.counts.told) == (0, 4)
    assert not gathers.due(1000.0, 3)


def test_a_repeat_is_left_out_unless_it_says_more() -> None:
    gathers = spread()
    gathers.add(0.0, kept(1, threshold=1 << 55), 2)
    gathers.add(0.0, kept(1, threshold=1 << 55), 2)
    gathers.add(0.0, kept(1, threshold=1 << 54), 2)
    gathers.add(0.0, kept(1, threshold=1 << 55), 2)
    assert gathers.counts.repeated == 2
    assert told(gathers.take(1.0, 2, 2)) == {("errors", 1 << 55, False): [1], ("errors", 1 << 54, False): [1]}
    gathers.add(2.0, kept(1, threshold=1 << 55), 2)
    assert gathers.waiting == 0


def test_the_same_trace_in_another_group_is_no_repeat() -> None:
    repeats = Repeats()
    one, other = Spread("one", repeats), Spread("other", repeats)
    one.add(0.0, kept(1), 2)
    other.add(0.0, kept(1), 2)
    assert (one.waiting, other.waiting) == (1, 1)


def test_known_traces_are_bounded_and_the_newest_are_known() -> None:
    repeats = Repeats(100)
    for number in range(1000):
        assert repeats.new("group", number.to_bytes(16, "big"), 0)
        assert len(repeats) <= 200
    assert not any(repeats.new("group", number.to_bytes(16, "big"), 0) for number in range(900, 1000))


def test_with_many_sidecars_it_is_gathered_for_longer() -> None:
    assert gathering(3) == gathering(200) == SOONEST
    assert gathering(10_000) == 5.0
    gathers = spread()
    gathers.add(100.0, kept(1), 10_000)
    assert not gathers.due(104.9, 10_000)
    assert gathers.due(105.0, 10_000)
    gathers.take(105.0, 10_000, 10_000)
    gathers.add(105.1, kept(2), 10_000)
    assert not gathers.due(109.9, 10_000)


def test_what_waits_is_bounded_and_what_is_too_much_is_counted() -> None:
    gathers = spread(1_000_000)
    for first in range(0, 100_000, 1000):
        gathers.add(0.0, kept(*range(first, first + 1000)), 2)
    assert gathers.waiting == MOST_WAITING
    assert gathers.counts.dropped == 100_000 - MOST_WAITING
    taken = sum(map(len, told(gathers.take(1.0, 2, 2)).values()))
    assert taken == MOST_IDS, "of a second"
    again = sum(map(len, told(gathers.take(1.5, 2, 2)).values()))
    assert again == MOST_IDS // 2
    assert gathers.waiting == MOST_WAITING - taken - again


def test_with_many_sidecars_fewer_traces_are_told_and_none_late() -> None:
    assert rate(10) == MOST_IDS
    assert rate(10_000) * 10_000 * 16 == MOST_BYTES
    gathers = spread(1_000_000)
    gathers.add(0.0, kept(99_999), 10_000)
    gathers.take(0.0, 10_000, 10_000)
    gathers.add(0.0, kept(*range(20_000)), 10_000)
    assert gathers.waiting == int(MOST_WAIT * rate(10_000))
    taken = sum(map(len, told(gathers.take(5.0, 10_000, 10_000)).values()))
    assert taken == int(5.0 * rate(10_000))


def test_a_reason_for_each_trace_is_told_too_and_counts_for_what_it_takes() -> None:
    """As with adaptive sampling: each sidecar and key has a threshold of its own."""
    gathers = spread(1_000_000)
    for number in range(2000):
        gathers.add(0.0, kept(number, rule="default", threshold=number), 1000)
    first = gathers.take(0.5, 1000, 1000)
    assert rate(1000) / 4 < len(told(first)) < rate(1000), "of a second"
    assert len(first) <= 1.1 * MOST_BYTES / 1000
    while gathers.waiting:
        gathers.take(1.0, 1000, 1000)
    assert (gathers.counts.told, gathers.counts.dropped) == (2000, 0)


def test_when_nobody_is_there_nothing_waits() -> None:
    gathers = spread()
    gathers.add(0.0, kept(1, 2), 2)
    gathers.clear()
    assert (gathers.waiting, gathers.counts.dropped) == (0, 2)
    assert not gathers.due(1000.0, 2)
