"""What sampling writes: the prefix of its frames, and what readers and restarts make of them."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_harness import DIRECTORY, ManualClock, lost_in, open_log, payloads_of, plain, read_all
from log_record import encode_header
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log import codec, tail
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.decided import LONGEST_NAME, VERSION, Decided, decode, encode
from tracekeeper_sidecar.log.files import KEPT, SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import CRITICAL, DECIDED, HEADER_SIZE, TYPE_SHIFT, seed_of
from tracekeeper_sidecar.log.resume import last_decided, resume
from tracekeeper_sidecar.log.segment import DATA_START, name_of
from tracekeeper_sidecar.model import Position

counts = st.integers(0, 2**32 - 1)
places = st.builds(Position, st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**63))
prefixes = st.builds(Decided, counts, st.dictionaries(st.text(max_size=60), counts, max_size=17), counts, places)


@given(prefixes, st.binary(max_size=40))
def test_a_prefix_comes_back_as_it_went_in(decided: Decided, request: bytes) -> None:
    prefix = encode(decided)
    assert decode(prefix + request) == (decided, len(prefix))
    assert decided.spans == decided.kept + decided.damaged + sum(decided.sampled_out.values())


SOME = Decided(3, {"errors": 5, "the rest": 70}, 2, Position(4, 500, 80))


def test_the_layout_is_the_documented_one() -> None:
    prefix = encode(SOME)
    assert len(prefix) == 44 + (5 + 6) + (5 + 8)
    assert prefix[:8] == bytes([VERSION, 0, 2, 0, len(prefix), 0, 0, 0])
    assert prefix[8:16] == bytes([3, 0, 0, 0, 2, 0, 0, 0])
    assert [int.from_bytes(prefix[at : at + 8], "little") for at in (16, 24, 32)] == [4, 500, 80]
    assert prefix[40:55] == bytes([0, 0, 0, 0]) + bytes([5, 0, 0, 0, 6]) + b"errors"
    verdicts = bytes(range(48))
    longer = encode(SOME._replace(verdicts=verdicts))
    assert longer[40:44] == bytes([48, 0, 0, 0])
    assert longer[44:] == prefix[44:] + verdicts
    assert decode(longer + b"request") == (SOME._replace(verdicts=verdicts), len(longer))


def test_what_is_no_prefix_is_said_to_be_none() -> None:
    prefix = encode(SOME)
    for end in range(len(prefix)):
        with pytest.raises(ValueError, match="bytes"):
            decode(prefix[:end])
    for at in range(8):
        for mask in (1, 0x80, 0xFF):
            changed = bytearray(prefix + bytes(300))
            changed[at] ^= mask
            if at != 1:  # Reserved.
                with pytest.raises(ValueError, match=r"version|prefix|bytes"):
                    decode(bytes(changed))
    with pytest.raises(ValueError, match="utf-8"):
        decode(prefix[:-1] + b"\xff")
    with pytest.raises(ValueError, match=str(LONGEST_NAME)):
        encode(SOME._replace(sampled_out={"ü" * 128: 1}))


@given(st.binary(max_size=200))
def test_anything_is_a_prefix_or_none(noise: bytes) -> None:
    for data in (noise, bytes([VERSION]) + noise):
        try:
            decided, at = decode(data)
        except ValueError:
            continue
        assert decode(encode(decided))[0] == decided
        assert at <= len(data)


@pytest.mark.parametrize("half", [codec, plain(codec)], ids=["imported", "plain"])
def test_the_type_travels_with_the_flags(half: object) -> None:
    seed = seed_of(7)
    for payload in (b"small", bytes(20_000)):
        appends = [(payload, 3, CRITICAL | DECIDED << TYPE_SHIFT, None), (payload, 1, 0, None)]
        made = half.encode(appends, 0, 1 << 40, seed, 5, 9)  # type: ignore[attr-defined]
        expected = encode_header(seed, payload, 5, 3, 9, DECIDED, CRITICAL) + payload
        assert b"".join(made.buffers) == expected + encode_header(seed, payload, 8, 1, 9) + payload
        assert made.flags & CRITICAL
        assert half.gather(expected, 0, seed, 5, 1 << 40, 1 << 40, 1 << 40, 1) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("half", [tail, plain(tail)], ids=["imported", "plain"])
def test_nothing_of_another_type_is_kept_in_memory(half: object) -> None:
    kept = half.Tail(1 << 20)  # type: ignore[attr-defined]
    kept.keep([(b"a", 1, 0, None), (b"bb", 2, DECIDED << TYPE_SHIFT, None), (b"ccc", 3, 0, None)], 1, 64, 0, 7)
    assert kept.take(0, 100, 100).payloads == [b"a"]
    assert kept.take(1, 100, 100) is None
    found = kept.take(3, 100, 100)
    assert (found.payloads, found.offset) == ([b"ccc"], 64 + 41 + 42 + 43)


async def submit(log: Log, decided: Decided, request: bytes, critical: bool = False) -> None:
    answers: list[LogError | None] = []
    log.submit(encode(decided) + request, decided.spans, answers.append, critical, DECIDED)
    await log.append(b"", 1)  # One behind the other, so this is answered later.
    assert answers == [None]


async def decide(log: Log, *stretches: Decided) -> None:
    for number, one in enumerate(stretches):
        log.submit(encode(one) + b"%d" % number * one.kept, one.spans, lambda error: None, kind=DECIDED)
    await log.close()


def stretch(kept: int, out: int, damaged: int = 0, rule: str = "rest", seq: int = 0) -> Decided:
    return Decided(kept, {rule: out} if out else {}, damaged, Position(1, 64, seq))


@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_a_reader_gives_what_was_kept_and_counts_the_others(memory: int) -> None:
    log = open_log(SimulatedFiles(), memory=memory)
    await log.append(b"before", 2)
    await submit(log, Decided(2, {"slow": 3}, 1, Position(9, 9, 9)), b"kept", critical=True)
    await submit(log, Decided(0, {"slow": 1, "rest": 4}, 0, Position(9, 9, 9)), b"")
    batches = read_all(log)  # One; more where some frames come from memory.
    assert b"".join(batch.body for batch in batches) == b"beforekept"
    assert (sum(batch.spans for batch in batches), lost_in(batches)) == (2 + 2 + 2, 1)
    sampled_out: Counter[str] = Counter()
    for batch in batches:
        sampled_out.update(batch.sampled_out)
    assert sampled_out == {"slow": 4, "rest": 4}
    assert any(batch.critical for batch in batches)
    assert batches[-1].end == log.end
    frames = [(frame.spans, frame.kept) for batch in batches for frame in batch.frames]
    assert frames == [(2, 2), (6, 2), (1, 1), (5, 0), (1, 1)]
    await log.close()


async def test_the_limits_of_a_batch_count_what_was_kept() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await decide(log, *[stretch(1, 99)] * 10)
    log = open_log(files)
    assert [batch.spans for batch in read_all(log, max_spans=4)] == [4, 4, 2]
    assert [batch.size for batch in read_all(log, max_bytes=5)] == [5, 5]
    reader = log.reader(log.begin)
    ends = []
    while (batch := reader.read(64, 1 << 20, reach=250)) is not None:
        ends.append(batch.end.seq)
    assert ends == [200, 400, 600, 800, 1000]
    await log.close()


async def test_a_batch_takes_no_more_than_so_many_frames_in_which_nothing_was_kept() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await decide(log, *[stretch(0, 10)] * 1500)
    log = open_log(files)
    assert [sum(batch.sampled_out.values()) for batch in read_all(log)] == [10_240, 4760]
    await log.close()


async def test_damage_counts_all_that_a_frame_had_counted() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await decide(log, stretch(2, 10), stretch(3, 10), stretch(4, 10, 5))
    size = HEADER_SIZE + len(encode(stretch(1, 1)))
    files.content(name_of(1))[DATA_START + size + 2 + size] ^= 1
    log = open_log(files)
    batches = read_all(log)
    assert payloads_of(batches) == [b"00", b"2222"]
    assert (sum(batch.spans for batch in batches), lost_in(batches)) == (6, 13 + 5)
    assert sum(sum(batch.sampled_out.values()) for batch in batches) == 20
    await log.close()


async def test_nothing_but_a_frame_that_comes_first_goes_beyond_the_reach() -> None:
    """Not even damage: whoever reads up to a place stops there, and whoever goes on from it counts the rest."""
    sizes = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    borders = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    for damaged in range(len(sizes)):
        files = SimulatedFiles()
        for half in (sizes[:6], sizes[6:]):
            log = open_log(files)
            for spans in half:
                log.submit(b"%d" % spans * 9, spans, lambda error: None)
            await log.close()
        place = DATA_START + (damaged % 6) * (HEADER_SIZE + 9)
        segment = files.content(name_of(1 + damaged // 6))
        segment[place : place + 2 * HEADER_SIZE] = bytes(len(segment[place : place + 2 * HEADER_SIZE]))
        log = open_log(files)
        for until in (border for border in borders[1:] if border <= log.end.seq):
            reader = log.reader(log.begin)
            seen = lost = 0
            while reader.position.seq < until:
                batch = reader.read(4, 1 << 20, reach=until - reader.position.seq)
                assert batch is not None
                seen, lost = seen + batch.spans, lost + batch.lost
            assert (reader.position.seq, seen + lost) == (until, until)
            rest = read_all(log, reader.position)
            if rest:
                assert sum(batch.spans for batch in rest) + lost_in(rest) == log.end.seq - until
        await log.close()


async def test_what_a_later_release_wrote_is_counted_as_lost() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    log.submit(b"?" + encode(SOME), 4, lambda error: None, kind=DECIDED)
    log.submit(encode(SOME) + b"miscounted", SOME.spans + 1, lambda error: None, kind=DECIDED)
    log.submit(b"of no type known", 5, lambda error: None, kind=77)
    await log.append(b"known", 1)
    batches = read_all(log)
    assert payloads_of(batches) == [b"known"]
    assert lost_in(batches) == 4 + SOME.spans + 1 + 5
    assert log.stats().damaged_bytes
    await log.close()


async def test_a_large_one_is_one_frame() -> None:
    log = open_log(SimulatedFiles(), quota=64 << 20)
    request = random.Random(1).randbytes(5 << 20)
    await submit(log, stretch(3, 4), request)
    assert payloads_of(read_all(log, max_bytes=1 << 30))[0] == request
    await log.close()


async def test_a_new_log_begins_where_it_is_told_to_and_an_old_one_where_it_was() -> None:
    files = SimulatedFiles()
    log = open_log(files, first_seq=500)
    assert (log.begin.seq, log.end.seq, log.recovery.notes) == (500, 500, ())
    assert read_all(log) == []
    await log.close()
    # Not even a loss of power, before anything was appended, makes another one of it.
    log = open_log(files.crash(random.Random(3)), first_seq=700)
    assert (log.end.seq, log.recovery.notes) == (500, ())
    await log.append(b"first", 3)
    assert [(batch.begin.seq, batch.end.seq, batch.lost) for batch in read_all(log)] == [(500, 503, 0)]
    await log.close()
    log = open_log(files, first_seq=700)
    assert log.end.seq == 500
    await log.close()


async def test_the_newest_decision_is_found_again() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, segment_size=16384)
    assert last_decided(log) is None
    await decide(log, *[stretch(1, 20, seq=21 * at) for at in range(1, 700)])
    log = open_log(files, clock)
    found = last_decided(log)
    assert found is not None and found.reached.seq == 21 * 699
    assert log.stats().segments > 1
    # The newest frame is damaged: the one before it counts, and none is missed in the segment before.
    newest = files.content(max(name for name in files.names if name.endswith(".seg")))
    newest[-1] ^= 1
    found = last_decided(log)
    assert found is not None and found.reached.seq == 21 * 698
    newest[DATA_START:] = bytes(len(newest) - DATA_START)
    found = last_decided(log)
    assert found is not None and 0 < found.reached.seq < 21 * 698
    await log.close()


async def test_the_newest_payloads_come_the_oldest_first_by_whole_segments() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, segment_size=16384)
    await decide(log, *[stretch(1, 20, seq=at) for at in range(600)])
    log = open_log(files, clock, segment_size=16384)
    await log.append(b"of another type", 1)
    await submit(log, stretch(1, 20, seq=600), b"newest")

    def recent(size: int) -> list[int]:
        return [decode(payload)[0].reached.seq for payload in log.recent(DECIDED, size)]

    assert recent(0) == []
    assert recent(1) == [600]
    assert recent(1 << 20) == list(range(601))
    some = recent(20_000)
    assert 100 < len(some) < 400 and some == list(range(601))[-len(some) :]
    await log.close()


async def test_a_place_is_found_by_its_number() -> None:
    files = SimulatedFiles()
    log = open_log(files, segment_size=16384, first_seq=90)
    for number in range(300):
        await log.append(b"%d" % number + bytes(number), number % 5 + 1)
    frames = [frame for batch in read_all(log) for frame in batch.frames]
    reader = log.reader(log.begin)
    borders = [log.begin]
    while (batch := reader.read(1, 1)) is not None:
        borders.append(batch.end)
    assert len(borders) == 301
    for border, frame in zip(borders, frames, strict=False):
        found = log.locate(frame.seq)
        assert found.seq == border.seq
        assert read_all(log, found)[0].frames[0].seq == frame.seq
        if frame.spans > 1:
            assert log.locate(frame.seq + frame.spans - 1) == found
    assert log.locate(log.end.seq) == log.locate(log.end.seq + 5) == log.end
    assert log.locate(3) == log.begin
    # Within damage it is a place from which a reader counts the rest of it.
    first = files.content(name_of(1))
    first[DATA_START : DATA_START + 300] = bytes(300)
    for seq in range(91, 100):
        found = log.locate(seq)
        batches = read_all(log, found)
        assert found.seq == seq
        assert lost_in(batches) + sum(batch.spans for batch in batches) == log.end.seq - seq
    await log.close()


def log_in(folder: Path, first_seq: int = 0) -> Log:
    return Log.open(str(folder), files=SystemFiles(), clock=SystemClock(), quota=1 << 20, first_seq=first_seq, memory=0)


async def test_the_folder_of_the_kept_log_is_neither_foreign_nor_counted(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    await log.append(b"x", 1)
    await log.close()
    log = log_in(tmp_path)
    alone = log.stats().bytes
    await log.close()
    (tmp_path / KEPT).mkdir()
    (tmp_path / KEPT / "anything").write_bytes(bytes(100_000))
    log = log_in(tmp_path)
    assert (log.recovery.notes, log.stats().bytes) == ((), alone)
    await log.close()


@pytest.mark.parametrize("segment", [2, 7])
async def test_a_place_in_a_segment_that_a_loss_of_power_took_is_looked_for_by_its_number(segment: int) -> None:
    files, kept_files = SimulatedFiles(), SimulatedFiles()
    log = open_log(files, segment_size=16384)
    await log.append(b"x", 20)
    kept = open_log(kept_files, first_seq=0)
    # The segment had nothing in it yet; its number may have been given again since.
    await decide(kept, Decided(20, {}, 0, Position(segment, DATA_START, 20)))
    while log.end.segment < 3:
        await log.append(bytes(5000), 10)
    place = resume(log, kept)
    assert place == log.locate(20)
    batches = read_all(log, place)
    assert sum(batch.spans for batch in batches) == log.end.seq - 20 and not lost_in(batches)
    await log.close()
    await kept.close()


async def test_sampling_goes_on_where_the_kept_log_ends_whatever_of_it_is_left() -> None:
    files, kept_files = SimulatedFiles(), SimulatedFiles()
    log = open_log(files)
    for _ in range(6):
        await log.append(b"x", 10)
    kept = open_log(kept_files, first_seq=20)
    assert resume(log, kept) == log.locate(20)
    await decide(kept, *[Decided(1, {"rest": 9}, 0, log.locate(seq)) for seq in (30, 40)])
    kept = open_log(kept_files)
    assert resume(log, kept) == log.locate(40)
    # An entry has passed what the volume then lost.
    CursorStore(DIRECTORY, kept_files).save("one", Cursor(kept.end, Account(start=20, delivered=Counter(one=20))))
    await kept.close()
    del kept_files.content(name_of(1))[-1:]
    kept = open_log(kept_files)
    newest = last_decided(kept)
    assert newest is not None and newest.reached.seq == 30
    assert resume(log, kept) == log.locate(40)
    # Of a frame that a later release wrote, the count is known all the same.
    kept.submit(b"?", 10, lambda error: None, kind=DECIDED)
    await kept.close()
    kept = open_log(kept_files)
    with pytest.raises(ValueError, match="prefix"):
        last_decided(kept)
    assert resume(log, kept) == log.locate(50)
    await kept.close()
    await log.close()


async def test_small_frames_of_sampling_are_not_read_from_the_file_one_by_one() -> None:
    files = SimulatedFiles()
    log = open_log(files)
    await decide(log, *[stretch(1, 9)] * 1000)
    log = open_log(files)
    reads: list[str] = []
    files.fault = lambda operation, path: reads.append(path) if operation == "pread" else None
    read_all(log, max_spans=10_000)
    assert 1 <= len(reads) < 20
    await log.close()


async def test_a_log_whose_end_is_gone_gives_no_number_again_that_sampling_has_decided_on(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for _ in range(5):
        await log.append(b"x", 10)
    end = log.end
    await log.close()
    kept = log_in(tmp_path / KEPT, first_seq=20)
    await decide(kept, Decided(1, {"rest": 9}, 0, log.locate(30)), Decided(1, {"rest": 19}, 0, end))
    (tmp_path / name_of(1)).unlink()
    log = log_in(tmp_path)
    assert log.end.seq == end.seq
    assert log.end.segment > end.segment
    assert log.stats().room == log.stats().quota  # Sampling has passed all there is, and nobody else is there.
    await log.close()
    # What a kept log cannot say is not held against the first one.
    (tmp_path / KEPT / name_of(1)).write_bytes(b"nothing of the kind")
    log = log_in(tmp_path)
    assert (log.end.seq, log.stats().quota - log.stats().room) == (0, 0)
    await log.close()
