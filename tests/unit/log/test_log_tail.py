"""The newest frames in memory: what a reader finds there is what it would have found in the files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_harness import ManualClock, open_log, plain, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log import tail
from tracekeeper_sidecar.log.log import Log

HALVES: list[Any] = [tail, plain(tail)]


@pytest.fixture(params=HALVES, ids=["imported", "plain"])
def half(request: pytest.FixtureRequest) -> Any:
    return request.param


def kept(half: Any, payloads: list[bytes], limit: int = 1 << 20) -> Any:
    """Frames of two spans each, three to a commit, all in segment 4."""
    found, offset, seq = half.Tail(limit), 64, 10
    for at in range(0, len(payloads), 3):
        commit = payloads[at : at + 3]
        found.keep([(payload, 2, 0, None) for payload in commit], 4, offset, seq, 1000 + at)
        offset += sum(40 + len(payload) for payload in commit)
        seq += 2 * len(commit)
    return found


PAYLOADS = [bytes([at]) * (at + 1) for at in range(20)]


def test_any_frame_can_be_the_first(half: Any) -> None:
    found = kept(half, PAYLOADS)
    offset = 64
    for at, payload in enumerate(PAYLOADS):
        taken = found.take(10 + 2 * at, 1000, 1 << 20)
        assert taken.payloads == PAYLOADS[at:]
        one = found.take(10 + 2 * at, 1, 1)
        offset += 40 + len(payload)
        assert (one.payloads, one.number, one.offset, one.seq) == ([payload], 4, offset, 12 + 2 * at)
        assert one.oldest == one.newest == 1000 + at // 3 * 3
        assert found.take(11 + 2 * at, 1000, 1 << 20) is None
    assert found.take(9, 10, 10) is None
    assert found.take(10 + 2 * len(PAYLOADS), 10, 10) is None


def test_it_is_bounded_and_forgets_the_oldest_first(half: Any) -> None:
    payloads = [bytes(1000) for _ in range(300)]
    found = kept(half, payloads, limit=50_000)
    assert found.take(10, 10, 10) is None
    assert len(found.take(10 + 2 * 270, 10_000, 1 << 20).payloads) == 30
    assert len([at for at in range(300) if found.take(10 + 2 * at, 1, 1)]) <= 50
    found.clear()
    assert found.take(10 + 2 * 299, 10, 10) is None


def test_a_limit_of_nothing_keeps_nothing(half: Any) -> None:
    assert kept(half, PAYLOADS, limit=0).take(10, 10, 10) is None


def test_the_second_reader_gets_what_the_first_has_joined(half: Any) -> None:
    found = kept(half, PAYLOADS)
    first = found.take(10, 8, 1 << 20)
    assert first.full
    assert found.take(10, 8, 1 << 20).body() is first.body()
    last = found.take(10 + 2 * 18, 8, 1 << 20)
    assert not last.full
    assert found.take(10 + 2 * 18, 8, 1 << 20) is last
    found.keep([(b"more", 2, 0, None)], 4, 2000, 50, 5000)
    assert found.take(10 + 2 * 18, 8, 1 << 20).payloads == [*PAYLOADS[18:], b"more"]


sizes = st.lists(st.integers(0, 900), min_size=1, max_size=40)


@given(sizes=sizes, commits=st.integers(1, 5), max_spans=st.integers(1, 30), max_bytes=st.integers(1, 3000))
def test_both_halves_and_the_files_agree(sizes: list[int], commits: int, max_spans: int, max_bytes: int) -> None:
    payloads = [bytes([at]) * size for at, size in enumerate(sizes)]
    for half in HALVES:
        found, offset, seq = half.Tail(1 << 20), 64, 0
        for at in range(0, len(payloads), commits):
            group = [(payload, len(payload) % 5 + 1, 0, None) for payload in payloads[at : at + commits]]
            found.keep(group, 1, offset, seq, 7)
            offset += sum(40 + len(append[0]) for append in group)
            seq += sum(append[1] for append in group)
        place, end, left = 0, seq, list(payloads)
        while place < end:
            taken = found.take(place, max_spans, max_bytes)
            assert taken.payloads == left[: len(taken.payloads)]
            assert len(taken.payloads) == 1 or (sum(taken.spans) <= max_spans and taken.size <= max_bytes)
            left, place = left[len(taken.payloads) :], taken.seq
        assert not left


async def fill(log: Log) -> None:
    for at in range(60):
        log.submit(bytes([at]) * (at * 53 % 1900), at % 4 + 1, lambda error: None, critical=at % 7 == 0)
        if at % 5 == 0:
            await log.append(b"wait", 1)
    await log.append(b"end", 1)


@pytest.mark.parametrize("limits", [(1, 1), (9, 1 << 20), (1000, 3000), (1000, 1 << 20)])
async def test_readers_get_the_same_batches_from_memory_and_from_files(limits: tuple[int, int]) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, segment_size=16384, memory=1 << 20)
    await fill(log)
    files.fault = lambda operation, path: pytest.fail(f"{operation} {path}") if operation == "pread" else None
    from_memory = read_all(log, None, *limits)
    files.fault = lambda operation, path: None
    await log.close()
    log = open_log(files, clock, segment_size=16384)
    from_files = read_all(log, None, *limits)
    assert [batch.body for batch in from_memory] == [batch.body for batch in from_files]
    assert [batch.frames for batch in from_memory] == [batch.frames for batch in from_files]
    assert [batch.end.seq for batch in from_memory] == [batch.end.seq for batch in from_files]
    assert [batch.oldest for batch in from_memory] == [batch.oldest for batch in from_files]
    # One that stopped in memory goes on in the files, and the other way round.
    half_way = from_memory[len(from_memory) // 2].end
    rest = read_all(log, half_way, *limits)
    assert [batch.body for batch in rest] == [batch.body for batch in from_memory[len(from_memory) // 2 + 1 :]]
    await log.close()
