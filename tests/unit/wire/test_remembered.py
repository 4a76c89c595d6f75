"""What was decided about traces is remembered for as many as promised, and for no other trace."""

from __future__ import annotations

import importlib.util
import random
from types import ModuleType

import pytest

from tracekeeper_sidecar.wire import remembered


@pytest.fixture(scope="module", params=["imported", "plain"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "imported":
        return remembered
    spec = importlib.util.find_spec(remembered.__name__)
    assert spec is not None and spec.origin is not None
    source = spec.origin.partition(".")[0] + ".py"
    spec = importlib.util.spec_from_file_location("plain_remembered", source)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def packed(trace_id: bytes, verdict: int) -> bytes:
    return trace_id + verdict.to_bytes(8)


def test_the_last_word_on_a_trace_counts(module: ModuleType) -> None:
    table, chance = module.Remembered(1000), random.Random(1)
    ids = [chance.randbytes(16) for _ in range(700)]
    table.add(b"".join(packed(trace_id, number + 1) for number, trace_id in enumerate(ids)))
    table.add(packed(ids[5], 2**64 - 1))
    assert [table.get(trace_id) for trace_id in ids] == [*range(1, 6), 2**64 - 1, *range(7, 701)]
    assert not any(table.get(chance.randbytes(16)) for _ in range(700))


def test_at_least_so_many_are_remembered_and_memory_has_a_bound(module: ModuleType) -> None:
    most, table, chance = 600, module.Remembered(600), random.Random(2)
    ids = [chance.randbytes(16) for _ in range(5000)]
    for count, trace_id in enumerate(ids, start=1):
        table.add(packed(trace_id, count))
        assert table.get(ids[max(0, count - most)]) == max(1, count - most + 1)
        assert table.memory <= 16 * 2 * 2048
    assert table.get(ids[-2 * most - 1]) == 0


def test_ids_that_differ_in_one_bit_are_told_apart(module: ModuleType) -> None:
    table = module.Remembered(1000)
    ids = [(1 << bit).to_bytes(16) for bit in range(128)]
    table.add(b"".join(packed(trace_id, bit + 1) for bit, trace_id in enumerate(ids)))
    assert [table.get(trace_id) for trace_id in ids] == list(range(1, 129))
    assert table.get(bytes(16)) == 0


def test_half_a_record_is_an_error(module: ModuleType) -> None:
    with pytest.raises(ValueError, match="each trace has 24"):
        module.Remembered(10).add(bytes(25))
