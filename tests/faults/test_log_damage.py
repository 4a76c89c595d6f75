"""Damage at every byte of a small log: no exception, nothing invented, everything outside the damage kept."""

from __future__ import annotations

import pytest

from log_harness import DIRECTORY, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.frames import WINDOW
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import HEADER_SIZE, MAGIC
from tracekeeper_sidecar.log.segment import DATA_START, name_of
from tracekeeper_sidecar.model import Position

SPANS = 3
FIRST = [b"frame %d of the first segment" % number for number in range(6)]
SECOND = [b"frame %d of the second one" % number for number in range(4)]


async def small_log(files: SimulatedFiles, *segments: list[bytes]) -> None:
    """A log of one segment for each list."""
    for payloads in segments:
        log = open_log(files)
        for payload in payloads:
            await log.append(payload, SPANS)
        await log.close()


def frame_at(offset: int, payloads: list[bytes]) -> int:
    """Index of the frame that the byte at `offset` belongs to; -1 for the header."""
    end = DATA_START
    if offset < end:
        return -1
    for index, payload in enumerate(payloads):
        end += HEADER_SIZE + len(payload)
        if offset < end:
            return index
    raise AssertionError(offset)


def arithmetic_closes(log: Log) -> None:
    batches = read_all(log)
    got = payloads_of(batches)
    assert len(got) * SPANS + lost_in(batches) == log.end.seq - log.begin.seq


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
async def test_a_flipped_byte_anywhere_in_an_older_segment_loses_that_frame_alone(mask: int) -> None:
    whole = SimulatedFiles()
    await small_log(whole, FIRST, SECOND)
    length = len(whole.content(name_of(1)))
    for offset in range(length):
        files = whole.restart()
        files.content(name_of(1))[offset] ^= mask
        log = open_log(files)
        hit = frame_at(offset, FIRST)
        kept = [payload for index, payload in enumerate(FIRST) if index != hit]
        assert payloads_of(read_all(log)) == kept + SECOND, offset
        # With the header gone too, the log begins at its first sound frame; here no frame before it is damaged.
        assert lost_in(read_all(log)) == (SPANS if hit >= 0 else 0)
        assert log.end.seq == SPANS * (len(FIRST) + len(SECOND))
        arithmetic_closes(log)
        await log.close()
    print(f"{length} byte offsets of an older segment flipped with mask {mask:#x}")


async def test_a_flipped_byte_anywhere_in_the_newest_segment_loses_that_frame_alone() -> None:
    whole = SimulatedFiles()
    await small_log(whole, FIRST, SECOND)
    for offset in range(len(whole.content(name_of(2)))):
        files = whole.restart()
        files.content(name_of(2))[offset] ^= 0x10
        log = open_log(files)
        hit = frame_at(offset, SECOND)
        assert payloads_of(read_all(log)) == FIRST + [p for index, p in enumerate(SECOND) if index != hit], offset
        if hit == len(SECOND) - 1:
            # Damage at the very end cannot be told from a write that was cut short: it is removed and reported.
            assert log.recovery.torn > 0
            assert log.recovery.lost_spans == 0
        else:
            assert log.recovery.lost_spans == (SPANS if hit >= 0 else 0)
        arithmetic_closes(log)
        await log.append(b"after", SPANS)
        assert payloads_of(read_all(log))[-1] == b"after"
        arithmetic_closes(log)
        await log.close()
    print(f"{offset + 1} byte offsets of the newest segment flipped")


@pytest.mark.parametrize("segment", [1, 2])
async def test_truncation_at_every_byte_keeps_every_whole_frame(segment: int) -> None:
    whole = SimulatedFiles()
    await small_log(whole, FIRST, SECOND)
    mine, other = (FIRST, SECOND) if segment == 1 else (SECOND, FIRST)
    for length in range(len(whole.content(name_of(segment)))):
        files = whole.restart()
        del files.content(name_of(segment))[length:]
        log = open_log(files)
        kept = mine[: frame_at(length, mine)] if length > DATA_START else []
        got = payloads_of(read_all(log))
        assert got == (kept + other if segment == 1 else other + kept), length
        arithmetic_closes(log)
        position = await log.append(b"after", SPANS)
        assert position.segment > 2 or (segment == 2 and length == 0)
        assert payloads_of(read_all(log))[-1] == b"after"
        await log.close()
    print(f"{length + 1} truncations of segment {segment}")


async def test_every_frame_zeroed_in_turn_is_counted_from_its_neighbours() -> None:
    whole = SimulatedFiles()
    await small_log(whole, FIRST, SECOND)
    offset = DATA_START
    for index, payload in enumerate(FIRST):
        files = whole.restart()
        end = offset + HEADER_SIZE + len(payload)
        files.content(name_of(1))[offset:end] = bytes(end - offset)
        log = open_log(files)
        assert payloads_of(read_all(log)) == FIRST[:index] + FIRST[index + 1 :] + SECOND
        assert lost_in(read_all(log)) == SPANS
        await log.close()
        offset = end


