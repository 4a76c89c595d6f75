"""Commits and batches at a time: the same bytes and verdicts as one frame at a time, compiled or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_harness import plain
from log_record import encode_header
from tracekeeper_sidecar.log import codec, record, tail
from tracekeeper_sidecar.log.record import HEADER_SIZE, seed_of

SEED = seed_of(7)
TIME = 1_700_000_000_500_000_000
FAR = 1 << 60


@pytest.fixture(scope="module", params=["hardware", "tables", "plain"])
def half(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "plain":
        yield plain(codec)
        return
    codec.choose(request.param == "hardware")
    yield codec
    codec.choose(True)


def test_the_imported_modules_are_the_compiled_ones() -> None:
    assert codec.__file__.endswith(".so") and tail.__file__.endswith(".so")


def test_numbers_are_those_of_the_format() -> None:
    found = plain(codec)
    numbers = (found._HEADER, found._CHECKED, found._TRACES, found._MAX_PAYLOAD, found._MAGIC.to_bytes(4, "little"))
    assert numbers == (HEADER_SIZE, record._CHECKED, record.TRACES, record.MAX_PAYLOAD, record.MAGIC)
    assert plain(tail)._HEADER == HEADER_SIZE


def frames_of(payloads: list[bytes], seq: int = 5) -> bytes:
    """As `log.record` makes them, each of three spans."""
    made = (encode_header(SEED, payload, seq + 3 * at, 3, TIME + at) + payload for at, payload in enumerate(payloads))
    return b"".join(made)


SIZES = [0, 1, 7, 8, 39, 255, 768, 769, 4096, 12_287, 12_288, 12_289, 70_001]


def test_every_size_is_framed_and_summed_as_one_at_a_time(half: Any) -> None:
    for size in [*range(70), *SIZES]:
        payload = bytes((size * 7 + at * 31) % 251 for at in range(size))
        for rest in ([], [b"x" * 30_000]):
            appends = [(one, 3, 1, None) for one in [payload, *rest]]
            made = half.encode(appends, 0, FAR, SEED, 5, TIME)
            expected = [
                encode_header(SEED, one, 5 + 3 * at, 3, TIME, flags=1) + one for at, (one, *_) in enumerate(appends)
            ]
            assert b"".join(made.buffers) == b"".join(expected), size
            assert (made.count, made.size, made.spans, made.flags) == (
                len(appends),
                sum(map(len, expected)),
                3 * len(appends),
                1,
            )
            assert made.payload == sum(len(append[0]) for append in appends)


def test_only_what_fits_is_framed(half: Any) -> None:
    appends = [(bytes(100), 1, 0, None) for _ in range(5)]
    for room in range(0, 800):
        made = half.encode(appends, 1, room, SEED, 5, TIME)
        assert made.count == min(4, room // 140)
        assert sum(map(len, made.buffers)) == made.size == 140 * made.count
    assert half.encode(appends, 5, FAR, SEED, 5, TIME).count == 0


def test_the_largest_numbers_are_kept(half: Any) -> None:
    seq, spans, time = 2**64 - 2**33, 2**32 - 1, 2**63
    made = half.encode([(b"x", spans, 255, None)], 0, FAR, SEED, seq, time)
    assert b"".join(made.buffers) == encode_header(SEED, b"x", seq, spans, time, flags=255) + b"x"
    run = half.gather(b"".join(made.buffers), 0, SEED, seq, 2**64 - 1, FAR, FAR, 1)
    assert (run.spans, run.flags, run.oldest) == (spans, 255, time)


def test_a_run_is_joined_up_to_both_limits(half: Any) -> None:
    payloads = [bytes([at]) * (10 * at) for at in range(1, 9)]
    window = b"head" + frames_of(payloads)
    whole = half.gather(window, 4, SEED, 5, FAR, FAR, FAR, 1)
    assert (whole.body, whole.frames, whole.spans, whole.end) == (b"".join(payloads), 8, 24, len(window))
    assert (whole.oldest, whole.newest, whole.full) == (TIME, TIME + 7, False)
    some = half.gather(window, 4, SEED, 5, FAR, 11, FAR, 1)
    assert (some.frames, some.full, some.body) == (3, True, b"".join(payloads[:3]))
    assert half.gather(window, 4, SEED, 5, FAR, FAR, 59, 1).frames == 2
    assert half.gather(window, 4, SEED, 5, FAR, 1, 1, 1).frames == 1
    assert half.gather(window, 4, SEED, 5, FAR, 1, 1, 0) is None
    assert half.gather(window, 4, SEED, 5, 5 + 9, FAR, FAR, 1).frames == 3


def test_any_change_of_any_byte_ends_the_run_before_that_frame(half: Any) -> None:
    payloads = [b"first", b"second one", b"third"]
    window = frames_of(payloads)
    borders = [0, 45, 95, len(window)]
    tried = 0
    for at in range(len(window)):
        for mask in (1, 0x80, 0xFF):
            damaged = bytearray(window)
            damaged[at] ^= mask
            run = half.gather(bytes(damaged), 0, SEED, 5, FAR, FAR, FAR, 1)
            intact = max(index for index in range(3) if borders[index] <= at)
            assert (0 if run is None else run.frames) == intact, at
            assert run is None or run.body == b"".join(payloads[:intact])
            tried += 1
    for end in range(len(window)):
        run = half.gather(window[:end], 0, SEED, 5, FAR, FAR, FAR, 1)
        assert (0 if run is None else run.frames) == sum(border <= end for border in borders[1:])
    print(f"{tried} changed bytes, {len(window)} lengths")


def test_another_segment_a_gap_or_an_unknown_type_is_no_run(half: Any) -> None:
    window = frames_of([b"first", b"second"])
    assert half.gather(window, 0, seed_of(8), 5, FAR, FAR, FAR, 1) is None
    assert half.gather(window, 0, SEED, 4, FAR, FAR, FAR, 1) is None
    assert half.gather(b"", 0, SEED, 5, FAR, FAR, FAR, 1) is None
    unknown = window[:45] + encode_header(SEED, b"?", 8, 1, TIME, kind=2) + b"?"
    assert half.gather(unknown, 0, SEED, 5, FAR, FAR, FAR, 1).frames == 1


PLAIN = plain(codec)


@given(st.binary(max_size=400), st.integers(0, 60), st.integers(0, 3))
def test_both_halves_judge_anything_alike(noise: bytes, at: int, least: int) -> None:
    window = noise[:at] + frames_of([noise, b"x"]) + noise
    for start in {min(at, len(window)), 0, len(noise[:at])}:
        ours = codec.gather(window, start, SEED, 5, FAR, 4, 300, least)
        theirs = PLAIN.gather(window, start, SEED, 5, FAR, 4, 300, least)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            for name in ("body", "frames", "end", "spans", "flags", "oldest", "newest", "full"):
                assert getattr(ours, name) == getattr(theirs, name), name
