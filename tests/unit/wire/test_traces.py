"""The table of open traces holds what a dict would, says what is due, and gives its memory back."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

NOW = 1_760_000_000_000


def few(module: Any, **settings: Any) -> Any:
    return module.Traces(seed=7, **settings)


def test_it_holds_what_a_dict_holds(sampling: SimpleNamespace) -> None:
    table, chance = few(sampling.traces), random.Random(1)
    known: dict[bytes, int] = {}
    for step in range(30_000):
        if chance.random() < 0.6 or not known:
            # Half of them differ in their last bytes only, as counted ids do.
            trace_id = chance.randbytes(16) if step % 2 else bytes(8) + step.to_bytes(8)
            slot = table.insert(trace_id, NOW)
            assert slot not in known.values() if step % 500 == 0 else slot >= 0
            known[trace_id] = slot
        else:
            trace_id = chance.choice(list(known)) if step % 100 == 0 else next(iter(known))
            table.remove(known.pop(trace_id))
            assert table.find(trace_id) == -1
    assert len(known) > 5000 and len(set(known.values())) == len(known)
    assert all(table.find(trace_id) == slot and table.trace_id(slot) == trace_id for trace_id, slot in known.items())
    assert table.count == table.open == len(known)
    for slot in known.values():
        table.remove(slot)
    assert (table.count, table.open, table.due(sampling.traces.SHUTDOWN)) == (0, 0, [])
    assert table.memory < 400_000


def test_a_trace_takes_some_eighty_bytes(sampling: SimpleNamespace) -> None:
    table, chance = few(sampling.traces), random.Random(2)
    for _ in range(20_000):
        table.insert(chance.randbytes(16), NOW)
    assert 68 <= table.memory / table.count < 84


def test_it_holds_no_more_than_its_limit(sampling: SimpleNamespace) -> None:
    table = few(sampling.traces, limit=2)
    assert [table.insert(bytes([number]) * 16, NOW) >= 0 for number in (1, 2, 3, 1)] == [True, True, False, True]


def test_what_is_due_comes_in_parts_until_it_is_decided(sampling: SimpleNamespace) -> None:
    table, chance = few(sampling.traces, wait_ms=30_000), random.Random(3)
    slots = {table.insert(chance.randbytes(16), NOW + number) for number in range(10_000)}
    assert table.due(NOW + 29_999) == []
    assert len(table.due(NOW + 30_099, 1 << 20)) == 100
    found: list[int] = []
    while part := table.due(NOW + 40_000, 700):
        for slot in part:
            table.decide(slot, sampling.traces.verdict(1, 5, keep=True))
        found += part
    assert len(found) == len(slots) and set(found) == slots
    assert (table.open, table.count) == (0, 10_000)
    for slot in found:
        table.remove(slot)
    assert table.count == 0


def test_each_is_named_once_a_round_wherever_it_begins(sampling: SimpleNamespace) -> None:
    table = few(sampling.traces)
    slots = [table.insert(number.to_bytes(16), NOW) for number in range(1, 9_001)]
    for _ in range(5):
        assert len(table.due(sampling.traces.SHUTDOWN, 3_333)) == 3_333
        assert sorted(table.due(sampling.traces.SHUTDOWN, 1 << 20)) == sorted(slots)


def test_a_clock_that_is_put_back_or_far_forward_holds_nothing_up(sampling: SimpleNamespace) -> None:
    table = few(sampling.traces, wait_ms=10_000, quiet_ms=1_000)
    slot = table.insert(b"a" * 16, NOW)
    hour, day = 3_600_000, 86_400_000
    assert table.due(NOW - hour) == []
    assert table.due(NOW - hour + 9_999) == []
    assert table.due(NOW - hour + 10_000) == [slot]
    other = table.insert(b"b" * 16, NOW - 400 * day)
    assert table.due(NOW - 400 * day + 10_000) == [other]
    assert table.due(NOW - 400 * day + 20_000) == [slot, other]
    assert table.due(NOW + 400 * day) == [slot, other]


def test_verdicts_are_packed_for_the_journal(sampling: SimpleNamespace) -> None:
    module = sampling.traces
    table = few(module)
    slots = [table.insert(bytes([number]) * 16, NOW) for number in (1, 2, 3)]
    verdicts = [
        module.verdict(0, 0, keep=True),
        module.verdict(31, 2**56, keep=False),
        module.verdict(16, 12345, keep=True, erase=True),
    ]
    for slot, verdict in zip(slots, verdicts, strict=True):
        table.decide(slot, verdict)
    packed = table.pack(slots)
    assert packed == b"".join(bytes([n + 1]) * 16 + verdict.to_bytes(8) for n, verdict in enumerate(verdicts))


def test_wrong_use_is_said(sampling: SimpleNamespace) -> None:
    table = few(sampling.traces)
    slot = table.insert(b"a" * 16, NOW)
    for wrong in (-1, slot + 1, 5_000, 1 << 40):
        with pytest.raises(IndexError, match=f"no trace in slot {wrong}"):
            table.verdict(wrong)
    with pytest.raises(ValueError, match="not decided"):
        table.pack([slot])
    with pytest.raises(ValueError, match="a trace id has 16"):
        table.find(b"short")
    table.remove(slot)
    with pytest.raises(IndexError):
        table.summary(slot)
    for rule, threshold, keep in ((32, 1, True), (-1, 1, True), (0, 2**56 + 1, True), (0, 0, False)):
        with pytest.raises(ValueError, match="must be"):
            sampling.traces.verdict(rule, threshold, keep=keep)