async def test_damage_is_reported_once_however_many_read_it() -> None:
    files = SimulatedFiles()
    await small_log(files, FIRST, SECOND)
    files.content(name_of(1))[DATA_START + 10] ^= 1
    log = open_log(files)
    for _ in range(3):
        read_all(log)
    assert log.stats().damaged_bytes == HEADER_SIZE + len(FIRST[0])
    await log.close()


async def test_a_missing_segment_is_lost_and_counted() -> None:
    files = SimulatedFiles()
    await small_log(files, FIRST, SECOND, FIRST)
    files.unlink(f"{DIRECTORY}/{name_of(2)}")
    log = open_log(files)
    batches = read_all(log)
    assert payloads_of(batches) == FIRST + FIRST
    assert lost_in(batches) == SPANS * len(SECOND)
    # And one that vanishes while the log is open.
    files.unlink(f"{DIRECTORY}/{name_of(1)}")
    assert payloads_of(read_all(log)) == FIRST
    await log.close()


@pytest.mark.parametrize("earlier", [0, 1])
async def test_spans_of_the_last_segment_are_counted_as_lost_even_when_nothing_follows_it(earlier: int) -> None:
    files = SimulatedFiles()
    await small_log(files, *[FIRST] * earlier, SECOND)
    log = open_log(files)
    end, behind = log.end, earlier * len(FIRST) * SPANS
    await log.close()
    CursorStore(DIRECTORY, files).save("ahead", Cursor(end))
    files.unlink(f"{DIRECTORY}/{name_of(1 + earlier)}")
    log = open_log(files)
    assert log.end.seq == end.seq
    batches = read_all(log, Position(1 + earlier, DATA_START, behind))
    assert lost_in(batches) == len(SECOND) * SPANS
    await log.close()


async def test_a_segment_of_garbage_is_set_aside_and_its_number_not_used_again() -> None:
    files = SimulatedFiles()
    await small_log(files, FIRST)
    files.put(name_of(2), b"garbage" * 1000)
    log = open_log(files)
    assert name_of(2) + ".quarantined" in files.names
    assert f"{name_of(2)} cannot be read (checksum does not match) and was renamed" in log.recovery.notes[0]
    await log.append(b"after", SPANS)
    assert log.end.segment == 3
    assert payloads_of(read_all(log)) == [*FIRST, b"after"]
    await log.close()
    log = open_log(files)
    assert "was set aside earlier" in log.recovery.notes[0]
    await log.close()


async def test_a_segment_of_a_later_format_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    files = SimulatedFiles()
    monkeypatch.setattr("tracekeeper_sidecar.log.segment.VERSION", 2)
    await small_log(files, FIRST)
    monkeypatch.undo()
    log = open_log(files)
    assert "format version 2, this release reads 1" in log.recovery.notes[0]
    assert read_all(log) == []
    await log.close()


async def test_a_segment_that_never_got_its_first_frame_is_removed() -> None:
    files = SimulatedFiles()
    await small_log(files, FIRST)
    files.put(name_of(2), bytes(50_000))
    files.put(name_of(3), b"")
    log = open_log(files)
    assert files.names == [name_of(1)]
    assert log.recovery.notes == ()
    assert log.end.segment == 4
    await log.close()


async def test_a_payload_that_quotes_a_frame_is_not_taken_for_one() -> None:
    files = SimulatedFiles()
    await small_log(files, FIRST)
    quoted = bytes(files.content(name_of(1))[DATA_START:])
    await small_log(files, [quoted, b"behind"])
    files.content(name_of(2))[DATA_START] ^= 1
    log = open_log(files)
    assert payloads_of(read_all(log)) == [*FIRST, b"behind"]
    await log.close()


async def test_the_search_finds_a_frame_across_the_border_of_two_windows() -> None:
    for shift in range(HEADER_SIZE + 2):
        files = SimulatedFiles()
        damaged = bytes(WINDOW - HEADER_SIZE - shift)
        await small_log(files, [damaged, b"behind"], [])
        files.content(name_of(1))[DATA_START] ^= 1
        log = open_log(files)
        assert payloads_of(read_all(log)) == [b"behind"]
        assert lost_in(read_all(log)) == 0 if log.begin.seq else SPANS
        await log.close()


async def test_a_stretch_full_of_magic_numbers_is_stepped_over() -> None:
    files = SimulatedFiles()
    await small_log(files, [MAGIC * 20_000, b"behind"], [])
    files.content(name_of(1))[DATA_START + HEADER_SIZE] ^= 1
    log = open_log(files)
    assert payloads_of(read_all(log)) == [b"behind"]
    await log.close()
